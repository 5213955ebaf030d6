"""Characters as their makers have them: names, trees, rest poses, axes, units, boxes for a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gltf_files import GltfFiles
from scipy.spatial.transform import Rotation

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")

# A body of 1.71 m in a T-pose: where each part is, left is +x. Limbs are mirrored.
_MIDDLE = {
    "hips": (0, 0.95, 0),
    "spine": (0, 1.05, -0.01),
    "chest": (0, 1.17, -0.01),
    "upper_chest": (0, 1.29, -0.01),
    "neck": (0, 1.46, 0),
    "head": (0, 1.55, 0.02),
    "head_end": (0, 1.72, 0.02),
}
_LEFT = {
    "clavicle": (0.04, 1.41, 0.0),
    "upper_arm": (0.18, 1.41, -0.01),
    "lower_arm": (0.45, 1.41, -0.02),
    "hand": (0.70, 1.41, 0.0),
    "thigh": (0.09, 0.91, 0.0),
    "shin": (0.10, 0.50, 0.01),
    "foot": (0.10, 0.09, -0.03),
    "toe": (0.11, 0.02, 0.10),
    "toe_end": (0.11, 0.02, 0.17),
}
_PARENTS = {
    "spine": "hips",
    "chest": "spine",
    "upper_chest": "chest",
    "neck": "upper_chest",
    "head": "neck",
    "head_end": "head",
    "clavicle": "upper_chest",
    "upper_arm": "clavicle",
    "lower_arm": "upper_arm",
    "hand": "lower_arm",
    "thigh": "hips",
    "shin": "thigh",
    "foot": "shin",
    "toe": "foot",
    "toe_end": "toe",
}


@dataclass
class Rig:
    """One maker's style."""

    name: str
    names: dict[str, str]
    """Part -> name; {S} is Left, {s} l, {T} L. A part that is not there is no bone."""
    above: tuple[str, ...] = ()
    """Nodes above the hips."""
    scale: float = 1.0
    """Units a metre of what is below an armature that scales back."""
    z_up: bool = False
    """The armature is turned by -90 degrees about x, as Blender's and Unreal's are."""
    along: bool = False
    """Bones' own axes lie along them, as Blender's do; otherwise they are the world's."""
    arms_deg: float = 0.0
    """How far the arms hang down: 0 is a T-pose."""
    faces_back: bool = False
    """It looks along -z, as VRM 0 has it."""
    legs: float = 1.0
    """Length of the legs, for bodies that are no adults."""
    spine: int = 3
    twists: bool = False
    fingers: Callable[[str, str, int], str] | None = None
    reparent: dict[str, str] = field(default_factory=dict)
    vrm: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    """Bones that are none of a body: name and parent."""


def _mixamo_finger(side: str, finger: str, number: int) -> str:
    return f"mixamorig:{side}Hand{finger}{number}"


def _ue_finger(side: str, finger: str, number: int) -> str:
    return f"{finger.lower()}_{number:02d}_{side[0].lower()}"


def _biped_finger(side: str, finger: str, number: int) -> str:
    return f"Bip01 {side[0]} Finger{FINGERS.index(finger)}{number - 1 or ''}"


def _vroid_finger(side: str, finger: str, number: int) -> str:
    return f"J_Bip_{side[0]}_{'Little' if finger == 'Pinky' else finger}{number}"


def _rigify_finger(side: str, finger: str, number: int) -> str:
    stem = "thumb" if finger == "Thumb" else f"f_{finger.lower()}"
    return f"{stem}.{number:02d}.{side[0]}"


_UE = {
    "hips": "pelvis",
    "spine": "spine_{n:02d}",
    "neck": "neck_01",
    "head": "head",
    "clavicle": "clavicle_{s}",
    "upper_arm": "upperarm_{s}",
    "lower_arm": "lowerarm_{s}",
    "hand": "hand_{s}",
    "thigh": "thigh_{s}",
    "shin": "calf_{s}",
    "foot": "foot_{s}",
    "toe": "ball_{s}",
}
_UE_IK = (
    ("ik_foot_root", "root"),
    ("ik_foot_l", "ik_foot_root"),
    ("ik_foot_r", "ik_foot_root"),
    ("ik_hand_root", "root"),
    ("ik_hand_gun", "ik_hand_root"),
)

