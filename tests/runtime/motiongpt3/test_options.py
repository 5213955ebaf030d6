from __future__ import annotations

from motionrt.runtime.motiongpt3.family import FAMILY
from motionrt.runtime.motiongpt3.options import PRESETS, MotionGpt3Options
from motionrt.runtime.motiongpt3.schedule import SOLVER_NAMES, latent_schedule


def test_presets_are_what_the_sampler_can() -> None:
    for preset in PRESETS.values():
        assert preset["solver"] in SOLVER_NAMES
        latent_schedule(preset.get("num_steps", 50), preset["solver"])


def test_every_option_is_declared_once() -> None:
    assert list(FAMILY.options) == list(MotionGpt3Options.__annotations__)
    assert FAMILY.captions and not FAMILY.takes_sequences
