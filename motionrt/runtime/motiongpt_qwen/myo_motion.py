"""MyoSkeleton's joint positions to motions and back.

The model knows positions relative to the pelvis alone: where the body goes is lost before training,
and no rotations are there. The unit is taken for metres and y for up; nothing upstream says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.joint_ik import solve_joint_rotations
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.rotation import unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
FPS = 20.0
PELVIS = 1
"""The joint at which each frame has its origin."""
PATH_IS_LOST = (
    "MyoSkeleton holds no path: upstream takes the pelvis as the origin of every frame, so the "
    "body stays in its place"
)
_NO_BONE_M = 1e-6


def myo_motion(
    joints: ArrayLike, skeleton: Skeleton, info: Mapping[str, Any] | None = None
) -> Motion:
    """Make a motion from positions (T, J, 3) relative to the pelvis.

    The body is set on the floor: its lowest joint of all frames has height zero
    (``info["lifted_m"]`` says by how much; upstream's positions are those without). Bones get their
    median length over the clip, and rotations are fitted to the tree, swings without twist.
    ``info["ik_error_m"]`` is the mean distance of the joints so posed from those given, which
    ``posed_joints`` are.
    """
    given = np.asarray(joints, np.float64)
    lift = -float(given[..., 1].min())
    seen = given + np.array([0, lift, 0])
    rig = fitted_skeleton(seen, skeleton)
    # The root has one short bone, whose direction is mostly noise: it does not turn, and stands
    # where the pelvis has it.
    bones, aims = rig.offsets.astype(np.float64), seen.copy()
    root = seen[:, PELVIS] - bones[PELVIS]
    bones[PELVIS], aims[:, 0] = 0, seen[:, PELVIS]
    rotations = solve_joint_rotations(aims, rig, bones)
    posed, world = rig.forward_kinematics(rotations, root)
    distances = np.linalg.norm(posed - seen, axis=-1)
    return Motion(
        fps=FPS,
        skeleton=rig,
        local_rot_mats=rotations.astype(np.float32),
        root_positions=root.astype(np.float32),
        posed_joints=seen.astype(np.float32),
        global_rot_mats=world.astype(np.float32),
        info={
            **(info or {}),
            "ik_error_m": round(float(distances.mean()), 6),
            "ik_largest_error_m": round(float(distances.max()), 6),
            "lifted_m": round(lift, 6),
            "in_place": True,
        },
        notes=[PATH_IS_LOST],
    )


def fitted_skeleton(joints: ArrayLike, skeleton: Skeleton) -> Skeleton:
    """Give a skeleton the median bone lengths of positions (T, J, 3), in its own directions.

    A bone of no length in the skeleton points where it does on average, and so does the root's.
    """
    seen = np.asarray(joints, np.float64)
    parents = skeleton.parents[1:]
    steps = seen[:, 1:] - seen[:, parents]
    lengths = np.median(np.linalg.norm(steps, axis=-1), axis=0)
    own = skeleton.offsets[1:].astype(np.float64)
    mean = steps.mean(axis=0)
    short = np.linalg.norm(own, axis=-1, keepdims=True) < _NO_BONE_M
    offsets = unit(np.where(short, mean, own)) * lengths[:, None]
    offsets[PELVIS - 1] = mean[PELVIS - 1]
    rest = np.zeros((skeleton.num_joints, 3))
    for joint in range(1, skeleton.num_joints):
        rest[joint] = rest[skeleton.parents[joint]] + offsets[joint - 1]
    return replace(skeleton, rest_positions=rest.astype(np.float32))


def centred(joints: ArrayLike) -> Floats:
    """Take the pelvis off every joint of (T, J, 3), frame by frame, as upstream's loader does."""
    positions = np.asarray(joints, np.float32)
    return positions - positions[:, PELVIS, None]


def joints_of(motion: Motion | ArrayLike, skeleton: Skeleton) -> Floats:
    """Return positions (T, J, 3) relative to the pelvis, at 20 frames a second.

    motion: on a skeleton with these joint names, or an array (T, J, 3) or (T, J * 3) at that rate.
    InputError names a joint that it lacks.
    """
    count = skeleton.num_joints
    if isinstance(motion, Motion):
        place = {name: joint for joint, name in enumerate(motion.skeleton.joint_names)}
        missing = [name for name in skeleton.joint_names if name not in place]
        if missing:
            raise InputError(
                f"skeleton {motion.skeleton.name}: no joint {missing[0]} ({len(missing)} of "
                f"{count} are missing); this model reads motions of {skeleton.name}"
            )
        order = [place[name] for name in skeleton.joint_names]
        return centred(resample(motion, FPS).posed_joints[:, order])
    try:
        array = np.asarray(motion, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"motion: no numbers ({error})") from error
    if array.shape[1:] == (3 * count,):
        array = array.reshape(-1, count, 3)
    if array.shape[1:] != (count, 3) or not len(array):
        raise InputError(
            f"motion is {array.shape}, should be joints (frames, {count}, 3) of {skeleton.name}"
        )
    if not np.isfinite(array).all():
        raise InputError("motion: not all numbers are finite")
    return centred(array)
