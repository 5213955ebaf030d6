"""G1 in MuJoCo's coordinates: world z up, +x forward, 29 hinge angles (qpos).

Kimodo's G1 has a free rotation at every joint; MuJoCo's has hinges. The angle of a hinge is read
off the joint's rotation, and what the hinge cannot turn is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import (
    Floats,
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_to_matrix,
)
from motionrt.runtime.body.skeleton import load_skeleton, skeleton_asset
from motionrt.runtime.errors import InputError

NUM_COLUMNS = 36
"""Root position (3), root quaternion w x y z (4), hinge angles (29)."""
HINGE_TOLERANCE = 1e-3
"""Radians that a joint may turn beside its hinge and still be a robot's."""


@dataclass(frozen=True)
class Hinges:
    """G1's 29 hinges, in MuJoCo's order."""

    names: tuple[str, ...]
    """MuJoCo's joint names, the columns of qpos from 7 on."""
    joints: NDArray[np.int64]
    """(29,), the joints of the g1 skeleton."""
    offsets: NDArray[np.float32]
    """(29, 3, 3), O: from the joint's parent to the frame the hinge turns in."""
    axes: NDArray[np.float32]
    """(29, 3), the hinge's axis in the skeleton's own frame."""
    offset_axes: NDArray[np.float32]
    """(29, 3), the same behind the offset: O·axis."""
    limits_rad: NDArray[np.float32]
    """(29, 2), lowest and highest angle relative to rest."""
    rest_euler_rad: NDArray[np.float32]
    """(29,), the angle that `qpos` reads off the rest pose."""
    rest_axis_angle_rad: NDArray[np.float32]
    """(29,), the angle that `project_to_hinges` reads off the rest pose."""
    to_mujoco: NDArray[np.float32]
    """(3, 3), from Kimodo's world (y up, +z forward) to MuJoCo's."""


@lru_cache
def g1_hinges() -> Hinges:
    """Load G1's hinges."""
    table = skeleton_asset("g1")["mujoco"]
    rows = table["joints"]

    def column(name: str) -> NDArray[np.float32]:
        return np.array([row[name] for row in rows], np.float32)

    return Hinges(
        names=tuple(row["mujoco_joint"] for row in rows),
        joints=np.array([row["kimodo_index"] for row in rows], np.int64),
        offsets=column("offset_rotation"),
        axes=column("axis_kimodo"),
        offset_axes=column("axis_in_offset_frame"),
        limits_rad=np.stack([column("limit_min"), column("limit_max")], axis=-1),
        rest_euler_rad=column("rest_angle_euler"),
        rest_axis_angle_rad=column("rest_angle_axis_angle"),
        to_mujoco=np.array(table["kimodo_to_mujoco_matrix"], np.float32),
    )


def qpos(
    local_rot_mats: ArrayLike,
    root_positions: ArrayLike,
    *,
    rest_zero: bool = False,
    quaternion_first: bool = True,
    kimodo_angles: bool = True,
) -> NDArray[np.float32]:
    """Turn G1 motions (..., 34, 3, 3) and (..., 3) into MuJoCo's qpos (..., 36).

    rest_zero measures the angles from the skeleton's rest pose; otherwise from MuJoCo's zero.
    quaternion_first writes the root as w x y z, otherwise x y z w. Kimodo reads hip rolls and
    shoulder pitches about an axis that is 10 and 16 degrees off MuJoCo's, so that MuJoCo poses
    them a few per cent short; with kimodo_angles that is done too, except for a motion whose joints
    turn on MuJoCo's hinges and nothing else (a robot's): its angles are MuJoCo's.
    """
    local = _g1(local_rot_mats)
    hinges = g1_hinges()
    turned = hinges.offsets @ local[..., hinges.joints, :, :]
    angles = _euler_angle(turned, hinges.axes)
    if kimodo_angles and not _on_hinges(turned, angles, hinges):
        angles = _euler_angle(turned, hinges.offset_axes)
    if rest_zero:
        angles = angles - hinges.rest_euler_rad
    turn = hinges.to_mujoco
    quaternion = matrix_to_quaternion(turn @ local[..., 0, :, :] @ turn.T)
    if not quaternion_first:
        quaternion = np.roll(quaternion, -1, axis=-1)
    root = np.asarray(root_positions, np.float32) @ turn.T
    return np.concatenate([root, quaternion, angles], axis=-1, dtype=np.float32)


