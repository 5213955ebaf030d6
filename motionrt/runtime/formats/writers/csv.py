"""Write a G1 motion as CSV: one row of MuJoCo's qpos a frame."""

from __future__ import annotations

import os

import numpy as np

from motionrt.runtime.body.g1 import qpos, robot_error_m
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.orders import HINGE_ANGLES, QUATERNION_ORDERS
from motionrt.runtime.formats.quaternion_order import checked_order

_NOTED_M = 0.01


def write_csv(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest_zero: bool = False,
    quaternion: str = QUATERNION_ORDERS[0],
    angles: str = HINGE_ANGLES[0],
) -> None:
    """Write 36 columns without a header: root x y z, root quaternion, 29 hinge angles.

    Metres and radians in MuJoCo's world (z up, +x forward). rest_zero measures the angles from the
    skeleton's rest pose. quaternion is wxyz, MuJoCo's order, or xyzw, that of Unitree's LAFAN1
    retargeting set and of what is trained on it. angles is kimodo, as Kimodo's exporter reads them,
    or mujoco, those that pose MuJoCo's robot as the motion stands (see `body.g1.qpos`). InputError
    for another skeleton than G1.
    """
    if angles not in HINGE_ANGLES:
        raise InputError(f"angles are {angles!r}, they must be {' or '.join(HINGE_ANGLES)}")
    if "csv" not in motion.skeleton.extra_formats:
        raise InputError(f"CSV holds the robot G1's qpos, the motion is on {motion.skeleton.name}")
    table = qpos(
        motion.local_rot_mats,
        motion.root_positions,
        rest_zero=rest_zero,
        quaternion_first=checked_order(quaternion) == QUATERNION_ORDERS[0],
        kimodo_angles=angles == "kimodo",
    )
    with atomic_file(path) as temporary:
        np.savetxt(temporary, table, delimiter=",")  # "%.18e", as Kimodo writes it


def csv_caution(motion: Motion, *, angles: str = HINGE_ANGLES[0], **_: object) -> str | None:
    """Say that MuJoCo's robot does not stand as the motion does with Kimodo's angles, or None."""
    if angles != "kimodo":
        return None
    written = qpos(motion.local_rot_mats, motion.root_positions)
    better = qpos(motion.local_rot_mats, motion.root_positions, kimodo_angles=False)
    error, least = robot_error_m(motion, written), robot_error_m(motion, better)
    if error - least < _NOTED_M:
        return None
    return (
        f"with Kimodo's angles MuJoCo's robot stands up to {error * 100:.1f} cm from this motion, "
        f"with --csv-angles mujoco {least * 100:.1f} cm"
    )
