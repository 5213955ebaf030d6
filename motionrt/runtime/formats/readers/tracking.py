"""Read a G1 motion from the .npz of tracking tasks: mjlab's and BeyondMimic's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import link_states
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.g1_joint_orders import columns, joint_names
from motionrt.runtime.formats.orders import JOINT_ORDERS
from motionrt.runtime.formats.readers.arrays import read_arrays, real_numbers
from motionrt.runtime.formats.readers.qpos import motion_from_qpos

KEYS = ("joint_pos", "body_pos_w", "body_quat_w")
_FRAMES_COMPARED = 8
_NUM_JOINTS = 29


def read_tracking(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    quaternion: str | None = None,
    joint_order: str | None = None,
) -> Motion:
    """Read an .npz of mjlab or BeyondMimic; see `motion_from_tracking`."""
    arrays = read_arrays(path)
    if not is_tracking(arrays):
        raise InputError(f"{path}: no file of a tracking task, it needs {', '.join(KEYS)}")
    return motion_from_tracking(arrays, str(path), fps, quaternion, joint_order)


def is_tracking(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether the arrays of an .npz look like those of a tracking task."""
    return all(key in arrays for key in KEYS)


def motion_from_tracking(
    arrays: Mapping[str, NDArray[Any]],
    where: str,
    fps: float | None = None,
    quaternion: str | None = None,
    joint_order: str | None = None,
) -> Motion:
    """Turn the arrays of a tracking task into a motion: the pelvis is link 0, and 29 joints.

    body_quat_w is w x y z unless quaternion says otherwise.
    joint_order is mujoco (mjlab) or isaac (BeyondMimic). Without it joint_names decide, if they
    are there, and otherwise where the file has its links: the order is taken, and noted, that
    poses the robot there.
    """
    try:
        joints, links, turns = (_numbers(arrays, key) for key in KEYS)
        if joints.ndim != 2 or joints.shape[1] != _NUM_JOINTS:
            raise InputError(f"joint_pos is {joints.shape}, G1's is (T, {_NUM_JOINTS})")
        frames = len(joints)
        if links.ndim != 3 or len(links) != frames or links.shape[1] < 1 or links.shape[2] != 3:
            raise InputError(f"body_pos_w is {links.shape}, it must be ({frames}, B, 3)")
        if turns.shape != (*links.shape[:2], 4):
            raise InputError(f"body_quat_w is {turns.shape}, it must be {(*links.shape[:2], 4)}")
        if fps is None:
            if "fps" not in arrays or arrays["fps"].size != 1:
                raise InputError("it does not say its frame rate; give fps (--input-fps)")
            fps = float(_numbers(arrays, "fps").reshape(-1)[0])
        root = np.concatenate([links[:, 0], turns[:, 0]], axis=1)
        order, note = _order(arrays, joint_order)
        if order is None:
            order, note = _posing_order(root, joints, links)
        table = np.concatenate([root, joints[:, order]], axis=1)
        motion = motion_from_qpos(table, quaternion or "wxyz", fps)
        motion.notes.extend([note] if note else [])
        return motion
    except InputError as error:
        if where in str(error):
            raise
        raise InputError(f"{where}: {error}") from error


def _order(
    arrays: Mapping[str, NDArray[Any]], told: str | None
) -> tuple[list[int] | None, str | None]:
    """Return where MuJoCo's joints stand in the file, if it is told or there are names."""
    wanted = joint_names("mujoco")
    if told is not None:
        if told not in JOINT_ORDERS:
            raise InputError(f"joint_order is {told!r}, it must be {' or '.join(JOINT_ORDERS)}")
        return columns(wanted, joint_names(told)), None
    if "joint_names" not in arrays:
        return None, None
    names = tuple(str(name) for name in np.atleast_1d(arrays["joint_names"]).reshape(-1)[:100])
    if set(names) != set(wanted) or len(names) != len(wanted):
        missing = next((name for name in wanted if name not in names), "and no others")
        raise InputError(f"joint_names are not G1's 29: no {missing}; give --input-joint-order")
    return columns(wanted, names), None


def _posing_order(
    root: NDArray[np.float64], joints: NDArray[np.float64], links: NDArray[np.float64]
) -> tuple[list[int], str]:
    """Find the order that poses the robot's links where the file has them."""
    frames = np.unique(np.linspace(0, len(root) - 1, _FRAMES_COMPARED).astype(int))
    wanted = joint_names("mujoco")
    orders = {name: columns(wanted, joint_names(name)) for name in JOINT_ORDERS}
    apart = {}
    for name, order in orders.items():
        table = np.concatenate([root, joints[:, order]], axis=1)[frames]
        posed = link_states(table, 1.0).positions
        gaps = np.linalg.norm(links[frames][:, :, None] - posed[:, None], axis=-1)
        apart[name] = float(gaps.min(axis=2).mean())  # whatever the order of the links
    best = min(JOINT_ORDERS, key=apart.__getitem__)
    other = JOINT_ORDERS[1 - JOINT_ORDERS.index(best)]
    note = (
        f"joints are taken in {best} order: so links are {apart[best] * 100:.1f} cm from where "
        f"the file has them, in {other} order {apart[other] * 100:.1f}; "
        f"--input-joint-order {other} reads them so all the same"
    )
    return orders[best], note


def _numbers(arrays: Mapping[str, NDArray[Any]], key: str) -> NDArray[np.float64]:
    array = real_numbers(arrays, key)
    if not array.size:
        raise InputError(f"{key} is {array.shape}, it must be numbers")
    return array