def motion_arrays_from_qpos(
    values: ArrayLike, *, rest_zero: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn qpos (T, 36), quaternion w x y z, into local rotations and root positions.

    The joints stand where MuJoCo has them, and `qpos` of the result is the argument again, up to
    the quaternion's length and sign. The joints that MuJoCo's G1 lacks (toes, hand rolls) rest.
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] != NUM_COLUMNS:
        raise InputError(f"qpos is {table.shape}, it must be (T, {NUM_COLUMNS})")
    quaternion = table[:, 3:7]
    if not (np.linalg.norm(quaternion, axis=-1) > 1e-6).all():
        raise InputError("qpos columns 4 to 7 are a quaternion, a frame has zeros there")
    hinges = g1_hinges()
    angles = table[:, 7:] + (hinges.rest_euler_rad if rest_zero else 0)
    turns = axis_angle_to_matrix(hinges.axes.astype(np.float64) * angles[..., None])
    local = np.tile(np.eye(3), (len(table), 34, 1, 1))
    local[:, hinges.joints] = np.swapaxes(hinges.offsets, -1, -2) @ turns
    turn = hinges.to_mujoco
    local[:, 0] = turn.T @ quaternion_to_matrix(quaternion) @ turn
    return local.astype(np.float32), (table[:, :3] @ turn).astype(np.float32)


def robot_qpos(motion: Motion, what: str) -> NDArray[np.float32]:
    """Return a motion's qpos (T, 36) with MuJoCo's angles; InputError, which names what, if not G1.

    These are the angles that pose MuJoCo's G1 as the motion stands: see `qpos` for Kimodo's.
    """
    if "csv" not in motion.skeleton.extra_formats:
        raise InputError(f"{what} holds the robot G1, the motion is on {motion.skeleton.name}")
    return qpos(motion.local_rot_mats, motion.root_positions, kimodo_angles=False)


def robot_error_m(motion: Motion, values: ArrayLike) -> float:
    """Return how far a link of MuJoCo's robot, posed by qpos (T, 36), is from a motion at most."""
    local, root = motion_arrays_from_qpos(values)
    posed, _ = motion.skeleton.forward_kinematics(local, root)
    links = np.concatenate([[0], g1_hinges().joints])
    apart = posed[:, links] - motion.posed_joints[:, links]
    return float(np.linalg.norm(apart, axis=-1).max(initial=0))


@dataclass(frozen=True)
class LinkStates:
    """G1's 30 links in MuJoCo's world over time: the pelvis, then the link of each hinge."""

    positions: NDArray[np.float64]
    """(T, 30, 3), the links' origins, in metres."""
    quaternions: NDArray[np.float64]
    """(T, 30, 4), w x y z."""
    linear_velocities: NDArray[np.float64]
    """(T, 30, 3), of the origins, in metres a second."""
    angular_velocities: NDArray[np.float64]
    """(T, 30, 3), in the world, in radians a second."""
    hinge_velocities: NDArray[np.float64]
    """(T, 29), in radians a second."""


