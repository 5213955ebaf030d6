"""Write a G1 motion as CSV: one row of MuJoCo's qpos a frame."""

from __future__ import annotations

import os

import numpy as np

from motionrt.runtime.body.g1 import qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.orders import QUATERNION_ORDERS
from motionrt.runtime.formats.quaternion_order import checked_order


def write_csv(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest_zero: bool = False,
    quaternion: str = QUATERNION_ORDERS[0],
) -> None:
    """Write 36 columns without a header: root x y z, root quaternion, 29 hinge angles.

    Metres and radians in MuJoCo's world (z up, +x forward). rest_zero measures the angles from the
    skeleton's rest pose. quaternion is wxyz, MuJoCo's order, or xyzw, that of Unitree's LAFAN1
    retargeting set and of what is trained on it. InputError for another skeleton than G1.
    """
    if "csv" not in motion.skeleton.extra_formats:
        raise InputError(f"CSV holds the robot G1's qpos, the motion is on {motion.skeleton.name}")
    table = qpos(
        motion.local_rot_mats,
        motion.root_positions,
        rest_zero=rest_zero,
        quaternion_first=checked_order(quaternion) == QUATERNION_ORDERS[0],
    )
    with atomic_file(path) as temporary:
        np.savetxt(temporary, table, delimiter=",")  # "%.18e", as Kimodo writes it
