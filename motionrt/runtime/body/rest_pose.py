"""Rest poses: say the same motion relative to another pose of the skeleton.

A file's rest pose is what its joints look like when every rotation is zero. Retargeting tools
take it for the reference, and expect a T-pose.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import shortest_arc
from motionrt.runtime.body.skeleton import Skeleton, skeleton_asset
from motionrt.runtime.errors import InputError

REST_POSES = ("neutral", "t-pose")
"""neutral: the pose the skeleton's rest positions show; t-pose: arms out to the sides, facing +z.

They differ for G1 only, and in SOMA's BVH files: there neutral is the rig's own pose
(`bvh_rig_rotations`), as Kimodo writes it.
"""


def rest_rotations(skeleton: Skeleton, rest: str) -> NDArray[np.float32]:
    """World rotations (J, 3, 3) that bring the skeleton from its rest positions into a rest pose.

    InputError if there is no such pose for the skeleton.
    """
    if rest not in REST_POSES:
        raise InputError(f"rest pose {rest!r}: there are {' and '.join(REST_POSES)}")
    if rest == "t-pose":
        if skeleton.t_pose_bones is None:
            raise InputError(
                f"skeleton {skeleton.name}: its T-pose is not known; use the neutral rest pose"
            )
        return _t_pose_rotations(skeleton)
    return np.tile(np.eye(3, dtype=np.float32), (skeleton.num_joints, 1, 1))


@lru_cache
def bvh_rig_rotations(name: str) -> NDArray[np.float32]:
    """World rotations (J, 3, 3) that bring a skeleton's rest into that of its BVH files.

    For skeletons with a rig of their own (`Skeleton.has_bvh_rig`): SOMA's 77 joints.
    """
    offsets = np.asarray(skeleton_asset(name)["bvh_rotation_offsets"], np.float32)
    return np.ascontiguousarray(np.swapaxes(offsets, -1, -2))


def rebase(motion: Motion, rotations: NDArray[np.float32]) -> Motion:
    """Express a motion relative to the rest pose that the world rotations (J, 3, 3) reach.

    Joints stay where they are in the world; rest positions and rotations change. Rebasing the
    result by the transposed rotations gives the motion back.
    """
    skeleton = rebased_skeleton(motion.skeleton, rotations)
    global_rots = motion.global_rot_mats @ np.swapaxes(rotations, -1, -2)
    return Motion(
        fps=motion.fps,
        skeleton=skeleton,
        local_rot_mats=skeleton.global_to_local(global_rots).astype(np.float32),
        root_positions=motion.root_positions,
        posed_joints=motion.posed_joints,
        global_rot_mats=global_rots,
        foot_contacts=motion.foot_contacts,
        smooth_root_pos=motion.smooth_root_pos,
        global_root_heading=motion.global_root_heading,
        info=dict(motion.info),
    )


def rebased_skeleton(skeleton: Skeleton, rotations: NDArray[np.float32]) -> Skeleton:
    """Give the skeleton the rest positions that world rotations (J, 3, 3) reach."""
    local = skeleton.global_to_local(np.asarray(rotations, np.float64))
    positions, _ = skeleton.forward_kinematics(local, skeleton.rest_positions[0])
    return replace(skeleton, rest_positions=positions.astype(np.float32))


@lru_cache
def _t_pose_rotations(skeleton: Skeleton) -> NDArray[np.float32]:
    """Turn the bones that a skeleton names into the directions it names, shortest way."""
    rotations = np.tile(np.eye(3), (skeleton.num_joints, 1, 1))
    for joint_name, end_name, direction in skeleton.t_pose_bones or ():
        joint, end = skeleton.index(joint_name), skeleton.index(end_name)
        local = skeleton.global_to_local(rotations)
        positions, _ = skeleton.forward_kinematics(local, np.zeros(3))
        turn = shortest_arc(positions[end] - positions[joint], np.asarray(direction, float))
        below = _descendants(skeleton, joint)
        rotations[below] = turn @ rotations[below]
    return rotations.astype(np.float32)


def _descendants(skeleton: Skeleton, joint: int) -> NDArray[np.int64]:
    inside = np.zeros(skeleton.num_joints, bool)
    inside[joint] = True
    for other in range(joint + 1, skeleton.num_joints):
        inside[other] = inside[skeleton.parents[other]]
    return np.flatnonzero(inside)
