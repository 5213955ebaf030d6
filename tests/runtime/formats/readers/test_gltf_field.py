"""glTF files of the kinds that people have: other software decides what is right."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_files import GltfFiles, by_node, by_numpy, glb, turns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import DATA

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError

FIELD = sorted((DATA / "field").glob("glb_*/*.gl*"))
TIMES = np.linspace(0, 0.6, 7)
MOMENTS = [float(moment) for moment in TIMES]
WALK = np.stack([TIMES, 0.9 + 0.05 * np.sin(9 * TIMES), 2 * TIMES], axis=1)
LEAN = turns("y", *(100 * TIMES))
NOD = turns("x", *(60 * np.sin(5 * TIMES)))
LYING = turns("x", -90)[0].tolist()


@pytest.mark.parametrize("path", FIELD, ids=lambda path: f"{path.parent.name}-{path.suffix[1:]}")
def test_field_inputs_are_where_they_are_seen(path: Path) -> None:
    for animation, right in json.loads((path.parent / "expect.json").read_text()).items():
        motion = Motion.load(path, animation=animation, fps=10)
        assert motion.num_frames == len(right["times"])
        names = motion.skeleton.joint_names
        # A still root bone above the pelvis is merged into it.
        assert set(right["world_m"]) - set(names) <= {"root"}
        for name in names:
            got = motion.posed_joints[:, names.index(name)]
            np.testing.assert_allclose(got, right["world_m"][name], rtol=0, atol=2e-5)


def same_as_numpy(path: Path, files: GltfFiles, animation: int = 0) -> Motion:
    """Read at ten frames a second; every joint is where pygltflib and numpy put its node."""
    motion = Motion.load(path, fps=10, animation=animation)
    assert motion.num_frames == 7
    right = by_numpy(path, MOMENTS, animation)
    for joint, name in enumerate(motion.skeleton.joint_names):
        got = motion.posed_joints[:, joint]
        np.testing.assert_allclose(got, right[:, files.index(name)], rtol=0, atol=1e-4)
    return motion


def same_as_three(path: Path, files: GltfFiles, motion: Motion) -> None:
    places = np.array(by_node("pose_glb.mjs", path, 0, *MOMENTS))
    nodes = [files.index(name) for name in motion.skeleton.joint_names]
    np.testing.assert_allclose(places[:, nodes], motion.posed_joints, rtol=0, atol=1e-3)


def mixamo() -> GltfFiles:
    """What Blender writes of a Mixamo character: keys on everything, most of them constant."""
    files = GltfFiles()
    files.node("Armature", scale=[0.01] * 3, rotation=LYING)
    files.node(
        "mixamorig:Hips", "Armature", translation=[0, 0, -90], rotation=turns("x", 90)[0].tolist()
    )
    spine = ["mixamorig:Hips", "mixamorig:Spine", "mixamorig:Spine1", "mixamorig:Neck"]
    files.chain(*spine, "mixamorig:Head", "mixamorig:HeadTop_End", offset=(0, 20, 1))
    for side, x in (("Left", 1), ("Right", -1)):
        leg = [f"mixamorig:{side}{part}" for part in ("UpLeg", "Leg", "Foot", "ToeBase")]
        arm = [f"mixamorig:{side}{part}" for part in ("Shoulder", "Arm", "ForeArm", "Hand")]
        files.chain("mixamorig:Hips", *leg, offset=(8 * x, -20, 2))
        files.chain("mixamorig:Spine1", *arm, offset=(15 * x, 0, 0))
    joints = [node["name"] for node in files.nodes[1:]]
    files.skin(*joints)
    files.mesh(*joints[:4])
    for node in ["Armature", *joints]:
        at = files.nodes[files.index(node)]
        for path, other in (("translation", [0.0] * 3), ("scale", [1.0] * 3)):
            files.track(node, path, TIMES, np.tile(at.get(path, other), (7, 1)))
        rotation = np.tile(at.get("rotation", [0.0, 0, 0, 1]), (7, 1))
        files.track(node, "rotation", TIMES, NOD if node.endswith(("Spine", "Arm")) else rotation)
    return files


def test_a_mixamo_character_out_of_blender(tmp_path: Path) -> None:
    files = mixamo()
    path = files.save(tmp_path / "a.glb")
    motion = same_as_numpy(path, files)
    same_as_three(path, files, motion)
    assert motion.notes == [] and motion.fps == 10
    assert motion.skeleton.joint_names[0] == "mixamorig:Hips"
    assert motion.skeleton.hip_joints and motion.skeleton.left_foot_joints


def test_motion_and_scale_above_the_skeleton(tmp_path: Path) -> None:
    """Object-level motion on two levels, a matrix between them, constant keys of scale."""
    files = GltfFiles()
    files.node("World", translation=[1, 0, 0])
    files.node("Turned", "World", matrix=[0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0.5, 0, 1])
    files.node("Armature", "Turned", rotation=LYING)
    files.chain("Armature", "Hips", "Spine", "Head", offset=(3, 90, 20))
    files.skin("Hips", "Spine", "Head")
    files.mesh("Hips", "Spine", "Head")
    files.track("World", "translation", TIMES, WALK)
    files.track("World", "rotation", TIMES, NOD)
    files.track("Armature", "translation", TIMES, WALK[::-1])
    files.track("Armature", "rotation", TIMES, LEAN)
    files.track("Armature", "scale", [0, 0.6], [[0.01] * 3] * 2)
    files.track("Spine", "rotation", TIMES, NOD)
    path = files.save(tmp_path / "a.glb")
    motion = same_as_numpy(path, files)
    same_as_three(path, files, motion)
    assert motion.skeleton.joint_names == ("Hips", "Spine", "Head") and motion.notes == []


def test_a_figure_that_grows_keeps_its_bones_and_says_so(tmp_path: Path) -> None:
    files = GltfFiles()
    files.node("Armature")
    files.chain("Armature", "Hips", "Spine")
    files.skin("Hips", "Spine")
    files.track("Armature", "scale", [0, 0.6], [[1] * 3, [2] * 3])
    path = files.save(tmp_path / "a.glb")
    motion = Motion.load(path, fps=10)
    right = by_numpy(path, MOMENTS)
    np.testing.assert_allclose(motion.posed_joints[:, 0], right[:, 1], atol=1e-6)
    assert "scale changes" in motion.notes[0]


def test_a_figure_that_pops_up_is_read_and_a_skewed_one_refused(tmp_path: Path) -> None:
    files = GltfFiles()
    files.node("Armature")
    files.chain("Armature", "Hips", "Spine")
    files.skin("Hips", "Spine")
    files.track("Armature", "scale", [0, 0.1, 0.6], [[0] * 3, [1] * 3, [1] * 3])
    motion = Motion.load(files.save(tmp_path / "a.glb"), fps=10)
    np.testing.assert_allclose(motion.posed_joints[3, 1], [0, 0.6, 0], atol=1e-6)
    files.document.pop("animations")
    files.track("Hips", "rotation", TIMES, NOD)
    for scale in ([1, 2, 1], [-1, 1, 1], [0, 0, 0]):
        files.nodes[0]["scale"] = scale
        with pytest.raises(InputError, match="Armature above the skeleton scales unevenly"):
            Motion.load(files.save(tmp_path / "a.glb"))


def unreal(ik_moves: bool = True) -> GltfFiles:
    files = GltfFiles()
    files.node("SK_Mannequin", rotation=LYING)
    files.node("root", "SK_Mannequin")
    files.node("pelvis", "root", translation=[0, 0, 0.9])
    files.chain("pelvis", "spine_01", "spine_02", "neck_01", "head")
    for side, x in (("l", 0.1), ("r", -0.1)):
        files.chain("pelvis", f"thigh_{side}", f"calf_{side}", f"foot_{side}", offset=(x, -0.4, 0))
    files.chain("root", "ik_foot_root", "ik_foot_l")
    files.chain("ik_foot_root", "ik_foot_r")
    files.chain("root", "ik_hand_root", "ik_hand_gun", "ik_hand_l")
    names = [node["name"] for node in files.nodes[1:]]
    files.skin(*names)
    files.track("pelvis", "translation", TIMES, WALK[:, [0, 2, 1]])
    files.track("pelvis", "rotation", TIMES, LEAN)
    files.track("thigh_l", "rotation", TIMES, NOD)
    if ik_moves:
        files.track("ik_foot_l", "translation", TIMES, WALK)
        files.track("ik_hand_gun", "rotation", TIMES, NOD)
    return files


@pytest.mark.parametrize("moves", ["nothing", "the root", "the root and its parent"])
def test_unreals_root_with_ik_bones(tmp_path: Path, moves: str) -> None:
    files = unreal()
    if moves != "nothing":
        files.track("root", "translation", TIMES, WALK * 2)
        files.track("root", "rotation", TIMES, LEAN)
    if moves.endswith("parent"):
        files.track("SK_Mannequin", "rotation", TIMES, NOD)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names[0] == "pelvis" and motion.skeleton.num_joints == 11
    assert motion.notes == ["left away, beside the body: ik_foot_root, ik_hand_root"]


def test_root_motion_on_the_root_bone_alone_keeps_it(tmp_path: Path) -> None:
    files = GltfFiles()
    files.chain("root", "Hips", "Spine", "Head")
    files.skin("root", "Hips", "Spine", "Head")
    files.track("root", "translation", TIMES, WALK)
    files.track("Hips", "rotation", TIMES, NOD)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names[0] == "root"


def test_a_fox_of_unknown_names(tmp_path: Path) -> None:
    """The Khronos Fox: a still joint, a root bone, the hips with a tail and four legs."""
    files = GltfFiles()
    files.node("root", rotation=LYING)
    files.chain("root", "_rootJoint", "b_Root_00", "b_Hip_01", "b_Spine01_02", "b_Head_05")
    files.chain("b_Hip_01", "b_Tail01_012", "b_Tail02_013")
    for leg in ("LeftLeg", "RightLeg"):
        files.chain("b_Hip_01", *(f"b_{leg}{i}" for i in range(3)), offset=(0.1, -0.2, 0))
    files.skin(*(node["name"] for node in files.nodes[1:]))
    files.track("b_Hip_01", "translation", TIMES, WALK)
    files.track("b_LeftLeg1", "rotation", TIMES, NOD)
    files.track("b_Tail02_013", "rotation", TIMES, LEAN)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names[0] == "b_Hip_01" and motion.skeleton.num_joints == 11


def test_kaykits_handles_beside_the_hips(tmp_path: Path) -> None:
    files = GltfFiles()
    files.node("Rig")
    files.chain("Rig", "root", "hips", "spine", "chest", "head")
    for side, x in (("l", 0.1), ("r", -0.1)):
        files.chain("hips", f"upperleg.{side}", f"lowerleg.{side}", offset=(x, -0.2, 0))
        files.chain("chest", f"upperarm.{side}", f"hand.{side}", f"handslot.{side}")
        files.chain("root", f"kneeIK.{side}")
        heel = ["control-toe-roll", "control-heel-roll", "control-foot-roll", "IK-foot"]
        files.chain("root", *(f"{name}.{side}" for name in heel))
        files.track(f"kneeIK.{side}", "translation", TIMES, WALK)
        files.track(f"control-toe-roll.{side}", "rotation", TIMES, NOD)
    files.skin(*(node["name"] for node in files.nodes[1:]))
    files.track("hips", "translation", TIMES, WALK)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names[0] == "hips" and motion.skeleton.num_joints == 14


def test_several_roots_of_a_skin_without_a_common_joint(tmp_path: Path) -> None:
    """Blender armatures may have many top bones: Quaternius' characters have IK targets so."""
    files = GltfFiles()
    files.node("CharacterArmature", scale=[0.5] * 3)
    files.chain("CharacterArmature", "Root", "Body", "Hips", "Abdomen", "Torso", "Head")
    files.chain("CharacterArmature", "PoleTarget.L")
    files.chain("CharacterArmature", "Foot.L", "Foot.L_end")
    files.skin(*(node["name"] for node in files.nodes[1:]))
    files.track("Body", "translation", TIMES, WALK)
    files.track("Foot.L", "translation", TIMES, WALK)
    files.track("Foot.L", "rotation", TIMES, NOD)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names == ("Body", "Hips", "Abdomen", "Torso", "Head")
    assert "Foot.L" in motion.notes[0]


