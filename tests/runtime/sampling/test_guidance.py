from typing import Any

import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import (
    Guidance,
    guided_spans,
    resolve_guidance,
    resolve_interval,
)


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


def test_an_interval_is_where_guidance_begins_and_ends() -> None:
    assert resolve_interval(None) == (0.0, 1.0)
    assert resolve_interval([0.2]) == resolve_interval(0.2) == (0.2, 1.0)
    assert resolve_interval((0, 0.5)) == (0.0, 0.5)


@pytest.mark.parametrize(
    "given",
    [[], [0.1, 0.2, 0.3], [0.5, 0.2], [-0.1], [1.5], [float("nan")], ["0.1"], "0.1", [True]],
)
def test_what_is_no_interval_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="guidance interval"):
        resolve_interval(given)


def test_a_schedule_is_split_where_its_guidance_changes() -> None:
    def spans(*interval: float) -> list[tuple[int, int, str]]:
        guidance = Guidance("regular", (2.0,), resolve_interval(interval))
        found = guided_spans(guidance, np.array([999, 700, 300, 100, 0]), 1000)
        return [(rows.start, rows.stop, guides.mode) for rows, guides in found]

    assert spans(0, 1) == [(0, 5, "regular")]
    assert spans(0.1) == [(0, 4, "regular"), (4, 5, "nocfg")]  # both ends are guided
    assert spans(0.1, 0.7) == [(0, 1, "nocfg"), (1, 4, "regular"), (4, 5, "nocfg")]
    assert spans(0.4, 0.6) == [(0, 5, "nocfg")]
