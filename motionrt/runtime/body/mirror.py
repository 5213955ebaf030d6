"""Mirror a motion: what the left did, the right does."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

_SIDES = re.compile(
    r"left|right|(?<![a-z])l(?![a-z])|(?<![a-z])r(?![a-z])"
    r"|(?<=[a-z])(?-i:[LR])(?![A-Za-z])|^(?-i:[lr])(?=(?-i:[A-Z]))",
    re.IGNORECASE,
)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
_FLIP = np.diag([-1.0, 1.0, 1.0])
_UNLIKE_M = 0.05
"""How far the rest pose's two sides may be from being mirrors of each other."""


def mirrored(motion: Motion) -> Motion:
    """Mirror a motion at the plane x = 0, left limbs doing what right ones did.

    The rest pose has to be the same on both sides. InputError if it is not, or if no names of
    joints tell the sides.
    """
    skeleton = motion.skeleton
    pairs = mirror_pairs(skeleton)
    rest = skeleton.offsets.astype(np.float64)
    if np.abs(rest[pairs] @ _FLIP - rest).max() > _UNLIKE_M:
        joint = int(np.abs(rest[pairs] @ _FLIP - rest).max(axis=1).argmax())
        raise InputError(
            f"skeleton {skeleton.name}: its two sides differ ({skeleton.joint_names[joint]}); it "
            "cannot be mirrored"
        )
    local = _FLIP @ motion.local_rot_mats[:, pairs].astype(np.float64) @ _FLIP
    contacts = motion.foot_contacts
    if contacts is not None and contacts.shape[1] % 2 == 0:
        half = contacts.shape[1] // 2
        contacts = np.concatenate([contacts[:, half:], contacts[:, :half]], axis=1)
    smooth, heading = motion.smooth_root_pos, motion.global_root_heading
    info = dict(motion.info)
    if isinstance(info.get("loop"), dict):
        loop = dict(info["loop"])
        x, z = loop["step_m"]
        info["loop"] = {**loop, "step_m": [-x, z], "turn_deg": -loop["turn_deg"]}
    return Motion.from_local(
        local,
        motion.root_positions.astype(np.float64) @ _FLIP,
        skeleton,
        motion.fps,
        foot_contacts=contacts,
        smooth_root_pos=None if smooth is None else smooth @ _FLIP,
        global_root_heading=None if heading is None else heading * np.array([1, -1], np.float32),
        info=info,
    )


def mirror_pairs(skeleton: Skeleton) -> NDArray[np.int64]:
    """Find each joint's counterpart on the other side, (J,); itself for those in the middle.

    Names that differ in left and right alone are counterparts, as are L and R that stand apart.
    InputError if there is no pair at all.
    """
    index = {name: joint for joint, name in enumerate(skeleton.joint_names)}
    pairs = np.arange(skeleton.num_joints)
    for joint, name in enumerate(skeleton.joint_names):
        pairs[joint] = index.get(_other_side(name), joint)
    if (pairs == np.arange(len(pairs))).all():
        raise InputError(f"skeleton {skeleton.name}: no names of joints tell left from right")
    return pairs


def _other_side(name: str) -> str:
    def other(found: re.Match[str]) -> str:
        word = found.group()
        new = _OTHER[word.lower()]
        if word.isupper():
            return new.upper()
        return new.capitalize() if word[0].isupper() else new

    return _SIDES.sub(other, name)
