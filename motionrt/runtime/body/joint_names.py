"""Joint names that engines map by themselves: Mixamo, Unreal Engine 5, VRM.

A joint that the other rig does not have keeps its own name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

STYLES = ("mixamo", "ue5", "vrm")
"""What `renamed_joints` knows."""

# One row a joint: our role, then the name in each style; a blank keeps the skeleton's own name.
# {S}, {s} and {side} become Left, l and left, or Right, r and right.
_ROLES: dict[str, tuple[str, str, str]] = {
    "hips": ("Hips", "pelvis", "hips"),
    "spine": ("Spine", "spine_01", "spine"),
    "chest": ("Spine1", "spine_02", "chest"),
    "upper_chest": ("Spine2", "spine_03", "upperChest"),
    "neck": ("Neck", "neck_01", "neck"),
    "neck2": ("Neck1", "neck_02", ""),
    "head": ("Head", "head", "head"),
    "head_end": ("HeadTop_End", "", ""),
    "jaw": ("", "jaw", "jaw"),
    "eye": ("{S}Eye", "eye_{s}", "{side}Eye"),
    "clavicle": ("{S}Shoulder", "clavicle_{s}", "{side}Shoulder"),
    "upper_arm": ("{S}Arm", "upperarm_{s}", "{side}UpperArm"),
    "lower_arm": ("{S}ForeArm", "lowerarm_{s}", "{side}LowerArm"),
    "hand": ("{S}Hand", "hand_{s}", "{side}Hand"),
    "thigh": ("{S}UpLeg", "thigh_{s}", "{side}UpperLeg"),
    "shin": ("{S}Leg", "calf_{s}", "{side}LowerLeg"),
    "foot": ("{S}Foot", "foot_{s}", "{side}Foot"),
    "toe": ("{S}ToeBase", "ball_{s}", "{side}Toes"),
    "toe_end": ("{S}Toe_End", "", ""),
    "thumb1": ("{S}HandThumb1", "thumb_01_{s}", "{side}ThumbMetacarpal"),
    "thumb2": ("{S}HandThumb2", "thumb_02_{s}", "{side}ThumbProximal"),
    "thumb3": ("{S}HandThumb3", "thumb_03_{s}", "{side}ThumbDistal"),
    "thumb_end": ("{S}HandThumb4", "", ""),
}
for _finger, _vrm in (
    ("Index", "Index"),
    ("Middle", "Middle"),
    ("Ring", "Ring"),
    ("Pinky", "Little"),
):
    _low = _finger.lower()
    _ROLES[f"{_low}0"] = (f"{{S}}InHand{_finger}", f"{_low}_metacarpal_{{s}}", "")
    for _number, _part in enumerate(("Proximal", "Intermediate", "Distal"), start=1):
        _ROLES[f"{_low}{_number}"] = (
            f"{{S}}Hand{_finger}{_number}",
            f"{_low}_0{_number}_{{s}}",
            f"{{side}}{_vrm}{_part}",
        )
    _ROLES[f"{_low}_end"] = (f"{{S}}Hand{_finger}4", "", "")

_SOMA = {
    "Hips": "hips",
    "Spine1": "spine",
    "Spine2": "chest",
    "Chest": "upper_chest",
    "Neck1": "neck",
    "Neck2": "neck2",
    "Head": "head",
    "HeadEnd": "head_end",
    "Jaw": "jaw",
    "{S}Eye": "eye",
    "{S}Shoulder": "clavicle",
    "{S}Arm": "upper_arm",
    "{S}ForeArm": "lower_arm",
    "{S}Hand": "hand",
    "{S}Leg": "thigh",
    "{S}Shin": "shin",
    "{S}Foot": "foot",
    "{S}ToeBase": "toe",
    "{S}ToeEnd": "toe_end",
    "{S}HandThumb1": "thumb1",
    "{S}HandThumb2": "thumb2",
    "{S}HandThumb3": "thumb3",
    "{S}HandThumbEnd": "thumb_end",
}
for _finger in ("Index", "Middle", "Ring", "Pinky"):
    # SOMA's first joint of a finger is the metacarpal, inside the palm.
    for _number in range(4):
        _SOMA[f"{{S}}Hand{_finger}{_number + 1}"] = f"{_finger.lower()}{_number}"
    _SOMA[f"{{S}}Hand{_finger}End"] = f"{_finger.lower()}_end"

_SMPLX = {
    "pelvis": "hips",
    "spine1": "spine",
    "spine2": "chest",
    "spine3": "upper_chest",
    "neck": "neck",
    "head": "head",
    "{side}_hip": "thigh",
    "{side}_knee": "shin",
    "{side}_ankle": "foot",
    "{side}_foot": "toe",
    "{side}_collar": "clavicle",
    "{side}_shoulder": "upper_arm",
    "{side}_elbow": "lower_arm",
    "{side}_wrist": "hand",
}

_CMU = {
    "Hips": "hips",
    "Spine": "spine",
    "Spine1": "chest",
    "Spine2": "upper_chest",
    "Neck": "neck",
    "Head": "head",
    "{S}UpLeg": "thigh",
    "{S}Leg": "shin",
    "{S}Foot": "foot",
    "{S}Toe": "toe",
    "{S}Shoulder": "clavicle",
    "{S}Arm": "upper_arm",
    "{S}ForeArm": "lower_arm",
    "{S}Hand": "hand",
}

_CORE = {
    # Of four joints of the spine the last carries neck and shoulders; the second keeps its name.
    "Hips": "hips",
    "Spine": "spine",
    "Spine2": "chest",
    "Spine3": "upper_chest",
    "Neck": "neck",
    "Head": "head",
    "{S}UpLeg": "thigh",
    "{S}Leg": "shin",
    "{S}Foot": "foot",
    "{S}ToeBase": "toe",
    "{S}Shoulder": "clavicle",
    "{S}Arm": "upper_arm",
    "{S}ForeArm": "lower_arm",
    "{S}Hand": "hand",
    "{S}HandThumb1": "thumb1",
}

_MYO = {
    "pelvis": "hips",
    "lumbar_spine_3": "spine",
    "thoracic_spine": "chest",
    "cervical_spine_4": "neck",
    "skull": "head",
    "clavicle_{s}": "clavicle",
    "humerus_{s}": "upper_arm",
    "ulna_{s}": "lower_arm",
    "lunate_{s}": "hand",
    "femur_{s}": "thigh",
    "tibia_{s}": "shin",
    "foot_{s}": "foot",
    "proximal_phalanx_1_{s}": "thumb2",
    "proximal_phalanx_2_{s}": "index1",
}

NAMINGS = {"soma": _SOMA, "smplx": _SMPLX, "cmu": _CMU, "core": _CORE, "myo": _MYO}
"""Joint names -> roles, by whose names they are (`Skeleton.naming`)."""


_NAMESPACE = re.compile(r"^(?:.*[:|])?(?:mixamorig\d*_?)?", re.DOTALL)


def renamed_joints(skeleton: Skeleton, style: str) -> tuple[str, ...]:
    """Give a skeleton's joints their names in another rig; InputError if there is no table."""
    if style not in STYLES:
        raise InputError(f"joint names {style!r}: there are {', '.join(STYLES)}")
    if skeleton.naming not in NAMINGS:
        raise InputError(
            f"skeleton {skeleton.name} has no {style} names; those named as {', '.join(NAMINGS)} "
            "have"
        )
    column = STYLES.index(style)
    names: dict[str, str] = {}
    for pattern, role in NAMINGS[skeleton.naming].items():
        for side in ("Left", "Right"):
            words = {"S": side, "s": side[0].lower(), "side": side.lower()}
            new = _ROLES[role][column].format(**words)
            if new:
                names[pattern.format(**words)] = ("mixamorig:" if style == "mixamo" else "") + new
    return tuple(names.get(name, name) for name in skeleton.joint_names)


