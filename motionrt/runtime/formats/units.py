"""How large a body is, and what that says of a file's units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.stature import standing_height

UNITS = {
    "metres": (1.0, 1.0),
    "centimetres": (100.0, 1.0),
    "millimetres": (1000.0, 1.2),
    "inches": (100 / 2.54, 1.3),
    "CMU's units": (0.45 * 100 / 2.54, 1.3),
    "decimetres": (10.0, 1.6),
}
"""Name -> units per metre, and how much further from a human's height a rarer one must not be.

CMU's motions are in inches times 0.45: a person is 30 units tall.
"""

SMALLEST_BODY_M, LARGEST_BODY_M = 0.2, 20.0
"""Any body of another size is suspicious."""
SMALLEST_HUMAN_M, LARGEST_HUMAN_M = 0.8, 4.0
"""And so is one with a human's legs: inches read as centimetres make 0.7 m."""

_HUMAN_M = 1.7
_WHOLE_BODY = 8
"""With fewer joints than this, a skeleton is some part of a body."""


def size_note(skeleton: Skeleton, advice: str) -> str | None:
    """Say that a body is much too small or large, and the advice; None if it is not."""
    extent = float(np.ptp(skeleton.rest_positions.astype(np.float64), axis=0).max())
    if skeleton.num_joints == 1:
        return None
    height = standing_height(skeleton)
    least, most = SMALLEST_BODY_M, LARGEST_BODY_M
    if height:
        least, most, extent = SMALLEST_HUMAN_M, LARGEST_HUMAN_M, height
    if least <= extent * (1 + 1e-6) and extent * (1 - 1e-6) <= most:
        return None
    told = f"{extent * 100:.2g} cm" if extent < 1 else f"{extent:.3g} m"
    return f"the body is {told} {'tall' if height else 'large'}; are its units right? {advice}"


def guess_scale(skeleton: Skeleton, first_frame: ArrayLike) -> tuple[float, str]:
    """Choose units per metre that give a body of human size.

    skeleton and first_frame (J, 3), world positions, are in the file's units. A human's legs tell
    most, then the size of the rest pose; of a few joints, how far above the floor they are. Returns
    the scale and a note that says what was chosen and how tall that makes the body.
    """
    size = standing_height(skeleton) or _extent(skeleton, np.asarray(first_frame, np.float64))
    if size <= 0:
        return UNITS["centimetres"][0], "the units cannot be guessed, centimetres are taken"

    def distance(name: str) -> float:
        scale, rarity = UNITS[name]
        return abs(math.log(size / scale / _HUMAN_M)) + math.log(rarity)

    name = min(UNITS, key=distance)
    scale = UNITS[name][0]
    return scale, f"guessed units: {name} ({scale:g} a metre), a body of {size / scale:.2f} m"


def _extent(skeleton: Skeleton, first_frame: NDArray[np.float64]) -> float:
    extent = float(np.ptp(skeleton.rest_positions.astype(np.float64), axis=0).max())
    if skeleton.num_joints >= _WHOLE_BODY:
        return extent
    return max(extent, float(first_frame[:, 1].max()))
