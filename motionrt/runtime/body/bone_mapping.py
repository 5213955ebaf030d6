"""Find out which bone of a character is which: by names, by hierarchy, by geometry, or as told.

Names are those of a rig that is known (`joint_names`), or words as rigs of any maker have them.
Where words do not tell, the tree does: what lies between hips and head is the spine up to where the
arms branch off, and limbs are told by where they end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_roles, without_namespaces
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

SIDES = ("left", "right")
LIMBS = {
    "arm": ("upper_arm", "lower_arm", "hand"),
    "leg": ("thigh", "shin", "foot"),
}
REQUIRED = (
    "hips",
    "head",
    *(f"{role}_{side}" for limb in LIMBS.values() for side in SIDES for role in limb),
)
"""What a humanoid has to have."""
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
SINGLE = ("hips", "head")
PAIRED = ("clavicle", *LIMBS["arm"], *LIMBS["leg"], "toe")
ROLES = (
    *SINGLE,
    *(f"{role}_{side}" for side in SIDES for role in PAIRED),
    *(
        f"{finger}{number}_{side}"
        for side in SIDES
        for finger in FINGERS
        for number in (0, 1, 2, 3)
        if finger != "thumb" or number
    ),
)
"""What a file of corrections can name; spine and neck follow from hips, arms and head."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PREFIX = re.compile(
    r"^(?:bip\d*|biped\d*|def|org|cc_base|j_bip|j_sec|character\d*|armature|rig|bone|sk|skel)"
    r"(?=[ _.\-:|]|$)[ _.\-:|]*",
    re.IGNORECASE,
)
_HELPER = re.compile(
    r"twist|roll|(?-i:IK)|(?<![a-z])ik(?![a-z])|pole|ctrl|control|target|helper|share|nub|(?<![a-z])end"
    r"(?![a-z])|tip(?![a-z])|socket|slot|weapon|offset|mch|corrective|breast|cloth|hair|skirt|ponytail"
    r"|heel|anchor|attach",
    re.IGNORECASE,
)
_FACE = re.compile("face|facial", re.IGNORECASE)
_PARTS = (
    ("thumb", r"thumb"),
    ("index", r"index|(?:f|finger)?pointer"),
    ("middle", r"middle|(?<![a-z])mid(?![a-z])"),
    ("ring", r"(?<![a-z])(?:f|finger)?ring"),
    ("pinky", r"pinky|little"),
    ("clavicle", r"clavicle|collar"),
    ("lower_arm", r"forearm|lower_?arm|low_?arm|arm_?lower|elbow"),
    ("upper_arm", r"upper_?arm|up_?arm|arm_?upper|shldr|bicep"),
    ("hand", r"hand|wrist"),
    ("shin", r"shin|calf|lower_?leg|low_?leg|leg_?lower|knee"),
    ("thigh", r"thigh|upper_?leg|up_?leg|leg_?upper|femur"),
    ("foot", r"foot|ankle"),
    ("toe", r"toe|(?<![a-z])ball"),
    ("shoulder", r"shoulder"),
    ("arm", r"(?<![a-z])arm(?![a-z])"),
    ("leg", r"(?<![a-z])leg(?![a-z])"),
    ("hips", r"hips?(?![a-z])|pelvis"),
    ("head", r"head"),
)
_PART = [(part, re.compile(pattern)) for part, pattern in _PARTS]
_BIPED_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_VRM_ROLES = {
    "hips": "hips",
    "head": "head",
    "Shoulder": "clavicle",
    "UpperArm": "upper_arm",
    "LowerArm": "lower_arm",
    "Hand": "hand",
    "UpperLeg": "thigh",
    "LowerLeg": "shin",
    "Foot": "foot",
    "Toes": "toe",
    **{
        f"{vrm}{part}": f"{finger}{number}"
        for finger, vrm in zip(FINGERS[1:], ("Index", "Middle", "Ring", "Little"), strict=True)
        for number, part in enumerate(("Proximal", "Intermediate", "Distal"), start=1)
    },
    "ThumbMetacarpal": "thumb1",
    "ThumbProximal": "thumb2",
    "ThumbDistal": "thumb3",
}