BODY = ("Hips", "Spine", "Chest", "Neck", "Head")


def body_files() -> GltfFiles:
    files = GltfFiles()
    files.node("Armature")
    files.chain("Armature", *BODY)
    for side, x in (("Left", 0.1), ("Right", -0.1)):
        files.chain("Hips", f"{side}UpLeg", f"{side}Leg", f"{side}Foot", offset=(x, -0.3, 0))
    files.track("Hips", "translation", TIMES, WALK)
    files.track("Spine", "rotation", TIMES, NOD)
    files.track("LeftUpLeg", "rotation", TIMES, LEAN)
    return files


def test_skins_of_one_body_are_united(tmp_path: Path) -> None:
    """Legs, trunk and hair apart; the hips are in no skin, the neck in none either."""
    files = body_files()
    files.chain("Head", "hair1", "hair2")
    files.skin("hair1", "hair2")
    files.skin("LeftUpLeg", "LeftLeg", "RightUpLeg", "RightFoot")
    files.skin("Spine", "Chest", "Head")
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    expected = {*BODY, "hair1", "hair2", "LeftUpLeg", "LeftLeg", "RightUpLeg", "RightLeg"}
    assert set(motion.skeleton.joint_names) == expected | {"RightFoot"}
    assert motion.skeleton.joint_names[0] == "Hips" and motion.notes == []


