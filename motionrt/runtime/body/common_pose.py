"""One pose that the rest poses of all humanoids are brought into, so that turns mean the same."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.bone_mapping import FINGERS, LIMBS, SIDES, BoneMap
from motionrt.runtime.body.rotation import rotation_about_y, shortest_arc
from motionrt.runtime.body.skeleton import Skeleton

Array = NDArray[np.float64]

_ASKEW = math.radians(15)
"""Rest poses face along an axis: SMPL-X's thighs say that its one looks 3 degrees aside."""


def turn_to_front(skeleton: Skeleton, bones: BoneMap) -> Array:
    """The rotation (3, 3) about y that has a rest pose face +z, by the line between its thighs."""
    rest = skeleton.rest_positions.astype(np.float64)
    joints = bones.joints
    across = rest[joints["thigh_left"]] - rest[joints["thigh_right"]]
    heading = math.atan2(-across[2], across[0])
    quarter = round(heading / (math.pi / 2)) * math.pi / 2
    if abs(heading - quarter) < _ASKEW:  # thighs are not quite level with each other
        heading = quarter
    return np.asarray(rotation_about_y(-heading), np.float64)


def common_pose(skeleton: Skeleton, bones: BoneMap) -> Array:
    """World rotations (J, 3, 3) that bring a rest pose into the T-pose that faces +z.

    Limbs are turned from the shoulders and hips outwards, fingers along the arms; feet stay flat
    and thumbs as they are to the hand.
    """
    upright = turn_to_front(skeleton, bones)
    rest = skeleton.rest_positions.astype(np.float64) @ upright.T
    turns = np.tile(np.eye(3), (skeleton.num_joints, 1, 1))
    joints = bones.joints
    below = descendants(skeleton)
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        out, down = np.array([sign, 0, 0]), np.array([0, -1.0, 0])
        chains = [(LIMBS["arm"] + ("middle1",), out), (LIMBS["leg"], down)]
        chains += [
            (tuple(f"{finger}{number}" for number in (1, 2, 3)), out) for finger in FINGERS[1:]
        ]
        for roles, way in chains:
            chain = [joints[f"{role}_{side}"] for role in roles if f"{role}_{side}" in joints]
            for upper, lower in pairwise(chain):
                bone = turns[upper] @ (rest[lower] - rest[upper])
                if np.linalg.norm(bone) > 0:
                    turns[below[upper]] = shortest_arc(bone, way) @ turns[below[upper]]
        foot, toe = joints[f"foot_{side}"], joints.get(f"toe_{side}")
        turns[below[foot]] = np.eye(3)
        if toe is not None:
            bone = rest[toe] - rest[foot]
            turns[below[foot]] = rotation_about_y(-math.atan2(bone[0], bone[2]))
    result: Array = turns @ upright
    return result


def descendants(skeleton: Skeleton) -> list[NDArray[np.int64]]:
    """Each joint with all that are below it."""
    below: list[list[int]] = [[joint] for joint in range(skeleton.num_joints)]
    for joint in range(skeleton.num_joints - 1, 0, -1):
        below[int(skeleton.parents[joint])] += below[joint]
    return [np.array(sorted(joints)) for joints in below]
