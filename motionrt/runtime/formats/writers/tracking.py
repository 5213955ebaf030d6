"""Write a G1 motion as the .npz that tracking tasks are trained on: mjlab and BeyondMimic."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import link_states, robot_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.g1_joint_orders import body_names, columns, joint_names


def write_mjlab(motion: Motion, path: str | os.PathLike[str]) -> None:
    """Write what mjlab's csv_to_npz.py writes: joints and links in MuJoCo's order.

    See `tracking_arrays`. InputError for another skeleton than G1.
    """
    _write(path, tracking_arrays(motion, "mujoco"))


def write_beyondmimic(motion: Motion, path: str | os.PathLike[str]) -> None:
    """Write what BeyondMimic's csv_to_npz.py writes: joints and links in Isaac Lab's order.

    See `tracking_arrays`. InputError for another skeleton than G1.
    """
    _write(path, tracking_arrays(motion, "isaac"))


def tracking_arrays(motion: Motion, order: str) -> dict[str, NDArray[Any]]:
    """Make the arrays that csv_to_npz.py of BeyondMimic (whole_body_tracking) and of mjlab write.

    fps (1,); joint_pos and joint_vel (T, 29) in radians; body_pos_w (T, 30, 3), body_quat_w
    (T, 30, 4) as w x y z, body_lin_vel_w and body_ang_vel_w (T, 30, 3), float32, in MuJoCo's world
    (z up). Their readers go by position, so order decides: mujoco (mjlab) is depth first, isaac
    (BeyondMimic) is breadth first. joint_names and body_names stand beside, for people and for
    us; those readers do not look at them. Linear velocities are of the links' origins, as mjlab's
    are; Isaac Lab's are of the centres of mass, which are not known here.
    """
    table = robot_qpos(motion, "a file of a tracking task").astype(np.float64)
    states = link_states(table, motion.fps)
    joints = columns(joint_names(order), joint_names("mujoco"))
    links = columns(body_names(order), body_names("mujoco"))
    rate: type[Any] = np.int64 if motion.fps.is_integer() else np.float64
    numbers = {
        "joint_pos": table[:, 7:][:, joints],
        "joint_vel": states.hinge_velocities[:, joints],
        "body_pos_w": states.positions[:, links],
        "body_quat_w": states.quaternions[:, links],
        "body_lin_vel_w": states.linear_velocities[:, links],
        "body_ang_vel_w": states.angular_velocities[:, links],
    }
    return {
        "fps": np.array([motion.fps], rate),
        **{name: np.ascontiguousarray(array, np.float32) for name, array in numbers.items()},
        "joint_names": np.array(joint_names(order)),
        "body_names": np.array(body_names(order)),
    }


def _write(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