def test_hair_alone_is_skinned(tmp_path: Path) -> None:
    files = body_files()
    files.skin("Head")
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names == BODY


def test_another_figure_in_the_file_is_left_away_with_a_note(tmp_path: Path) -> None:
    files = body_files()
    files.node("Horse")
    files.chain("Horse", "pelvis", "back")
    files.skin("pelvis", "back")
    files.skin(*BODY)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names == BODY
    assert motion.notes == ["left away, 2 joints of 1 other skinned figures"]


def test_gaps_in_a_skin_belong_to_the_skeleton(tmp_path: Path) -> None:
    files = body_files()
    files.skin("Hips", "Chest", "Head")
    files.track("Neck", "rotation", TIMES, NOD)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names == BODY


def test_no_skin_and_an_armature_of_centimetres(tmp_path: Path) -> None:
    """An animation-only export: the armature has keys too, and a camera flies along."""
    files = body_files()
    files.nodes[0]["scale"] = [0.01] * 3
    for node in files.nodes[1:]:
        node["translation"] = (np.array(node["translation"]) * 100).tolist()
    files.document["animations"][0]["channels"].pop(0)
    files.track("Hips", "translation", TIMES, WALK * 100)
    files.track("Armature", "rotation", TIMES, LEAN)
    files.track("Head", "rotation", TIMES, NOD)
    files.document["cameras"] = [{"type": "perspective", "perspective": {"yfov": 1, "znear": 1}}]
    files.node("Camera", camera=0)
    files.track("Camera", "translation", TIMES, WALK)
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert set(motion.skeleton.joint_names) == {*BODY, "LeftUpLeg"}
    assert motion.notes == ["left away, it moves apart from the skeleton: Camera"]


