"""Inverse kinematics of a limb, in closed form: two bones to a point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.rotation import shortest_arc, turn_about, unit

Array = NDArray[np.float64]

MAX_REACH = 0.999
"""Fraction of the limb's length that a bent limb may reach, so that its plane stays defined."""
MIN_REACH_M = 1e-4
_SMALLEST = 1e-12
"""Of twice the product of two sides, in square metres: what is divided by."""
SAME_DIRECTION = 1.0 - 1.19e-6
"""Cosine above which two directions count as one (ten units in the last place of float32)."""


def bend_limb(
    hip: Array, knee: Array, ankle: Array, hint: Array, target: Array, lengths: tuple[float, float]
) -> tuple[Array, Array]:
    """Find the turns that bring the end of a limb of two bones to a target.

    All points are (T, 3) world positions; hint is a point on the side that the knee bends to, and
    lengths are those of the two bones. Returns world turns (T, 3, 3): how the upper bone's rotation
    is to be turned, and how the lower one's, before the upper one carries it along.
    """
    upper, lower = lengths
    limb = ankle - hip
    reach = np.linalg.norm(target - hip, axis=-1)
    reach = np.clip(reach, MIN_REACH_M, MAX_REACH * (upper + lower))
    hip_angle = _angle_opposite(lower, upper, reach) - _angle_between(limb, knee - hip)
    knee_angle = _angle_opposite(reach, upper, lower) - _angle_between(hip - knee, ankle - knee)
    normal = np.cross(limb, hint - hip)
    degenerate = np.linalg.norm(normal, axis=-1, keepdims=True) < 1e-8
    axis = np.where(degenerate, np.array([0.0, 0.0, 1.0]), unit(normal))
    aim = shortest_arc(limb, target - hip, still_above=SAME_DIRECTION)
    return aim @ turn_about(axis, hip_angle), turn_about(axis, knee_angle)


def _angle_between(a: Array, b: Array) -> Array:
    result: Array = np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1))
    return result


def _angle_opposite(side: Array | float, a: Array | float, b: Array | float) -> Array:
    """The angle of a triangle opposite to a side, by the law of cosines."""
    twice = np.maximum(2.0 * np.multiply(a, b), _SMALLEST)  # a bone may have no length
    cosine = (np.square(a) + np.square(b) - np.square(side)) / twice
    result: Array = np.arccos(np.clip(cosine, -1.0, 1.0))
    return result