def without_namespaces(joint_names: Sequence[str]) -> list[tuple[str, ...]]:
    """Take away what tools put before joint names; one or two readings, the likelier first.

    That is all up to the last ``:`` or ``|`` (``char1:Hips``, ``Armature|Hips``) and ``mixamorig``
    whatever follows it, in the second reading also a word and ``_`` that all names but one, a root
    above them, have in front (``Character1_Hips``).
    """
    plain = tuple(_NAMESPACE.sub("", name) or name for name in joint_names)
    words = Counter(name.partition("_")[0] for name in plain if "_" in name)
    (word, count), *_ = words.most_common(1) or [("", 0)]
    if count < max(len(plain) - 1, 2):
        return [plain]
    return [plain, tuple(name.removeprefix(f"{word}_") or name for name in plain)]


def joint_roles(joint_names: Sequence[str]) -> dict[str, int]:
    """Say which joint plays which role, by the names of any rig that is known here.

    Namespaces before the names do not matter. Roles are the keys of the table above, with
    ``_left`` or ``_right`` where there are two. The rig that knows most of the names is taken; a
    role that it has twice goes to the first joint.
    """
    readings = without_namespaces(joint_names)
    best: dict[str, int] = {}
    for roles in _rigs():
        for names in readings:
            found: dict[str, int] = {}
            for joint, name in enumerate(names):
                if name in roles:
                    found.setdefault(roles[name], joint)
            best = max(best, found, key=len)
    return best


@lru_cache(maxsize=1)
def _rigs() -> list[dict[str, str]]:
    """Return the roles of the names of each rig that is known."""
    tables = [list(table.items()) for table in NAMINGS.values()]
    tables += [
        [(names[column], role) for role, names in _ROLES.items() if names[column]]
        for column in range(len(STYLES))
    ]
    rigs = []
    for table in tables:
        roles: dict[str, str] = {}
        for pattern, role in table:
            sided = "{" in pattern
            for side in ("Left", "Right"):
                words = {"S": side, "s": side[0].lower(), "side": side.lower()}
                roles[pattern.format(**words)] = f"{role}_{side.lower()}" if sided else role
        rigs.append(roles)
    return rigs


def role_names(role: str) -> dict[str, str]:
    """Give a role of `joint_roles` its name in every style; a blank is none."""
    plain, _, side = role.rpartition("_")
    if side not in ("left", "right"):
        plain, side = role, "left"
    words = {"S": side.capitalize(), "s": side[0], "side": side}
    return {style: name.format(**words) for style, name in zip(STYLES, _ROLES[plain], strict=True)}


def joint_groups(joint_names: Sequence[str]) -> dict[str, Any]:
    """Find hips, feet and hands of a foreign skeleton, under `Skeleton`'s names for them.

    What the names do not tell is left away.
    """
    roles = joint_roles(joint_names)
    groups: dict[str, tuple[str, ...]] = {"hip_joints": ("thigh_right", "thigh_left")}
    for side in ("left", "right"):
        groups[f"{side}_foot_joints"] = (f"foot_{side}", f"toe_{side}")
        groups[f"{side}_hand_joints"] = (f"hand_{side}",)
    return {
        group: tuple(roles[role] for role in wanted)
        for group, wanted in groups.items()
        if all(role in roles for role in wanted)
    }