RIGS = {
    rig.name: rig
    for rig in (
        Rig(
            "mixamo",
            {
                "hips": "mixamorig:Hips",
                "spine": "mixamorig:Spine{m}",
                "neck": "mixamorig:Neck",
                "head": "mixamorig:Head",
                "head_end": "mixamorig:HeadTop_End",
                "clavicle": "mixamorig:{S}Shoulder",
                "upper_arm": "mixamorig:{S}Arm",
                "lower_arm": "mixamorig:{S}ForeArm",
                "hand": "mixamorig:{S}Hand",
                "thigh": "mixamorig:{S}UpLeg",
                "shin": "mixamorig:{S}Leg",
                "foot": "mixamorig:{S}Foot",
                "toe": "mixamorig:{S}ToeBase",
                "toe_end": "mixamorig:{S}Toe_End",
            },
            above=("Armature",),
            scale=100,
            z_up=True,
            along=True,
            fingers=_mixamo_finger,
        ),
        Rig(
            "unreal",
            _UE,
            above=("Armature", "root"),
            scale=100,
            z_up=True,
            along=True,
            arms_deg=50,
            spine=5,
            twists=True,
            fingers=_ue_finger,
            extra=_UE_IK,
        ),
        Rig(
            "metahuman",
            {**_UE, "neck": "neck_{n:02d}"},
            above=("root",),
            arms_deg=45,
            along=True,
            spine=5,
            twists=True,
            fingers=_ue_finger,
            extra=(
                ("calf_correctiveRoot_l", "calf_l"),
                ("upperarm_bicep_l", "upperarm_l"),
                ("thigh_kneeBack_r", "thigh_r"),
                ("FACIAL_C_FacialRoot", "head"),
            ),
        ),
        Rig(
            "vrm",
            {
                "hips": "J_Bip_C_Hips",
                "spine": "J_Bip_C_Spine{n}",
                "neck": "J_Bip_C_Neck",
                "head": "J_Bip_C_Head",
                "clavicle": "J_Bip_{T}_Shoulder",
                "upper_arm": "J_Bip_{T}_UpperArm",
                "lower_arm": "J_Bip_{T}_LowerArm",
                "hand": "J_Bip_{T}_Hand",
                "thigh": "J_Bip_{T}_UpperLeg",
                "shin": "J_Bip_{T}_LowerLeg",
                "foot": "J_Bip_{T}_Foot",
                "toe": "J_Bip_{T}_ToeBase",
            },
            above=("Root",),
            fingers=_vroid_finger,
            vrm="1.0",
            extra=(("J_Sec_Hair1_01", "J_Bip_C_Head"), ("J_Sec_Hair2_01", "J_Sec_Hair1_01")),
        ),
        Rig(
            "vrm0",
            {
                "hips": "a",
                "spine": "b{n}",
                "neck": "c",
                "head": "d",
                "clavicle": "e{s}",
                "upper_arm": "f{s}",
                "lower_arm": "g{s}",
                "hand": "h{s}",
                "thigh": "i{s}",
                "shin": "j{s}",
                "foot": "k{s}",
                "toe": "m{s}",
            },
            faces_back=True,
            vrm="0.0",
        ),
        Rig(
            "rocketbox",
            {
                "hips": "Bip01 Pelvis",
                "spine": "Bip01 Spine{m}",
                "neck": "Bip01 Neck",
                "head": "Bip01 Head",
                "head_end": "Bip01 HeadNub",
                "clavicle": "Bip01 {T} Clavicle",
                "upper_arm": "Bip01 {T} UpperArm",
                "lower_arm": "Bip01 {T} Forearm",
                "hand": "Bip01 {T} Hand",
                "thigh": "Bip01 {T} Thigh",
                "shin": "Bip01 {T} Calf",
                "foot": "Bip01 {T} Foot",
                "toe": "Bip01 {T} Toe0",
                "toe_end": "Bip01 {T} Toe0Nub",
            },
            above=("Bip01",),
            along=True,
            fingers=_biped_finger,
            reparent={"thigh": "spine", "clavicle": "neck"},
            extra=(("Bip01 Footsteps", "Bip01"), ("Bip01 L ForeTwist", "Bip01 L Forearm")),
        ),
        Rig(
            "kaykit",
            {
                "hips": "hips",
                "spine": "spine",
                "chest": "chest",
                "head": "head",
                "upper_arm": "upperarm.{s}",
                "lower_arm": "lowerarm.{s}",
                "hand": "wrist.{s}",
                "thigh": "upperleg.{s}",
                "shin": "lowerleg.{s}",
                "foot": "foot.{s}",
                "toe": "toes.{s}",
            },
            above=("Rig", "root"),
            along=True,
            legs=0.4,
            spine=2,
            extra=(
                ("handslot.l", "wrist.l"),
                ("handslot.r", "wrist.r"),
                ("kneeIK.l", "root"),
                ("heelIK.l", "root"),
            ),
        ),
        Rig(
            "quaternius",
            {
                "hips": "Hips",
                "spine": "Abdomen",
                "chest": "Torso",
                "neck": "Neck",
                "head": "Head",
                "clavicle": "Shoulder.{T}",
                "upper_arm": "UpperArm.{T}",
                "lower_arm": "LowerArm.{T}",
                "hand": "Fist.{T}",
                "thigh": "UpperLeg.{T}",
                "shin": "LowerLeg.{T}",
                "foot": "Foot.{T}",
            },
            above=("CharacterArmature", "Bone"),
            along=True,
            z_up=True,
            scale=100,
            legs=0.8,
            arms_deg=60,
            spine=2,
        ),
        Rig(
            "rigify",
            {
                "hips": "spine",
                "spine": "spine.{n:03d}",
                "neck": "spine.004",
                "head": "spine.006",
                "clavicle": "shoulder.{T}",
                "upper_arm": "upper_arm.{T}",
                "lower_arm": "forearm.{T}",
                "hand": "hand.{T}",
                "thigh": "thigh.{T}",
                "shin": "shin.{T}",
                "foot": "foot.{T}",
                "toe": "toe.{T}",
            },
            above=("metarig",),
            along=True,
            arms_deg=40,
            fingers=_rigify_finger,
            extra=(
                ("face", "spine.006"),
                ("pelvis.L", "spine"),
                ("pelvis.R", "spine"),
                ("heel.02.L", "foot.L"),
            ),
        ),
        Rig(
            "nameless",
            {
                part: f"Bone.{10 * number:03d}{{t}}"
                for number, part in enumerate([*_MIDDLE, *_LEFT])
                if part not in ("head_end", "toe_end")
            },
            above=("Armature",),
            along=True,
            arms_deg=30,
        ),
    )
}