def splined(path: str) -> np.ndarray:
    """Three keys: in-tangent, value, out-tangent; of rotations neither is of unit length."""
    rng = np.random.default_rng(5)
    if path == "translation":
        return rng.normal(size=(9, 3))
    keys = rng.normal(size=(9, 4))
    keys[1::3] = turns("xyz"[0], 0, 50, -30)
    return keys


@pytest.mark.parametrize("kind", ["CUBICSPLINE", "STEP", "LINEAR"])
def test_interpolations(tmp_path: Path, kind: str) -> None:
    files = body_files()
    files.document.pop("animations")
    files.skin(*BODY)
    files.mesh(*BODY[:4])
    keys = slice(None) if kind == "CUBICSPLINE" else slice(1, None, 3)
    files.track("Hips", "translation", [0, 0.25, 0.61], splined("translation")[keys], kind)
    files.track("Chest", "rotation", [0, 0.33, 0.61], splined("rotation")[keys], kind)
    files.track("Armature", "rotation", [0, 0.22, 0.61], splined("rotation")[keys], kind)
    path = files.save(tmp_path / "a.glb")
    motion = same_as_numpy(path, files)
    same_as_three(path, files, motion)
    assert Motion.load(path).fps == 30  # keys this far apart are sampled


def test_a_spline_at_its_own_keys(tmp_path: Path) -> None:
    files = body_files()
    files.document.pop("animations")
    tangents = np.repeat(NOD, 3, axis=0) * 0.5
    tangents[1::3] = NOD * 3
    files.track("Spine", "rotation", TIMES, tangents, "CUBICSPLINE")
    files.track("Chest", "rotation", TIMES, tangents, "CUBICSPLINE")
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    turn = motion.local_rot_mats
    np.testing.assert_allclose(
        turn @ np.swapaxes(turn, -1, -2), np.tile(np.eye(3), (7, 2, 1, 1)), atol=1e-5
    )