@dataclass(frozen=True)
class BoneMap:
    """Which joint plays which role."""

    joints: Mapping[str, int]
    """Role (`ROLES`) -> joint."""
    spine: tuple[int, ...]
    """Between hips and where the arms branch off, upwards, that joint included."""
    neck: tuple[int, ...]
    """From there to the head, which is not included."""
    found_by: Mapping[str, str] = field(default_factory=dict)
    """Role -> names, words, hierarchy, geometry, file or given."""

    def rows(self, skeleton: Skeleton) -> list[tuple[str, str, str]]:
        """Give role, joint's name and how it was found, in an order in which people look."""
        names = skeleton.joint_names
        rows = [(role, names[self.joints[role]], self.found_by[role]) for role in SINGLE]
        rows += [(f"spine {n}", names[j], "hierarchy") for n, j in enumerate(self.spine, start=1)]
        rows += [(f"neck {n}", names[j], "hierarchy") for n, j in enumerate(self.neck, start=1)]
        for role in ROLES[len(SINGLE) :]:
            if role in self.joints:
                rows.append((role, names[self.joints[role]], self.found_by[role]))
        return rows


def map_bones(
    skeleton: Skeleton,
    *,
    told: Mapping[str, int] | None = None,
    given: Mapping[str, str | None] | None = None,
) -> BoneMap:
    """Find the bones of a humanoid.

    Args:
        skeleton: any; its rest pose decides where names do not.
        told: role -> joint, as the file itself says, as VRM does; goes before all that is found.
        given: role -> the joint's name, or None for none; goes before everything.

    Raises:
        InputError: a bone that a humanoid must have is not found, or what is given does not fit.
    """
    joints: dict[str, int] = {}
    found_by: dict[str, str] = {}

    def take(found: Mapping[str, int], how: str) -> None:
        used = set(joints.values())
        for role, joint in found.items():
            if role in ROLES and role not in joints and joint not in used:
                joints[role], found_by[role] = joint, how
                used.add(joint)

    fixed = _given(skeleton, given or {})
    take({role: joint for role, joint in fixed.items() if joint is not None}, "given")
    take(told or {}, "file")
    by_names = joint_roles(skeleton.joint_names)
    if sum(role in by_names for role in REQUIRED) == len(REQUIRED):
        take(by_names, "names")
    take(_by_words(skeleton), "words")
    take(by_names, "names")
    take(_by_hierarchy(skeleton, joints), "hierarchy")
    if any(role not in joints for role in REQUIRED):
        take(_by_geometry(skeleton), "geometry")
    for role, joint in fixed.items():
        if joint is None:
            joints.pop(role, None)
    missing = [role for role in REQUIRED if role not in joints]
    if missing:
        told_missing = ", ".join(role.replace("_", " ") for role in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"skeleton {skeleton.name}: no bone was found for {told_missing}{more}; name them in a "
            "file of corrections"
        )
    for limb, roles in LIMBS.items():
        for side in SIDES:
            chain = [joints[f"{role}_{side}"] for role in roles]
            if not all(upper in _above(skeleton, lower) for upper, lower in pairwise(chain)):
                names = " > ".join(skeleton.joint_names[joint] for joint in chain)
                raise InputError(f"skeleton {skeleton.name}: {side} {limb} {names} is no chain")
    return BoneMap(joints, *_trunk(skeleton, joints), found_by)


def vrm_role(bone: str) -> str | None:
    """Turn a bone of VRM 1.0 (leftUpperArm) into a role; None if it plays none here."""
    for side in SIDES:
        if bone.startswith(side):
            role = _VRM_ROLES.get(bone[len(side) :])
            return None if role is None else f"{role}_{side}"
    return _VRM_ROLES.get(bone)


