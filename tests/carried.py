"""Whether a character that root motion moves goes as the motion goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def same_way(found: ArrayLike, expected: ArrayLike, metres: float) -> float:
    """Compare joints (T, J, 3), metres, y up, up to a turn about y and the place of the first root.

    Returns the turn in radians. AssertionError where they differ by more than some metres.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(found[..., 1], expected[..., 1], rtol=0, atol=metres)
    ways: list[NDArray[np.complex128]] = []
    for joints in (found, expected):
        ground = joints[..., 2] + 1j * joints[..., 0]  # its angle is a heading: 0 along z
        ways.append(ground - ground[0, 0])
    turn = complex(np.vdot(ways[1][0], ways[0][0]))
    turn /= abs(turn)
    np.testing.assert_allclose(ways[0], turn * ways[1], rtol=0, atol=metres)
    return float(np.angle(turn))


def heading(left: ArrayLike, right: ArrayLike) -> float:
    """Return where a body faces, radians, 0 along z: across the line of its hips."""
    across = np.asarray(left) - np.asarray(right)
    return float(np.arctan2(-across[2], across[0]))