def test_sparse_empty_and_normalised_accessors(tmp_path: Path) -> None:
    files = body_files()
    files.document.pop("animations")
    files.skin(*BODY)
    files.mesh(*BODY[:4])
    hops = np.zeros((7, 3))
    hops[[2, 4]] = [[0.5, 1, 0], [0.8, 0, 2]]
    files.track("Hips", "translation", TIMES, files.sparse(hops, 2, 4))
    empty = files.accessor(np.zeros((7, 3)), bufferView=None)
    files.track("Armature", "translation", TIMES, empty)
    base = files.accessor(NOD)
    files.accessors[base]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": files.view(np.array([3], "u2")), "componentType": 5123},
        "values": {"bufferView": files.view(np.array(turns("z", 40), "f4"))},
    }
    files.track("Spine", "rotation", TIMES, base)
    files.track(
        "Neck", "rotation", TIMES, files.accessor(np.round(NOD * 32767), "i2", normalized=True)
    )
    path = files.save(tmp_path / "a.glb")
    motion = same_as_numpy(path, files)
    same_as_three(path, files, motion)


def test_whole_numbers_are_normalised_only_where_they_must_be(tmp_path: Path) -> None:
    def made(**more: Any) -> Motion:
        files = body_files()
        files.document.pop("animations")
        files.track("Hips", "translation", TIMES, files.accessor(np.full((7, 3), 2), "u1"))
        keys = files.accessor(np.round(NOD * 127), "i1", **more)
        files.track("Chest", "rotation", TIMES, keys)
        return Motion.load(files.save(tmp_path / "a.glb"))

    motion = made()
    np.testing.assert_array_equal(motion.root_positions, np.full((7, 3), 2))
    np.testing.assert_array_equal(motion.posed_joints, made(normalized=True).posed_joints)


@pytest.mark.parametrize("uri", ["walk.bin", "my%20data.bin", "deep/er/walk.bin", "./walk.bin"])
def test_buffers_beside_a_gltf(tmp_path: Path, uri: str) -> None:
    files = body_files()
    data = tmp_path / uri.replace("%20", " ")
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_bytes(bytes(files.data) + b"more")
    motion = Motion.load(files.save(tmp_path / "a.gltf", uri))
    right = Motion.load(files.save(tmp_path / "b.glb"))
    np.testing.assert_array_equal(motion.posed_joints, right.posed_joints)


def test_data_uris(tmp_path: Path) -> None:
    files = body_files()
    right = Motion.load(files.save(tmp_path / "b.glb"))
    escaped = "data:application/gltf-buffer," + "".join(f"%{byte:02x}" for byte in files.data)
    for name in ("a.gltf", "a.glb"):
        motion = Motion.load(files.save(tmp_path / name, escaped))
        np.testing.assert_array_equal(motion.posed_joints, right.posed_joints)
    with pytest.raises(InputError, match="no base64"):
        Motion.load(files.save(tmp_path / "a.gltf", "data:;base64,a"))


