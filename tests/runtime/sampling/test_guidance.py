import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import Guidance, resolve_guidance


def test_nothing_asked_leaves_it_to_the_model() -> None:
    assert resolve_guidance() is None


def test_weights_imply_the_mode() -> None:
    assert resolve_guidance(weights=[3]) == Guidance("regular", (3.0,))
    assert resolve_guidance(weights=[2, 1.5]) == Guidance("separated", (2.0, 1.5))


@pytest.mark.parametrize(
    ("mode", "weights"),
    [
        ("regular", None),
        ("separated", [1.0]),
        ("nocfg", [1.0]),
        ("nocfg", []),
        (None, []),
        (None, [1.0, 2.0, 3.0]),
        ("loud", [1.0]),
        (None, [float("nan")]),
    ],
)
def test_contradictions_are_refused(mode: str | None, weights: list[float] | None) -> None:
    with pytest.raises(InputError, match="guidance"):
        resolve_guidance(mode, weights)
