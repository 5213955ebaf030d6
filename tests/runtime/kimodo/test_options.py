from __future__ import annotations

from motionrt.runtime.kimodo.family import FAMILY
from motionrt.runtime.kimodo.options import PRESETS, KimodoOptions
from motionrt.runtime.sampling.schedule import cosine_schedule


def test_presets_are_what_the_sampler_can() -> None:
    for preset in PRESETS.values():
        schedule = cosine_schedule(1000, preset["num_steps"], preset["solver"])
        assert len(schedule.timesteps) == preset["num_steps"]
    steps = [PRESETS[name]["num_steps"] for name in ("fast", "balanced", "exact")]
    assert steps == sorted(steps)


def test_every_option_is_declared_once() -> None:
    assert list(FAMILY.options) == list(KimodoOptions.__annotations__)
    assert FAMILY.presets is PRESETS


def test_flags_are_upstreams_where_upstream_has_them() -> None:
    flags = {name: option.flag for name, option in FAMILY.options.items() if option.flag}
    assert flags == {
        "num_steps": "diffusion-steps",
        "guidance_type": "cfg-type",
        "guidance_weights": "cfg-weight",
        "first_heading_rad": "first-heading",
    }
