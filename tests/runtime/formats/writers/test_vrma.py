import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_files import GltfFiles, by_node, glb, turns

from motionrt.runtime.body.joint_names import joint_roles, role_names
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.gltf import glb_bytes
from motionrt.runtime.formats.writers.vrma import vrma_bytes

Make = Callable[..., Motion]
HUMANOIDS = ["soma77", "soma30", "smplx22", "cmu22", "humanml22"]


def document(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def avatar(motion: Motion, path: Path) -> dict[str, int]:
    """A VRM 1.0 model on a motion's skeleton; returns its bones with their joints."""
    scene, data = document(glb_bytes(motion, rest="t-pose"))
    roles = joint_roles(motion.skeleton.joint_names)
    bones = {bone: j for role, j in roles.items() if (bone := role_names(role)["vrm"])}
    scene.pop("animations")
    scene["extensionsUsed"] = ["VRMC_vrm"]
    meta = {"name": "a", "authors": ["b"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    human_bones = {bone: {"node": joint} for bone, joint in bones.items()}
    scene["extensions"] = {
        "VRMC_vrm": {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": human_bones}}
    }
    path.write_bytes(glb(scene, data))
    return bones


@pytest.mark.parametrize("skeleton", HUMANOIDS)
def test_three_vrm_animation_moves_an_avatar_as_the_motion(
    wandering: Make, tmp_path: Path, skeleton: str
) -> None:
    motion = wandering(skeleton)
    motion.save(tmp_path / "a.vrma")
    bones = avatar(motion, tmp_path / "a.vrm")
    seen = by_node("check_vrma.mjs", tmp_path / "a.vrma", tmp_path / "a.vrm", 0, 13 / 30)
    # What the validator has to say: the extension is not its own, and nodes may be empty.
    assert {told["severity"] for told in seen["issues"]["messages"]} <= {2}
    codes = {told["code"] for told in seen["issues"]["messages"]}
    assert codes <= {"UNSUPPORTED_EXTENSION", "NODE_EMPTY"}
    assert set(seen["rotated"]) == set(bones) - {"leftEye", "rightEye"}
    assert set(seen["bones"]) == set(bones)
    again = Motion.load(tmp_path / "a.vrma")
    places = [bones[bone] for bone in seen["bones"]]
    got = np.array(seen["joints"])
    np.testing.assert_allclose(got, again.posed_joints[[0, 13]][:, places], rtol=0, atol=1e-3)


@pytest.mark.parametrize("skeleton", HUMANOIDS)
def test_what_was_written_is_read_back(wandering: Make, tmp_path: Path, skeleton: str) -> None:
    motion = wandering(skeleton, fps=24)
    motion.save(tmp_path / "a.vrma")
    again = Motion.load(tmp_path / "a.vrma")
    assert again.skeleton == motion.skeleton and again.fps == 24
    roles = joint_roles(motion.skeleton.joint_names)
    bones = [joint for role, joint in roles.items() if role_names(role)["vrm"]]
    got, right = again.global_rot_mats[:, bones], motion.global_rot_mats[:, bones]
    np.testing.assert_allclose(got, right, rtol=0, atol=1e-4)
    if not skeleton.startswith("soma"):  # whose second neck VRM has not
        np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def foreign(path: Path, offset: float) -> Motion:
    """A Mixamo rig that rests with its arms down and its back to +z, on a root bone."""
    files = GltfFiles()
    files.node("Armature", rotation=turns("y", 180)[0].tolist())
    files.chain("Armature", "root", "Hips", "Spine", "Head", offset=(0, 0.5, 0))
    for side, x in (("Left", 0.1), ("Right", -0.1)):
        files.chain("Hips", f"{side}UpLeg", offset=(x, 0, 0))
        files.chain(f"{side}UpLeg", f"{side}Leg", f"{side}Foot", offset=(0, -0.4, 0))
        files.chain("Spine", f"{side}Arm", offset=(x * 2, 0.2, 0))
        files.chain(f"{side}Arm", f"{side}ForeArm", f"{side}Hand", offset=(x, -0.25, 0))
    files.skin(*(node["name"] for node in files.nodes[1:]))
    times = np.linspace(0, 0.6, 7)
    files.track("root", "translation", times, np.stack([times, 0 * times, times], axis=1) + offset)
    files.track("LeftArm", "rotation", times, turns("x", *(90 * times)))
    files.track("Hips", "rotation", times, turns("y", *(90 * times)))
    return Motion.load(files.save(path))


def test_a_foreign_rig_becomes_a_t_pose_that_faces_forward(tmp_path: Path) -> None:
    motion = foreign(tmp_path / "a.glb", offset=0.1)
    motion.save(tmp_path / "a.vrma")
    again = Motion.load(tmp_path / "a.vrma")
    names = again.skeleton.joint_names
    assert names[0] == "hips" and "leftUpperArm" in names
    for name, other in (("leftHand", "LeftHand"), ("head", "Head"), ("rightFoot", "RightFoot")):
        right = motion.posed_joints[:, motion.skeleton.index(other)]
        got = again.posed_joints[:, names.index(name)]
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-5)
    rest = again.skeleton.rest_positions
    for start, end, way in (
        ("leftUpperArm", "leftHand", [1, 0, 0]),
        ("rightUpperArm", "rightHand", [-1, 0, 0]),
        ("leftUpperLeg", "leftFoot", [0, -1, 0]),
        ("hips", "head", [0, 1, 0]),
    ):
        bone = rest[names.index(end)] - rest[names.index(start)]
        np.testing.assert_allclose(bone / np.linalg.norm(bone), way, atol=0.02)


def test_the_file_has_what_the_specification_asks_for(wandering: Make) -> None:
    scene, _ = document(vrma_bytes(wandering("soma77")))
    extension = scene["extensions"]["VRMC_vrm_animation"]
    bones = extension["humanoid"]["humanBones"]
    assert extension["specVersion"] == "1.0" and "leftEye" not in bones
    assert {"hips", "spine", "head", "leftThumbMetacarpal", "rightLittleDistal"} <= set(bones)
    assert "meshes" not in scene and len(scene["animations"]) == 1
    moved = {
        channel["target"]["node"]
        for channel in scene["animations"][0]["channels"]
        if channel["target"]["path"] == "translation"
    }
    assert moved == {bones["hips"]["node"]}


def test_what_is_no_humanoid_is_refused_by_what_it_lacks(wandering: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="g1 is no VRM humanoid: its joint names tell no hips"):
        wandering("g1").save(tmp_path / "a.vrma")
    assert list(tmp_path.iterdir()) == []
