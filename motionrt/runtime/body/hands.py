"""Poses of hands: how far each finger is bent, for motions that say nothing of fingers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.bone_mapping import FINGERS, SIDES, BoneMap, map_bones
from motionrt.runtime.body.common_pose import common_pose
from motionrt.runtime.body.hand_poses import HAND_POSES
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import turn_about, unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]


def with_hands(motion: Motion, pose: str, bones: BoneMap | None = None) -> Motion:
    """Put all fingers of a motion into a pose (`hand_poses.HAND_POSES`), for its whole length.

    bones says which joints are fingers; None finds them by `bone_mapping.map_bones`. InputError if
    there is no such pose, or the skeleton has no fingers.
    """
    if pose not in HAND_POSES:
        raise InputError(f"hands {pose!r}: there are {', '.join(HAND_POSES)}")
    motion = motion.expanded()
    bones = map_bones(motion.skeleton) if bones is None else bones
    fingers = finger_rotations(motion.skeleton, bones, pose)
    if not fingers:
        raise InputError(
            f"skeleton {motion.skeleton.name} has no fingers; retarget the motion to a character "
            "that has"
        )
    local = motion.local_rot_mats.copy()
    for joint, rotation in fingers.items():
        local[:, joint] = rotation
    return Motion.from_local(
        local,
        motion.root_positions,
        motion.skeleton,
        motion.fps,
        foot_contacts=motion.foot_contacts,
        smooth_root_pos=motion.smooth_root_pos,
        global_root_heading=motion.global_root_heading,
        info=dict(motion.info),
    )


def finger_rotations(skeleton: Skeleton, bones: BoneMap, pose: str) -> Mapping[int, Array]:
    """Local rotations (3, 3) of the joints of fingers in a pose; empty if there are none.

    Fingers bend towards the palm, which looks down in the common T-pose; a thumb bends across it.
    """
    found: dict[int, Array] = {}
    joints = bones.joints
    common = common_pose(skeleton, bones)
    rest = skeleton.rest_positions.astype(np.float64)
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        for finger, bends in zip(FINGERS, HAND_POSES[pose], strict=True):
            axis = np.array([0, 0, -sign])
            first, second = (joints.get(f"{finger}{number}_{side}") for number in (1, 2))
            if finger == "thumb" and first is not None and second is not None:
                # Square to the thumb and to the way down and in, across the palm.
                along = unit(common[first] @ (rest[second] - rest[first]))
                across = np.cross(along, np.array([0.35 * sign, -0.8, -0.5]))
                axis = unit(across) if np.linalg.norm(across) > 1e-6 else axis
            for number, degrees in enumerate(bends, start=1):
                joint = joints.get(f"{finger}{number}_{side}")
                if joint is None:
                    continue
                parent = int(skeleton.parents[joint])
                bend = turn_about(axis, np.asarray(math.radians(degrees)))
                found[joint] = common[parent].T @ bend @ common[joint]
    return found