def link_states(values: ArrayLike, fps: float) -> LinkStates:
    """Follow qpos (T, 36), quaternion w x y z, through MuJoCo's tree of links.

    The root's and the hinges' velocities are central differences, one-sided at both ends; the
    links' follow from them as from a simulator's.
    """
    table = np.asarray(values, np.float64)
    local, root = motion_arrays_from_qpos(table)
    skeleton, hinges = load_skeleton("g1"), g1_hinges()
    points, turns = skeleton.forward_kinematics(local, root)
    links = np.concatenate([[0], hinges.joints])
    turn = hinges.to_mujoco.astype(np.float64)
    positions = points[:, links].astype(np.float64) @ turn.T
    rotations = turn @ turns[:, links].astype(np.float64) @ turn.T
    hinge_velocities = _rate(table[:, 7:], fps)
    linear, angular = np.zeros_like(positions), np.zeros_like(positions)
    linear[:, 0], angular[:, 0] = _rate(table[:, :3], fps), _turn_rate(rotations[:, 0], fps)
    axes = hinges.axes.astype(np.float64) @ turn.T
    for link, joint in enumerate(hinges.joints, start=1):
        above = int(np.flatnonzero(links == skeleton.parents[joint])[0])
        arm = positions[:, link] - positions[:, above]
        linear[:, link] = linear[:, above] + np.cross(angular[:, above], arm)
        spin = (rotations[:, link] @ axes[link - 1]) * hinge_velocities[:, link - 1, None]
        angular[:, link] = angular[:, above] + spin
    quaternions = matrix_to_quaternion(rotations).astype(np.float64)
    return LinkStates(positions, quaternions, linear, angular, hinge_velocities)


def project_to_hinges(
    local_rot_mats: ArrayLike, *, clamp_to_limits: bool = True, rest_zero: bool = False
) -> Floats:
    """Leave of G1's local rotations (..., 34, 3, 3) what its hinges can turn.

    The angle is the rotation vector's part along the axis, clamped to MuJoCo's limits if asked.
    rest_zero turns about the axis from the skeleton's rest pose, otherwise from MuJoCo's zero.
    """
    local = _g1(local_rot_mats)
    hinges = g1_hinges()
    vectors = matrix_to_axis_angle(hinges.offsets @ local[..., hinges.joints, :, :])
    angles = np.sum(vectors * hinges.offset_axes, axis=-1) - hinges.rest_axis_angle_rad
    if clamp_to_limits:
        angles = np.clip(angles, hinges.limits_rad[:, 0], hinges.limits_rad[:, 1])
    if rest_zero:
        turns = axis_angle_to_matrix(hinges.axes * angles[..., None])
    else:
        absolute = angles + hinges.rest_axis_angle_rad
        turns = axis_angle_to_matrix(hinges.offset_axes * absolute[..., None])
        turns = np.swapaxes(hinges.offsets, -1, -2) @ turns
    result = local.copy()
    result[..., hinges.joints, :, :] = turns
    return result


def _g1(local_rot_mats: ArrayLike) -> Floats:
    local = np.asarray(local_rot_mats, np.float32)
    if local.shape[-3:] != (34, 3, 3):
        raise InputError(f"local rotations are {local.shape}, G1's end in (34, 3, 3)")
    return local


def _on_hinges(turned: Floats, angles: Floats, hinges: Hinges) -> bool:
    """Say whether the rotations (..., 29, 3, 3) are turns about MuJoCo's hinges by the angles."""
    if turned.size == 0:
        return True
    turns = axis_angle_to_matrix(hinges.axes * angles[..., None])
    return bool(np.abs(turned - turns).max() < HINGE_TOLERANCE)


def _euler_angle(matrix: Floats, axis: Floats) -> Floats:
    """Kimodo's angle of a rotation about an axis: three plane angles, weighted by the axis."""
    planes = np.stack(
        [
            np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]),
            np.arctan2(matrix[..., 0, 2], matrix[..., 0, 0]),
            np.arctan2(matrix[..., 1, 0], matrix[..., 1, 1]),
        ],
        axis=-1,
    )
    result: Floats = np.sum(planes * axis, axis=-1)
    return result


def _rate(values: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return the change a second of values (T, ...): central differences, one-sided at the ends."""
    if len(values) < 2:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, 1 / fps, axis=0))


def _turn_rate(rotations: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return the angular velocity of rotations (T, 3, 3) in the world, as `_rate` does."""
    frames = np.arange(len(rotations))
    before, after = np.maximum(frames - 1, 0), np.minimum(frames + 1, len(rotations) - 1)
    turns = rotations[after] @ np.swapaxes(rotations[before], -1, -2)
    steps = np.maximum(after - before, 1)[:, None]
    return np.asarray(matrix_to_axis_angle(turns).astype(np.float64) * fps / steps)
