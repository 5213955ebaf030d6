"""Bring the motions of files onto motionrt's own skeletons."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import (
    NAMINGS,
    STYLES,
    renamed_joints,
    without_namespaces,
)
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import (
    REST_POSES,
    bvh_rig_rotations,
    rebase,
    rebased_skeleton,
    rest_rotations,
)
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton

_OFFSET_TOLERANCE_M = 5e-4


def skeleton_with_names(joint_names: tuple[str, ...]) -> Skeleton | None:
    """Find the skeleton that the joint names alone stand for: the first one that has them."""
    for name in SKELETON_NAMES:
        if load_skeleton(name).joint_names == joint_names:
            return load_skeleton(name)
    return None


def on_known_skeleton(motion: Motion) -> Motion:
    """Bring a motion onto the skeleton of motionrt whose joints and bones it has, if there is one.

    Joint order, an engine's names, namespaces before them and another rest pose are undone; any
    other motion is returned as it is.
    """
    skeleton = motion.skeleton
    readings = [skeleton.joint_names, *without_namespaces(skeleton.joint_names)]
    indices = [{name: joint for joint, name in enumerate(names)} for names in readings]
    pairs = product([index for index in indices if len(index) == skeleton.num_joints], _forms())
    for index, (known, names, rotations, offsets) in pairs:
        if index.keys() != set(names):
            continue
        order = [index[name] for name in names]
        place = {joint: index for index, joint in enumerate(order)}
        parents = [place.get(int(skeleton.parents[joint]), -1) for joint in order]
        if parents != known.parents.tolist():
            continue
        if np.abs(skeleton.offsets[order][1:] - offsets[1:]).max() > _OFFSET_TOLERANCE_M:
            continue
        based = Motion.from_local(
            motion.local_rot_mats[:, order],
            motion.root_positions,
            rebased_skeleton(known, rotations),
            motion.fps,
            foot_contacts=motion.foot_contacts,
            info=dict(motion.info),
        )
        back = rebase(based, np.ascontiguousarray(np.swapaxes(rotations, -1, -2)))
        return Motion.from_local(
            back.local_rot_mats,
            motion.root_positions,
            known,
            motion.fps,
            foot_contacts=motion.foot_contacts,
            info=dict(motion.info),
        )
    return motion


@lru_cache
def _forms() -> list[tuple[Skeleton, tuple[str, ...], NDArray[np.float32], NDArray[np.float32]]]:
    """Each skeleton in each rest pose under each set of names."""
    forms = []
    for name in SKELETON_NAMES:
        skeleton = load_skeleton(name)
        poses = [rest_rotations(skeleton, rest) for rest in REST_POSES]
        if skeleton.has_bvh_rig:
            poses.append(bvh_rig_rotations(name))
        sets = [skeleton.joint_names]
        if skeleton.naming in NAMINGS:
            renamed = [renamed_joints(skeleton, style) for style in STYLES]
            sets += [*renamed, *(without_namespaces(names)[0] for names in renamed)]
        for rotations in poses:
            offsets = rebased_skeleton(skeleton, rotations).offsets
            forms += [(skeleton, names, rotations, offsets) for names in sets]
    return forms


def unique_names(names: list[str]) -> tuple[str, ...]:
    """Number the names that occur more than once; time is linear in their number."""
    seen: set[str] = set()
    next_number: dict[str, int] = {}
    result = []
    for name in names:
        candidate, number = name, next_number.get(name, 2)
        while candidate in seen:
            candidate, number = f"{name}_{number}", number + 1
        next_number[name] = number
        seen.add(candidate)
        result.append(candidate)
    return tuple(result)