@pytest.mark.parametrize(
    "uri",
    [
        "../outside.bin",
        "%2e%2e/outside.bin",
        "deep/../../outside.bin",
        "{root}/outside.bin",
        "file://{root}/outside.bin",
        "https://example.com/outside.bin",
        "..\\outside.bin",
        "link.bin",
        "linked/outside.bin",
        "",
        "nothing.bin",
        "%00",
        "deep",
    ],
)
def test_no_other_file_is_read(tmp_path: Path, uri: str) -> None:
    files = body_files()
    (tmp_path / "outside.bin").write_bytes(bytes(files.data))
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "linked").symlink_to(tmp_path)
    files.save(folder / "a.gltf", "x")
    document = json.loads((folder / "a.gltf").read_text())
    document["buffers"][0]["uri"] = uri.format(root=tmp_path)
    (folder / "a.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"a\.gltf: .*needs '") as caught:
        Motion.load(folder / "a.gltf")
    assert "\n" not in str(caught.value)


def test_a_pipe_beside_a_gltf_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(InputError, match="not there"):
        Motion.load(body_files().save(tmp_path / "a.gltf", "pipe.bin"))


def two_animations(path: Path) -> Path:
    files = body_files()
    files.document["animations"][0]["name"] = "Walk"
    files.track("Hips", "translation", [0], [[0, 1, 0]], animation="T-Pose")
    files.track("Spine", "rotation", TIMES, LEAN, animation="2")
    return files.save(path)


def test_animations_by_name_and_index(tmp_path: Path) -> None:
    path = two_animations(tmp_path / "a.glb")
    first = Motion.load(path)
    assert first.notes == ["animation 0 'Walk' of 3 is read; the others are 1 'T-Pose', 2 '2'"]
    for animation, frames in (("Walk", 7), (1, 1), ("1", 1), ("t-pose", 1), ("2", 7), (2, 7)):
        motion = Motion.load(path, animation=animation)
        assert motion.num_frames == frames and motion.notes == []
    for animation in ("Run", 3, -1, "9"):
        with pytest.raises(InputError, match=r"there are 0 'Walk', 1 'T-Pose', 2 '2'"):
            Motion.load(path, animation=animation)


def test_the_first_animation_that_moves_the_body(tmp_path: Path) -> None:
    files = GltfFiles()
    files.node("Door")
    files.track("Door", "rotation", TIMES, LEAN, animation="open")
    files.chain("Hips", "Spine")
    files.skin("Hips", "Spine")
    files.track("Hips", "translation", TIMES, WALK, animation="walk")
    path = files.save(tmp_path / "a.glb")
    motion = Motion.load(path)
    np.testing.assert_allclose(motion.root_positions, WALK, atol=1e-6)
    assert motion.notes[0].startswith("animation 1 'walk' of 2")
    with pytest.raises(InputError, match="moves no joint"):
        Motion.load(path, animation="open")


def test_scaled_bones_are_read_without_their_scale(tmp_path: Path) -> None:
    files = body_files()
    plain = Motion.load(files.save(tmp_path / "a.glb"))
    files.nodes[files.index("Spine")]["scale"] = [2, 1, 1]
    files.nodes[files.index("LeftUpLeg")]["scale"] = [-1, 1, 1]
    files.track("Chest", "scale", TIMES, np.linspace([1] * 3, [1.5] * 3, 7))
    motion = Motion.load(files.save(tmp_path / "a.glb"))
    assert motion.notes == ["left away, the scale of bones: Spine, LeftUpLeg, Chest"]
    names = plain.skeleton.joint_names
    for name in names:
        joint = motion.skeleton.joint_names.index(name)
        got = motion.posed_joints[:, joint]
        np.testing.assert_allclose(got, plain.posed_joints[:, names.index(name)], atol=1e-6)


def test_helper_nodes_that_slide_do_not_refuse_a_character(tmp_path: Path) -> None:
    files = body_files()
    files.chain("Head", "brow_l")
    files.chain("Head", "nothing")
    files.track("brow_l", "translation", TIMES, WALK)
    files.track("nothing", "translation", TIMES, WALK)
    files.skin(*BODY, "brow_l", "nothing")
    files.mesh("Hips", "Spine", "Chest", "brow_l")
    motion = same_as_numpy(files.save(tmp_path / "a.glb"), files)
    assert motion.skeleton.joint_names == BODY
    assert motion.notes == ["left away, they slide on the body: brow_l, nothing"]
    files.track("Chest", "translation", TIMES, WALK)
    with pytest.raises(InputError, match="joint Chest moves relative to its parent"):
        Motion.load(files.save(tmp_path / "a.glb"))


def vrma(path: Path) -> tuple[Path, GltfFiles]:
    """As UniVRM writes them: nodes of any name, expressions and a gaze beside the body."""
    files = GltfFiles()
    files.node("Root")
    files.node("J_Hips", "Root", translation=[0, 0.9, 0])
    files.chain("J_Hips", "J_Spine", "J_Gap", "J_Head")
    for side, x in (("L", 0.1), ("R", -0.1)):
        files.chain("J_Hips", f"{side}_Up", f"{side}_Low", f"{side}_Foot", offset=(x, -0.4, 0))
        files.chain("J_Spine", f"{side}_Arm", f"{side}_Fore", f"{side}_Hand", offset=(x * 2, 0, 0))
    bones = {"hips": "J_Hips", "spine": "J_Spine", "head": "J_Head"}
    for side, letter in (("left", "L"), ("right", "R")):
        for bone in ("UpperLeg Up", "LowerLeg Low", "Foot Foot", "UpperArm Arm", "LowerArm Fore"):
            name, node = bone.split()
            bones[side + name] = f"{letter}_{node}"
        bones[f"{side}Hand"] = f"{letter}_Hand"
    files.node("happy", "Root")
    files.node("lookAt", "Root")
    for node in ("happy", "lookAt", "J_Hips"):
        files.track(node, "translation", TIMES, WALK)
    for node in ("J_Hips", "L_Up", "R_Arm"):
        files.track(node, "rotation", TIMES, NOD)
    human = {bone: {"node": files.index(name)} for bone, name in bones.items()}
    files.document["extensionsUsed"] = ["VRMC_vrm_animation"]
    files.document["extensions"] = {
        "VRMC_vrm_animation": {
            "specVersion": "1.0",
            "humanoid": {"humanBones": human},
            "expressions": {"preset": {"happy": {"node": files.index("happy")}}},
            "lookAt": {"node": files.index("lookAt")},
        }
    }
    return files.save(path), files


def test_a_vrm_animation_has_the_humanoids_names(tmp_path: Path) -> None:
    path, files = vrma(tmp_path / "a.vrma")
    motion = Motion.load(path)
    names = motion.skeleton.joint_names
    assert {"hips", "spine", "J_Gap", "head", "leftUpperLeg", "rightHand"} <= set(names)
    assert len(names) == 16 and motion.skeleton.hip_joints and motion.skeleton.right_hand_joints
    right = by_numpy(path, MOMENTS)
    nodes = {place["node"]: bone for bone, place in human_bones(files).items()}
    for node, bone in nodes.items():
        got = motion.posed_joints[:, names.index(bone)]
        np.testing.assert_allclose(got, right[:, node], rtol=0, atol=1e-4)


def human_bones(files: GltfFiles) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = files.document["extensions"]["VRMC_vrm_animation"][
        "humanoid"
    ]["humanBones"]
    return found


def hostile_document(num_nodes: int, **times: Any) -> bytes:
    """A chain of nodes, and an animation of two keys."""
    nodes: list[dict[str, Any]] = [{"children": [index + 1]} for index in range(num_nodes - 1)]
    data = (
        np.array([0, times.get("last", 0.1)], "<f4").tobytes()
        + turns("x", 0, 9).astype("<f4").tobytes()
    )
    accessors = [
        {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
        {"bufferView": 0, "byteOffset": 8, "componentType": 5126, "count": 2, "type": "VEC4"},
    ]
    document = {
        "nodes": [*nodes, {}],
        "skins": [{"joints": list(range(num_nodes))}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
                "samplers": [{"input": 0, "output": 1}],
            }
        ],
        "accessors": accessors,
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "buffers": [{"byteLength": len(data)}],
    }
    change: Callable[[dict[str, Any]], None] = times.get("change", lambda document: None)
    change(document)
    return glb(document, data)


def _many_zeros(document: dict[str, Any]) -> None:
    document["accessors"][1] = {"componentType": 5126, "count": 10**9, "type": "VEC4"}


def _circle(document: dict[str, Any]) -> None:
    document["nodes"][-1] = {"children": [5]}
    document["nodes"][4] = {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (hostile_document(100, last=1e6), "frames of 100 joints"),
        (hostile_document(2000, last=6666), "frames of 2000 joints"),
        (hostile_document(100, last=3e38), "frames of 100 joints"),
        (hostile_document(100, change=_many_zeros), "more than a file of this size can mean"),
        (hostile_document(100, change=_circle), "circle"),
        (hostile_document(20_000), "more than 10000 joints"),
    ],
)
def test_small_files_stay_small(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(tmp_path / "a.glb")
    assert "\n" not in str(caught.value)


LIMITED = """import re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from motionrt.runtime.body.motion import Motion
print(Motion.load(sys.argv[1], fps=float(sys.argv[2])).posed_joints.shape,
      int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)"""
"""Not getrusage: its peak begins with that of the process that started this one."""


def test_the_largest_that_a_small_file_may_mean_fits_into_memory(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(hostile_document(100, last=150))
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "a.glb"), "33"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    shape, megabytes = re.fullmatch(r"\((.*)\) (\d+)\n", done.stdout).groups()  # type: ignore[union-attr]
    assert shape == "4951, 100, 3" and int(megabytes) < 400


def test_deep_and_wide_trees_take_linear_time(tmp_path: Path) -> None:
    def equal_names(document: dict[str, Any]) -> None:
        for node in document["nodes"]:
            node["name"] = "a\\nb"

    (tmp_path / "a.glb").write_bytes(hostile_document(9_000, change=equal_names))
    motion = Motion.load(tmp_path / "a.glb")
    assert motion.skeleton.num_joints == 9_000
    assert motion.skeleton.joint_names[:2] == ("a\\nb", "a\\nb_2")


ODD: list[Any] = [None, True, -1, 7, 10**6, 10**400, 1.5, -1e308, float("inf"), float("nan"), ""]
ODD += [
    "data:,",
    "../x",
    "a\nb",
    [],
    [0],
    [[0]],
    {},
    {"a": 1},
    [1e308] * 3,
    [0] * 4,
    "STEP",
    "MAT4",
]


def places_in(value: Any, *above: Any) -> list[tuple[Any, ...]]:
    """Every path into a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for key, below in pairs:
        found.append((*above, key))
        if isinstance(below, dict | list):
            found += places_in(below, *above, key)
    return found


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_odd_values_are_refused_in_one_line_or_read_finite(
    tmp_path: Path, data: st.DataObject
) -> None:
    makers: list[Callable[[], GltfFiles]] = [mixamo, unreal, lambda: vrma(tmp_path / "v.vrma")[1]]
    files = data.draw(st.sampled_from(makers))()
    document = json.loads(json.dumps(files.whole()))
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from(places_in(document)))
        place = document
        for key in above:
            place = place[key]
        place[last] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    path = tmp_path / "odd.glb"
    path.write_bytes(glb(document, bytes(files.data)))
    try:
        motion = Motion.load(path)
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path))
    else:
        assert np.isfinite(motion.posed_joints).all()


def test_names_do_not_break_messages_into_lines(tmp_path: Path) -> None:
    files = GltfFiles()
    files.chain("Hips", "Leg")
    files.chain("Hips", "Spi\nne", "Head", "Chest")
    files.track("Spi\nne", "translation", TIMES, WALK)
    files.skin("Hips", "Leg", "Chest")
    with pytest.raises(InputError, match="joint Spi ne moves") as caught:
        Motion.load(files.save(tmp_path / "a.glb"))
    assert "\n" not in str(caught.value)