def character(path: Path, rig: str, height: float = 1.71, ending: str | None = None) -> Path:
    """Write a character; returns its file."""
    style = RIGS[rig]
    bones = _bones(style, height / 1.71)
    file = GltfFiles()
    turn, size = np.eye(3), 1.0
    armature = {}
    if style.z_up:
        # Blender's armature: what is below it has z up, and often centimetres.
        armature["rotation"] = Rotation.from_euler("x", -90, degrees=True).as_quat().tolist()
        turn = Rotation.from_euler("x", -90, degrees=True).as_matrix()
    if style.scale != 1:
        armature["scale"] = [1 / style.scale] * 3
        size = style.scale
    parent = None
    for number, name in enumerate(style.above):
        file.node(name, parent, **(armature if number == 0 else {}))
        parent = name
    world = {name: (np.zeros(3), turn) for name in style.above}
    for name, (above, place) in bones.items():
        over = above if above is not None else parent
        rotation = _axes(name, bones) if style.along else np.eye(3)
        base, base_turn = world[over] if over is not None else (np.zeros(3), turn)
        world[name] = (place, rotation)
        local = base_turn.T @ rotation
        values: dict[str, Any] = {
            "translation": (size * (base_turn.T @ (place - base))).tolist(),
            "rotation": Rotation.from_matrix(local).as_quat().tolist(),
        }
        file.node(name, over, **values)
    _mesh(file, list(bones), bones, world, size)
    if style.vrm:
        file.document["extensions"], file.document["extensionsUsed"] = _vrm(file, style)
    return file.save(path / f"{rig}.{ending or ('vrm' if style.vrm else 'glb')}")


def part_names(rig: str) -> dict[str, str]:
    """Role -> bone's name, of what a humanoid has to have and toes, clavicles and fingers."""
    style = RIGS[rig]
    found = {}
    for part, pattern in style.names.items():
        if part in ("hips", "head"):
            found[part] = _named(pattern, "")
        elif part in _LEFT and part != "toe_end":
            for side in ("Left", "Right"):
                found[f"{part}_{side.lower()}"] = _named(pattern, side)
    if style.fingers is not None:
        for side in ("Left", "Right"):
            for finger in FINGERS:
                for number in (1, 2, 3):
                    role = f"{finger.lower()}{number}_{side.lower()}"
                    found[role] = style.fingers(side, finger, number)
    return found


