"""Tell in which order a robot's root quaternions stand in a file that does not say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.orders import QUATERNION_ORDERS

_UPRIGHT_RAD = np.pi / 4
_MARGIN = 0.25
"""So much of the frames must speak for an order before it is taken against the usual one."""
_AT_REST_RAD = np.deg2rad(2)


def to_wxyz(
    quaternions: ArrayLike, told: str | None, usual: str, documented: bool = False
) -> tuple[NDArray[np.float64], str | None]:
    """Return root quaternions (T, 4) of a world with z up as w x y z, and a note or None.

    told is the order that the caller gave. Without it the order is taken in which the robot
    stands: in more frames by a quarter of them, or leaning less than half as much, or upright and
    facing ahead in the first frame, where the other has it face about. If nothing speaks for
    either, it is the usual one of the format. The note says which was taken; where the usual one is
    documented it needs none. InputError for an order that is none.
    """
    values = np.asarray(quaternions, np.float64)
    if told is not None:
        return in_wxyz(values, checked_order(told)), None
    taken, why = _standing(values)
    if taken is None:
        taken = usual
    if documented and taken == usual:
        return in_wxyz(values, taken), None
    other = QUATERNION_ORDERS[1 - QUATERNION_ORDERS.index(taken)]
    note = (
        f"the root quaternions are read as {' '.join(taken)} ({why}); if they are "
        f"{' '.join(other)}, say --input-quaternion {other}"
    )
    return in_wxyz(values, taken), note


def _standing(values: NDArray[np.float64]) -> tuple[str | None, str]:
    """Return the order in which the robot stands, if only one is such, and why it is taken."""
    leans = {order: _lean(in_wxyz(values, order)) for order in QUATERNION_ORDERS}
    upright = {order: float(np.mean(leans[order] < _UPRIGHT_RAD)) for order in QUATERNION_ORDERS}
    best = max(QUATERNION_ORDERS, key=upright.__getitem__)
    if upright[best] - min(upright.values()) >= _MARGIN:
        return best, "so the robot stands, and otherwise not"
    if upright[best] < 0.5:
        return None, "the usual order, the robot stands in neither"
    mean = {order: float(np.mean(leans[order])) for order in QUATERNION_ORDERS}
    best = min(QUATERNION_ORDERS, key=mean.__getitem__)
    if max(mean.values()) > 2 * mean[best] + _AT_REST_RAD:
        return best, "so the robot stands straighter"
    for order in QUATERNION_ORDERS:
        w, *_, z = in_wxyz(values[:1], order)[0]
        if leans[order][0] < _AT_REST_RAD and 2 * np.arctan2(abs(z), abs(w)) < _AT_REST_RAD:
            return order, "so the robot faces ahead at first, and otherwise back"
    return None, "the usual order, the robot stands in either"


def checked_order(told: str) -> str:
    """Return an order that was given; InputError if it is none."""
    if told not in QUATERNION_ORDERS:
        raise InputError(f"quaternion is {told!r}, it must be {' or '.join(QUATERNION_ORDERS)}")
    return told


def in_wxyz(quaternions: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    """Reorder quaternions (..., 4) to w x y z."""
    return np.roll(quaternions, 1, axis=-1) if order == "xyzw" else quaternions


def from_wxyz(quaternions: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    """Reorder quaternions (..., 4) from w x y z."""
    return np.roll(quaternions, -1, axis=-1) if order == "xyzw" else quaternions


def _lean(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the z axis leans in each frame, in radians."""
    length = np.sum(quaternions**2, axis=-1)
    lean = np.sum(quaternions[:, 1:3] ** 2, axis=-1) / np.maximum(length, 1e-12)
    return np.asarray(np.arccos(np.clip(1 - 2 * lean, -1, 1)))
