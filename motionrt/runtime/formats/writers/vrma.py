"""Write a motion as .vrma: a .glb with the extension VRMC_vrm_animation 1.0, for VRM avatars."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_roles, role_names
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase, rest_rotations
from motionrt.runtime.body.rotation import unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.known_skeletons import unique_names
from motionrt.runtime.formats.writers.gltf import (
    ASSET,
    Buffer,
    container,
    skeleton_and_animation,
)

_SIDES = (("left", 1.0), ("right", -1.0))
_REQUIRED = (
    "hips",
    "spine",
    "head",
    *(
        f"{role}_{side}"
        for role in ("upper_arm", "lower_arm", "hand", "thigh", "shin", "foot")
        for side, _ in _SIDES
    ),
)
"""What VRM 1.0 requires of a humanoid."""
_NO_BONES = ("leftEye", "rightEye")
"""A VRM Animation turns eyes by where they look, not as bones."""
_LIMBS = (
    (("upper_arm", "lower_arm", "hand", "middle1"), (1.0, 0.0, 0.0)),
    (("thigh", "shin", "foot"), (0.0, -1.0, 0.0)),
)
"""Joints along a limb, and where its bones point in a T-pose; x is mirrored on the right."""
_STRAIGHT = np.cos(np.radians(15))


def write_vrma(motion: Motion, path: str | os.PathLike[str]) -> None:
    """Write .vrma: bones under VRM's names, a T-pose at rest, the hips' place, no figure.

    Whatever skeleton the motion is on, its joints are told by their names
    (`motionrt.runtime.body.joint_names`). Where VRM has no bone for one, a second neck or a
    metacarpal, the bone after it takes its turn, so that avatars show every bone as it is turned.
    InputError if one is missing that a VRM humanoid must have.
    """
    data = vrma_bytes(motion)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def vrma_bytes(motion: Motion) -> bytes:
    """Make the bytes of a .vrma file; InputError if the motion is on no humanoid."""
    roles = joint_roles(motion.skeleton.joint_names)
    missing = [role.replace("_", " ") for role in _REQUIRED if role not in roles]
    if missing:
        told = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise InputError(
            f"skeleton {motion.skeleton.name} is no VRM humanoid: its joint names tell no {told}"
        )
    motion = _from_the_hips(motion, roles["hips"])
    roles = joint_roles(motion.skeleton.joint_names)
    if "upper_chest" in roles and "chest" not in roles:
        roles["chest"] = roles.pop("upper_chest")  # VRM has no upper chest without a chest
    bones = {joint: bone for role, joint in roles.items() if (bone := role_names(role)["vrm"])}
    based = _folded(rebase(motion, _t_pose(motion.skeleton, roles)), bones)
    names = [bones.get(joint, name) for joint, name in enumerate(based.skeleton.joint_names)]
    buffer = Buffer()
    nodes, animation = skeleton_and_animation(based, unique_names(names), buffer)
    human_bones = {bone: {"node": joint} for joint, bone in bones.items() if bone not in _NO_BONES}
    document = {
        "asset": ASSET,
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {
            "VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": {"humanBones": human_bones}}
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "animations": [animation],
        **buffer.tables(),
    }
    return container(document, bytes(buffer.data))


def _folded(motion: Motion, bones: Collection[int]) -> Motion:
    """Still the joints between bones: avatars do not have them, their turn is the next bone's."""
    skeleton = motion.skeleton
    leads = [joint in bones for joint in range(skeleton.num_joints)]
    for joint in range(skeleton.num_joints - 1, 0, -1):
        leads[skeleton.parents[joint]] |= leads[joint]
    turns = motion.global_rot_mats.copy()
    for joint in range(1, skeleton.num_joints):
        if leads[joint] and joint not in bones:
            turns[:, joint] = turns[:, skeleton.parents[joint]]
    local = skeleton.global_to_local(turns)
    return Motion.from_local(local, motion.root_positions, skeleton, motion.fps)


def _from_the_hips(motion: Motion, hips: int) -> Motion:
    """Make the hips the root: of a VRM Animation only they move."""
    skeleton = motion.skeleton
    if hips == 0:
        return motion
    kept = [hips]
    index = {hips: 0}
    for joint in range(hips + 1, skeleton.num_joints):
        if int(skeleton.parents[joint]) in index:
            index[joint] = len(kept)
            kept.append(joint)
    local = motion.local_rot_mats[:, kept]
    local[:, 0] = motion.global_rot_mats[:, hips]
    body = Skeleton(
        name=skeleton.name,
        joint_names=tuple(skeleton.joint_names[joint] for joint in kept),
        parents=np.array([-1, *(index[int(skeleton.parents[joint])] for joint in kept[1:])]),
        rest_positions=skeleton.rest_positions[kept],
    )
    return Motion.from_local(local, motion.posed_joints[:, hips], body, motion.fps)


def _t_pose(skeleton: Skeleton, roles: Mapping[str, int]) -> NDArray[np.float32]:
    """World rotations (J, 3, 3) that bring a humanoid into VRM's T-pose, facing +z."""
    if skeleton.t_pose_bones is not None:
        return rest_rotations(skeleton, "t-pose")
    rest = skeleton.rest_positions.astype(np.float64)
    across = unit(rest[roles["thigh_left"]] - rest[roles["thigh_right"]])
    up = rest[roles["head"]] - rest[roles["hips"]]
    up = unit(up - across * (across @ up))
    upright = np.stack([across, up, np.cross(across, up)])
    if not (across.any() and up.any()) or np.diag(upright).min() > _STRAIGHT:
        upright = np.eye(3)
    turned = rest @ upright.T
    bones = []
    for limb, (x, y, z) in _LIMBS:
        for side, sign in _SIDES:
            joints = [roles[f"{role}_{side}"] for role in limb if f"{role}_{side}" in roles]
            pairs = list(pairwise(joints))
            way = np.array([x * sign, y, z])
            if any(unit(turned[end] - turned[joint]) @ way < _STRAIGHT for joint, end in pairs):
                names = skeleton.joint_names
                bones += [(names[joint], names[end], tuple(way.tolist())) for joint, end in pairs]
    standing = replace(
        skeleton, rest_positions=turned.astype(np.float32), t_pose_bones=tuple(bones)
    )
    rotations: NDArray[np.float32] = (rest_rotations(standing, "t-pose") @ upright).astype(
        np.float32
    )
    return rotations