def _named(pattern: str, side: str, number: int = 1) -> str:
    own = {"S": side, "s": side[:1].lower(), "T": side[:1], "t": {"Left": 1, "Right": 2}.get(side)}
    own["t"] = "" if own["t"] is None else str(own["t"])
    return pattern.format(**own, n=number, m="" if number == 1 else number - 1)


def _bones(style: Rig, scale: float) -> dict[str, tuple[str | None, np.ndarray]]:
    """Name -> parent's name (None: the root) and place in the world, parents first."""
    drop = 0.91 * (1 - style.legs)
    arm = Rotation.from_euler("z", -style.arms_deg, degrees=True)
    shoulder = np.array(_LEFT["upper_arm"])

    def place(part: str, side: str) -> np.ndarray:
        at = np.array(_MIDDLE.get(part) or _LEFT[part], float)
        return fit(at, part, side)

    def fit(at: np.ndarray, part: str, side: str) -> np.ndarray:
        if part in ("upper_arm", "lower_arm", "hand", "finger"):
            at = shoulder + arm.apply(at - shoulder)
        if part in ("thigh", "shin", "foot", "toe", "toe_end"):
            at[1] *= style.legs
        else:
            at[1] -= drop
        if side == "Right":
            at[0] = -at[0]
        if style.faces_back:
            at[[0, 2]] = -at[[0, 2]]
        return at * scale

    bones: dict[str, tuple[str | None, np.ndarray]] = {}
    bones[_named(style.names["hips"], "")] = (None, place("hips", ""))
    low, high = place("spine", ""), place("upper_chest", "")
    above = _named(style.names["hips"], "")
    chain = []
    for number in range(1, style.spine + 1):
        pattern = style.names["spine"]
        if "chest" in style.names:
            pattern = style.names[("spine", "chest", "upper_chest")[number - 1]]
        name = _named(pattern, "", number)
        share = (number - 1) / max(style.spine - 1, 1)
        bones[name] = (above, low + share * (high - low))
        chain.append(name)
        above = name
    top = above
    made = {"hips": _named(style.names["hips"], ""), "spine": chain[0], "upper_chest": top}
    necks = 2 if "{n" in style.names.get("neck", "") else 1
    for number in range(1, necks + 1):
        if "neck" in style.names:
            name = _named(style.names["neck"], "", number)
            at = place("neck", "") + (number - 1) * 0.5 * (place("head", "") - place("neck", ""))
            bones[name] = (above, at)
            above = made["neck"] = name
    for part in ("head", "head_end"):
        if part in style.names:
            bones[_named(style.names[part], "")] = (above, place(part, ""))
            above = _named(style.names[part], "")
    for side in ("Left", "Right"):
        own = dict(made)
        for part in _LEFT:
            if part not in style.names:
                if part == "clavicle":
                    own[part] = top
                continue
            name = _named(style.names[part], side)
            bones[name] = (own[style.reparent.get(part, _PARENTS[part])], place(part, side))
            own[part] = name
            if style.twists and part in ("upper_arm", "lower_arm", "thigh", "shin"):
                following = {"upper_arm": "lower_arm", "lower_arm": "hand", "thigh": "shin"}
                end = place(following.get(part, "foot"), side)
                stem, _, letter = name.rpartition("_")
                bones[f"{stem}_twist_01_{letter}"] = (name, (place(part, side) + end) / 2)
        if style.fingers is not None:
            for finger in FINGERS:
                parent = own["hand"]
                for number in (1, 2, 3):
                    name = style.fingers(side, finger, number)
                    bones[name] = (parent, fit(_finger(finger, number), "finger", side))
                    parent = name
    for name, parent in style.extra:
        if parent in bones:
            bones[name] = (parent, bones[parent][1] + [0, 0.03 * scale, 0.02 * scale])
        else:
            bones[name] = (None if parent == style.above[-1] else parent, np.zeros(3))
    return bones


def _finger(finger: str, number: int) -> np.ndarray:
    hand = np.array(_LEFT["hand"])
    if finger == "Thumb":
        start = hand + np.array([0.02, -0.01, 0.03])
        return np.asarray(start + (number - 1) * np.array([0.022, -0.01, 0.022]))
    row = FINGERS.index(finger) - 2.5
    return np.asarray(hand + np.array([0.09 + 0.03 * (number - 1), 0.0, -0.02 * row]))


