"""Which guidance a run uses, by the rules of Kimodo's command line, and its branches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

NUM_WEIGHTS = {"nocfg": 0, "regular": 1, "separated": 2}
"""Guidance modes and how many weights each takes (separated: text, then constraints)."""
DEFAULT_WEIGHT = 2.0
WHOLE_SCHEDULE = (0.0, 1.0)


@dataclass(frozen=True)
class Guidance:
    """A mode of ``NUM_WEIGHTS`` and its weights (unitless; higher follows the condition more)."""

    mode: str
    weights: tuple[float, ...] = ()
    interval: tuple[float, float] = WHOLE_SCHEDULE
    """The base steps that are guided, as shares of all: 0 is the clean end, 1 is noise."""


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
        return _explicit(mode, [_number(value, "guidance weight") for value in weights])
    if mode == "nocfg":
        return Guidance(mode)
    if mode is not None:
        raise InputError(f"guidance {mode} needs {NUM_WEIGHTS[mode]} weight(s)")
    return None


def resolve_interval(given: float | Sequence[float] | None) -> tuple[float, float]:
    """Return the interval of `Guidance`: all for None; one number is where it begins.

    InputError unless it is one or two numbers from 0 to 1, the second not the smaller.
    """
    if given is None:
        return WHOLE_SCHEDULE
    listed = given if isinstance(given, (list, tuple)) else [given]
    ends = [_number(value, "guidance interval") for value in listed]
    if len(ends) == 1:
        ends.append(1.0)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= 1:
        raise InputError(
            f"guidance interval {ends}: expected one or two numbers from 0 to 1, rising"
        )
    return ends[0], ends[1]


def guided_spans(
    guidance: Guidance, timesteps: NDArray[np.int64], num_base_steps: int
) -> list[tuple[slice, Guidance]]:
    """Split a schedule into runs of steps that take the same branches, in order.

    timesteps are (N,), falling. A step outside of the interval runs one branch with text and
    constraints alone. Source: Kynkäänniemi 2024, arXiv:2404.07724, with the interval in base steps.
    """
    low, high = (end * num_base_steps for end in guidance.interval)
    inside = (timesteps >= low) & (timesteps <= high)
    edges = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(timesteps)]
    return [
        (slice(start, stop), guidance if inside[start] else Guidance("nocfg"))
        for start, stop in pairwise(edges)
    ]


def guidance_branches(
    guidance: Guidance, has_text: bool, constrained: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return which branches run: text on, constraints on, weight, each (G,).

    The last is the one guided away from (or, without guidance, the only one). A branch that would
    equal it adds nothing and is left out: without constraints, separated guidance runs two.
    """
    if guidance.mode == "nocfg":
        rows = [(1.0, 1.0, 0.0)]
    elif guidance.mode == "regular":
        rows = [(1.0, 1.0, guidance.weights[0]), (0.0, 0.0, 0.0)]
    else:
        text_weight, constraint_weight = guidance.weights
        rows = [(1.0, 0.0, text_weight), (0.0, 1.0, constraint_weight), (0.0, 0.0, 0.0)]
    kept = [row for row in rows[:-1] if (row[0] and has_text) or (row[1] and constrained)] + rows[
        -1:
    ]
    text, constraints, weights = np.array(kept, np.float32).T
    return text.copy(), constraints.copy(), weights.copy()


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


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{what} {value!r}: expected a finite number")
    return float(value)
