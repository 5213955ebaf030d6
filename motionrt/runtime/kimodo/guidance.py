"""Which guidance a run uses, by the rules of Kimodo's command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from motionrt.runtime.errors import InputError

NUM_WEIGHTS = {"nocfg": 0, "regular": 1, "separated": 2}
"""Guidance modes and how many weights each takes (separated: text, then constraints)."""
DEFAULT_WEIGHT = 2.0


@dataclass(frozen=True)
class Guidance:
    """A mode of ``NUM_WEIGHTS`` and its weights (unitless; higher follows the condition more)."""

    mode: str
    weights: tuple[float, ...] = ()


def resolve_guidance(
    mode: str | None = None, weights: Sequence[float] | None = None
) -> Guidance | None:
    """Return the guidance that was asked for, None if nobody did (the model's default then).

    Weights alone imply the mode by their number. InputError if mode and weights contradict each
    other.
    """
    if mode is not None and mode not in NUM_WEIGHTS:
        raise InputError(f"guidance {mode!r}: none of {', '.join(NUM_WEIGHTS)}")
    if weights is not None:
        return _explicit(mode, [_weight(value) for value in weights])
    if mode == "nocfg":
        return Guidance(mode)
    if mode is not None:
        raise InputError(f"guidance {mode} needs {NUM_WEIGHTS[mode]} weight(s)")
    return None


def _explicit(mode: str | None, weights: list[float]) -> Guidance:
    if mode is None:
        mode = {1: "regular", 2: "separated"}.get(len(weights))
        if mode is None:
            raise InputError(
                f"{len(weights)} guidance weights; give one, or two (text, constraint)"
            )
    if len(weights) != NUM_WEIGHTS[mode] or mode == "nocfg":
        raise InputError(
            f"guidance {mode} takes {NUM_WEIGHTS[mode]} weight(s), {len(weights)} given"
        )
    return Guidance(mode, tuple(weights))


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"guidance weight {value!r}: expected a finite number")
    return float(value)
