"""Make motions of G1 from the qpos that several formats hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import LARGEST_NUMBER, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.orders import QUATERNION_ORDERS
from motionrt.runtime.formats.quaternion_order import to_wxyz


def motion_from_qpos(
    table: NDArray[np.float64],
    quaternion: str | None,
    fps: float,
    *,
    rest_zero: bool = False,
    usual: str = QUATERNION_ORDERS[0],
    documented: bool = False,
) -> Motion:
    """Make a motion of rows of qpos (T, 36), its quaternions in an order that may not be known.

    quaternion, usual and documented are as `to_wxyz` takes them; rest_zero says that the angles are
    measured from the skeleton's rest pose. InputError names the first frame that is wrong.
    """
    if not np.isfinite(table).all():
        frame = int(np.argwhere(~np.isfinite(table))[0][0])
        raise InputError(f"frame {frame} has a number that is not finite")
    if np.abs(table).max() > LARGEST_NUMBER:
        frame = int(np.argwhere(np.abs(table) > LARGEST_NUMBER)[0][0])
        raise InputError(f"frame {frame} has a number beyond {LARGEST_NUMBER:g}, no robot has")
    turns, note = to_wxyz(table[:, 3:7], quaternion, usual, documented)
    ordered = np.concatenate([table[:, :3], turns, table[:, 7:]], axis=1)
    local, root = motion_arrays_from_qpos(ordered, rest_zero=rest_zero)
    motion = Motion.from_local(local, root, load_skeleton("g1"), fps)
    motion.notes.extend([note] if note else [])
    widest = float(np.abs(table[:, 7:]).max())
    if widest > 2 * np.pi:
        motion.notes.append(f"hinge angles reach {widest:.3g}; they are read as radians")
    return motion
