"""Motions of ours to HumanML3D's joints and back, and clips of joints put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.joint_ik import solve_joint_rotations
from motionrt.runtime.body.joint_names import joint_roles
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.rotation import rotation_about_y
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import (
    FPS,
    NUM_JOINTS,
    heading_of_joints,
    root_of_features,
)

SEAM_FRAMES = 8
"""Over so many frames a joined clip gives up the pose and speed that it was joined with."""


def motion_from_joints(
    joints: ArrayLike,
    skeleton: Skeleton | None = None,
    features: ArrayLike | None = None,
    fps: float = FPS,
    info: Mapping[str, Any] | None = None,
) -> Motion:
    """Make a motion from joint positions (T, 22, 3), its rotations by inverse kinematics.

    ``posed_joints`` are the positions as given. The skeleton's bones have lengths of their own, so
    that posing it by the rotations comes close to them and not upon them; ``info["ik_error_m"]``
    is the mean distance. Contacts and heading are read from features (T, 263), if given.
    """
    rig = skeleton or load_skeleton("humanml22")
    positions = np.asarray(joints, np.float32)
    rotations = solve_joint_rotations(positions, rig)
    posed, world = rig.forward_kinematics(rotations, positions[:, 0].astype(np.float64))
    error = float(np.linalg.norm(posed - positions, axis=-1).mean())
    optional: dict[str, Any] = {}
    if features is not None:
        values = np.asarray(features, np.float32)
        half = root_of_features(values)[0]
        # The quaternion turns the world to the heading, and its angle is halved.
        cos, sin = half[:, 0], half[:, 2]
        optional["global_root_heading"] = np.stack((cos**2 - sin**2, -2 * sin * cos), axis=-1)
        optional["foot_contacts"] = values[:, 259:263] > 0.5
    return Motion(
        fps=fps,
        skeleton=rig,
        local_rot_mats=rotations.astype(np.float32),
        root_positions=positions[:, 0],
        posed_joints=positions,
        global_rot_mats=world.astype(np.float32),
        info={**(info or {}), "ik_error_m": round(error, 6)},
        **optional,
    )


def joints_of_motion(motion: Motion) -> NDArray[np.float32]:
    """Return a motion's positions of HumanML3D's joints (T, 22, 3) at 20 frames a second.

    Joints are found by their names; InputError names one that the motion's skeleton lacks.
    """
    wanted = joint_roles(load_skeleton("humanml22").joint_names)
    found = joint_roles(motion.skeleton.joint_names)
    missing = [role for role in wanted if role not in found]
    if missing:
        raise InputError(
            f"skeleton {motion.skeleton.name}: no joint for {missing[0]} "
            f"({len(missing)} of {NUM_JOINTS} are not recognised by their names)"
        )
    order = [role for role, _ in sorted(wanted.items(), key=lambda item: item[1])]
    return resample(motion, FPS).posed_joints[:, [found[role] for role in order]]


def place_after(clip: ArrayLike, before: ArrayLike) -> NDArray[np.float32]:
    """Turn and shift a clip (T, 22, 3) so that it carries on from the frames before it.

    Its first frame faces as the last frame before, and its root is one step ahead.
    """
    joints, ahead = np.asarray(clip, np.float64), np.asarray(before, np.float64)
    turn = heading_of_joints(ahead[-1]) - heading_of_joints(joints[0])
    target = ahead[-1, 0] + _last_step(ahead)[0]
    return _moved(joints, joints[0, 0], target, turn)


def blend_from(clip: ArrayLike, before: ArrayLike) -> NDArray[np.float32]:
    """Begin a clip (T, 22, 3) with the pose and speed of the frames before it.

    The difference fades over ``SEAM_FRAMES``.
    """
    joints, ahead = np.asarray(clip, np.float64), np.asarray(before, np.float64)
    difference = ahead[-1] + _last_step(ahead) - joints[0]
    frames = min(SEAM_FRAMES, len(joints))
    left = 1 - np.arange(frames) / SEAM_FRAMES
    fading = left * left * (3 - 2 * left)
    result = joints.copy()
    result[:frames] += fading[:, None, None] * difference
    return result.astype(np.float32)


def join(before: ArrayLike, clip: ArrayLike) -> NDArray[np.float32]:
    """Put a clip behind another, both (T, 22, 3): placed, blended, one sequence."""
    placed = blend_from(place_after(clip, before), before)
    return np.concatenate((np.asarray(before, np.float32), placed))


def join_between(
    first: ArrayLike, clip: ArrayLike, last: ArrayLike, head_frames: int, tail_frames: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a generated clip between two motions, all (T, 22, 3).

    The clip's first head_frames and last tail_frames stand for the end of first and the beginning
    of last, which take their places. Returns what is left of the clip where first leads to, and
    last where the clip has got to.
    """
    head, tail = np.asarray(first, np.float32), np.asarray(last, np.float32)
    rest = place_after(np.asarray(clip)[head_frames:], head)
    middle, guide = rest[:-tail_frames], rest[-tail_frames]
    turn = heading_of_joints(guide) - heading_of_joints(tail[0])
    tail = _moved(tail, tail[0, 0], guide[0], turn)
    middle = blend_from(middle, head)
    # The same from behind: the sequence reversed carries on from the reversed tail.
    middle = blend_from(middle[::-1], tail[::-1])[::-1]
    return np.ascontiguousarray(middle), tail


def _last_step(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    return joints[-1] - joints[-2] if len(joints) > 1 else np.zeros_like(joints[-1])


def _moved(
    joints: ArrayLike, pivot: ArrayLike, target: ArrayLike, turn_rad: float
) -> NDArray[np.float32]:
    """Turn joints about y around a pivot, then bring the pivot to a target along x and z."""
    ground = np.array([1.0, 0.0, 1.0])
    centre = np.asarray(pivot, np.float64) * ground
    moved = (np.asarray(joints, np.float64) - centre) @ rotation_about_y(turn_rad).T
    return np.asarray(moved + np.asarray(target, np.float64) * ground, np.float32)
