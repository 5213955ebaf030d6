from __future__ import annotations

import pytest

from motionrt.runtime.ardy.family import FAMILY
from motionrt.runtime.ardy.model_names import MODELS, model_key, resolve_model_name
from motionrt.runtime.ardy.options import PRESETS, ArdyOptions
from motionrt.runtime.errors import InputError


def test_presets_take_more_steps_the_more_exact_they_are() -> None:
    steps = [PRESETS[name]["num_steps"] for name in ("fast", "balanced", "exact")]
    assert steps == sorted(steps)


def test_every_option_is_declared_once() -> None:
    assert list(FAMILY.options) == list(ArdyOptions.__annotations__)
    assert FAMILY.presets is PRESETS


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("core", MODELS[0]),
        ("g18", MODELS[3]),
        ("someone/ardy-core-rp-20fps-horizon8", MODELS[1]),
        *((model, model) for model in MODELS),
    ],
)
def test_all_spellings_of_a_model(name: str, model: str) -> None:
    assert resolve_model_name(name) == model
    assert model_key(name) == model.lower()


@pytest.mark.parametrize("name", ["CORE", "soma", "", "ARDY-SOMA-RP-30FPS-Horizon60"])
def test_a_model_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="there is none; known are core, "):
        resolve_model_name(name)
    assert model_key(name) is None