def _axes(name: str, bones: dict[str, tuple[str | None, np.ndarray]]) -> np.ndarray:
    """A frame whose y lies along the bone, to the middle of what is below it."""
    ends = [place for above, place in bones.values() if above == name]
    parent, place = bones[name]
    if ends:
        way = np.mean(ends, axis=0) - place
    else:
        way = place - bones[parent][1] if parent is not None else np.array([0, 1.0, 0])
    if np.linalg.norm(way) < 1e-6:
        way = np.array([0, 1.0, 0])
    y = way / np.linalg.norm(way)
    side = np.array([0, 0, 1.0]) if abs(y[2]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(y, side)
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _mesh(
    file: GltfFiles,
    names: list[str],
    bones: dict[str, tuple[str | None, np.ndarray]],
    world: dict[str, tuple[np.ndarray, np.ndarray]],
    size: float,
) -> None:
    """A box along every bone, which the joint that it starts from moves, with a proper skin."""
    corners: list[np.ndarray] = []
    joints, faces = [], []
    for parent, place in bones.values():
        if parent not in bones:
            continue
        start = bones[parent][1]
        length = float(np.linalg.norm(place - start))
        if length < 1e-3:
            continue
        frame = _frame_along(place - start)
        tall = max(place[1] for _, place in bones.values()) / 1.71
        on_axis = abs(start[0]) < 0.01 and abs(place[0]) < 0.01
        wide, deep = (0.12, 0.08) if on_axis and start[1] < 1.4 * tall else (0.05, 0.05)
        wide, deep = (min(half * tall, 0.7 * length) for half in (wide, deep))
        first = len(corners)
        for along in (0.0, length):
            for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corners.append(start + frame @ np.array([x * wide, along, z * deep]))
                joints.append(names.index(parent))
        quads = [
            (0, 3, 2, 1),
            (4, 5, 6, 7),
            *((i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4) for i in range(4)),
        ]
        for a, b, c, d in quads:
            faces += [first + a, first + b, first + c, first + a, first + c, first + d]
    inverse = []
    for name in names:
        place, turn = world[name]
        bind = np.eye(4)
        bind[:3, :3], bind[:3, 3] = turn / size, place
        inverse.append(np.linalg.inv(bind).T.reshape(16))
    positions = np.array(corners)
    index = file.accessor(np.array(inverse))
    low, high = positions.min(axis=0), positions.max(axis=0)
    bounds: dict[str, Any] = {"min": np.float32(low).tolist(), "max": np.float32(high).tolist()}
    four = np.zeros((len(corners), 4))
    four[:, 0] = joints
    weights = np.zeros((len(corners), 4))
    weights[:, 0] = 1
    attributes = {
        "POSITION": file.accessor(positions, **bounds),
        "JOINTS_0": file.accessor(four, "u1"),
        "WEIGHTS_0": file.accessor(weights),
    }
    file.document["skins"] = [
        {"joints": [file.index(name) for name in names], "inverseBindMatrices": index}
    ]
    file.document["materials"] = [
        {"name": "cloth", "pbrMetallicRoughness": {"baseColorFactor": [0.55, 0.6, 0.7, 1]}}
    ]
    indices = file.accessor(np.array(faces), "u2")
    file.document["meshes"] = [
        {"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}
    ]
    file.node("body", mesh=0, skin=0)


def _frame_along(way: np.ndarray) -> np.ndarray:
    y = way / np.linalg.norm(way)
    side = np.array([0, 0, 1.0]) if abs(y[2]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(y, side)
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


_VRM_BONES = {
    "hips": "hips",
    "head": "head",
    "clavicle": "Shoulder",
    "upper_arm": "UpperArm",
    "lower_arm": "LowerArm",
    "hand": "Hand",
    "thigh": "UpperLeg",
    "shin": "LowerLeg",
    "foot": "Foot",
    "toe": "Toes",
}


def _vrm(file: GltfFiles, style: Rig) -> tuple[dict[str, Any], list[str]]:
    bones = {}
    for role, name in part_names(style.name).items():
        part, _, side = role.rpartition("_")
        bone = _VRM_BONES.get(role) if side not in ("left", "right") else _VRM_BONES.get(part)
        if bone is not None:
            bones[f"{side}{bone}" if side in ("left", "right") else bone] = file.index(name)
    bones["spine"] = file.index(_named(style.names["spine"], "", 1))
    if style.vrm == "1.0":
        meta = {"name": "Box", "authors": ["tests"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
        human = {bone: {"node": node} for bone, node in bones.items()}
        vrm = {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": human}}
        return {"VRMC_vrm": vrm}, ["VRMC_vrm"]
    listed = [{"bone": bone, "node": node} for bone, node in bones.items()]
    return {"VRM": {"specVersion": "0.0", "humanoid": {"humanBones": listed}}}, ["VRM"]