def _given(skeleton: Skeleton, given: Mapping[str, str | None]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for role, name in given.items():
        if role not in ROLES:
            raise InputError(f"{role!r} is no role; there are {', '.join(ROLES[:10])}, …")
        found[role] = None if name is None else skeleton.index(name)
    return found


def _by_words(skeleton: Skeleton) -> dict[str, int]:
    """Read each name as words; of several joints for one role the highest in the tree is taken.

    Along a limb only what is below the part before it counts: IK targets and poles are not.
    """
    names = without_namespaces(skeleton.joint_names)[-1]
    candidates: dict[str, list[int]] = {}
    for joint, name in enumerate(names):  # parents come first
        if (told := _read(name)) is not None:
            candidates.setdefault(told, []).append(joint)
    found = {role: joints[0] for role, joints in candidates.items()}
    for side in SIDES:
        for limb in LIMBS.values():
            for above, part in pairwise(f"{role}_{side}" for role in limb):
                if not {above, part} <= found.keys():
                    continue
                below = [j for j in candidates[part] if found[above] in _above(skeleton, j)]
                if below:
                    found[part] = below[0]
    for side in SIDES:
        arm, shoulder = found.pop(f"arm_{side}", None), found.pop(f"shoulder_{side}", None)
        leg = found.pop(f"leg_{side}", None)
        upper = found.get(f"upper_arm_{side}")
        if upper is None and arm is not None:
            found[f"upper_arm_{side}"] = upper = arm
        if shoulder is not None:
            role = "clavicle" if upper is not None else "upper_arm"
            found.setdefault(f"{role}_{side}", shoulder)
        if leg is not None:
            role = "shin" if f"thigh_{side}" in found else "thigh"
            found.setdefault(f"{role}_{side}", leg)
    return found


def _read(name: str) -> str | None:
    """What a name says: a role or part with its side; None if it says nothing."""
    name = _PREFIX.sub("", _PREFIX.sub("", name))
    if _HELPER.search(name):
        return None
    words = [word.lower() for word in _WORDS.findall(name)]
    side = None
    for number, word in enumerate(words):
        if word in ("left", "l", "right", "r"):
            side = "left" if word[0] == "l" else "right"
            del words[number]
            break
    digits = [word for word in words if word.isdigit()]
    text = "_".join(word for word in words if not word.isdigit())
    if text == "finger" and digits:  # Biped: Finger0, Finger01, Finger02, Finger1, …
        finger, number = int(digits[0][0]), int(digits[0][1:] or 0)
        if side is None or finger >= len(_BIPED_FINGERS) or number > 2:
            return None
        return f"{_BIPED_FINGERS[finger]}{number + 1}_{side}"
    for part, pattern in _PART:
        if not pattern.search(text):
            continue
        if part in SINGLE:
            if side is None:
                return part
            return f"thigh_{side}" if text == "hip" else None  # as SMPL has it
        if side is None:
            return None
        if part in FINGERS:
            if "metacarpal" in text or "palm" in text or "hand" == text:
                return f"{part}0_{side}"
            for number, word in enumerate(("proximal", "intermediate", "distal"), start=1):
                if word in text:
                    return f"{part}{number}_{side}"
            number = int(digits[-1]) if digits else 0
            return f"{part}{number}_{side}" if 1 <= number <= 3 else None
        return f"{part}_{side}"
    return None


def _by_hierarchy(skeleton: Skeleton, joints: Mapping[str, int]) -> dict[str, int]:
    """Hips are where the legs meet, the head what ends highest above where the arms do."""
    found = {}
    for role, (left, right) in {
        "hips": ("thigh_left", "thigh_right"),
        "head": ("upper_arm_left", "upper_arm_right"),
    }.items():
        if role in joints or not {left, right} <= joints.keys():
            continue
        meeting = _meeting(skeleton, joints[left], joints[right])
        if role == "head" and meeting is not None:
            meeting = _head_above(skeleton, meeting)
        if meeting is not None:
            found[role] = meeting
    return found


def _head_above(skeleton: Skeleton, branch: int) -> int | None:
    """The head of a body whose arms branch off there: where the way up forks, or before its end."""
    rest = skeleton.rest_positions.astype(np.float64)
    below = [j for j in range(skeleton.num_joints) if branch in _above(skeleton, j)]
    middle, height = rest[branch, 0], float(np.ptp(rest[:, 1]))
    ends = [j for j in below if abs(rest[j, 0] - middle) < 0.02 * height]
    if not ends:
        return None
    way = _between(skeleton, branch, max(ends, key=lambda j: rest[j, 1]))
    names = skeleton.joint_names
    found = next((n for n, j in enumerate(way) if len(skeleton.children[j]) > 2), len(way) - 1)
    while found > 0 and (_HELPER.search(names[way[found]]) or _FACE.search(names[way[found]])):
        found -= 1
    return way[found]


def _by_geometry(skeleton: Skeleton) -> dict[str, int]:
    """Tell limbs by where they end: feet lowest, hands farthest to the side, the head on top.

    Left is +x of a body that faces +z, or as its toes point.
    """
    rest = skeleton.rest_positions.astype(np.float64)
    leaves = [joint for joint in range(skeleton.num_joints) if not skeleton.children[joint]]
    height = float(np.ptp(rest[:, 1]))
    if len(leaves) < 5 or height <= 0:
        return {}
    low = rest[:, 1].min()
    middle = rest[:, 0].mean()
    aside = [j for j in leaves if abs(rest[j, 0] - middle) > 0.02 * height]
    feet = [j for j in aside if rest[j, 1] < low + 0.15 * height]
    hands = [j for j in aside if rest[j, 1] > low + 0.3 * height]
    ends = {}
    for sign in (1, -1):
        own = [j for j in feet if sign * (rest[j, 0] - middle) > 0]
        arm = [j for j in hands if sign * (rest[j, 0] - middle) > 0]
        if not own or not arm:
            return {}
        ends[sign] = (
            max(own, key=lambda j: len(_above(skeleton, j))),
            max(arm, key=lambda j: abs(rest[j, 0] - middle)),
        )
    hips = _meeting(skeleton, ends[1][0], ends[-1][0])
    branch = _meeting(skeleton, ends[1][1], ends[-1][1])
    head = None if branch is None else _head_above(skeleton, branch)
    if hips is None or branch is None or head is None:
        return {}
    found = {"hips": hips, "head": head}
    forward = 0.0
    chains: dict[tuple[str, int], list[int]] = {}
    for sign, (foot, hand) in ends.items():
        leg, arm = _between(skeleton, hips, foot), _between(skeleton, branch, hand)
        if len(leg) < 3 or len(arm) < 3:
            return {}
        chains["leg", sign], chains["arm", sign] = leg, arm
        forward += float(rest[leg[-1], 2] - rest[leg[2], 2]) if len(leg) > 3 else 0.0
    for sign in (1, -1):
        side = "left" if (sign > 0) == (forward >= 0) else "right"
        leg, arm = chains["leg", sign], chains["arm", sign]
        found.update({f"{role}_{side}": leg[n] for n, role in enumerate(LIMBS["leg"])})
        if len(leg) > 3:
            found[f"toe_{side}"] = leg[3]
        # The hand is where fingers branch off, or the end of the arm.
        forks = [n for n, joint in enumerate(arm) if len(skeleton.children[joint]) > 2]
        hand = forks[-1] if forks and forks[-1] >= 2 else min(len(arm) - 1, 3)
        upper = max(hand - 2, 0)
        found.update({f"{role}_{side}": arm[upper + n] for n, role in enumerate(LIMBS["arm"])})
        if upper:
            found[f"clavicle_{side}"] = arm[upper - 1]
    return found


def _trunk(
    skeleton: Skeleton, joints: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Spine and neck: what leads from the hips to the head, parted where the arms branch off."""
    way = _between(skeleton, joints["hips"], joints["head"])[:-1]
    branch = _meeting(skeleton, joints["upper_arm_left"], joints["upper_arm_right"])
    top = way.index(branch) + 1 if branch in way else 0
    return tuple(way[:top]), tuple(way[top:])


def _above(skeleton: Skeleton, joint: int) -> list[int]:
    """All that is above a joint, upwards."""
    found = []
    while (joint := int(skeleton.parents[joint])) >= 0:
        found.append(joint)
    return found


def _between(skeleton: Skeleton, upper: int, lower: int) -> list[int]:
    """The way down from a joint, which is not included, to one below it, which is."""
    above = _above(skeleton, lower)
    if upper not in above:
        return [lower]
    return [*reversed(above[: above.index(upper)]), lower]


def _meeting(skeleton: Skeleton, one: int, other: int) -> int | None:
    """The lowest joint that is above both."""
    others = set(_above(skeleton, other))
    return next((joint for joint in _above(skeleton, one) if joint in others), None)


def unmapped(skeleton: Skeleton, bones: BoneMap) -> Sequence[str]:
    """Name the joints that play no role; they follow their parents."""
    used = {*bones.joints.values(), *bones.spine, *bones.neck}
    return [name for joint, name in enumerate(skeleton.joint_names) if joint not in used]
