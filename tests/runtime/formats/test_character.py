"""Characters in files: kept as they were, and moving as other software shows them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_files import by_node
from rigs import RIGS, character
from strides import striding

from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.retarget import retargeted
from motionrt.runtime.body.root_motion import root_path
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.character import Character, read_character, read_corrections

FRAMES = (0, 7, 20)


def moved(path: Path, **options: Any) -> tuple[Character, Motion]:
    body = read_character(path)
    walk = striding(seconds=1, turn_radps=0.4)
    made = retargeted(walk, map_bones(walk.skeleton), body.skeleton, body.bones).motion
    return body, made


def document(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    parsed: dict[str, Any] = json.loads(data[20 : 20 + size])
    return parsed


def three_places(path: Path, body: Character, fps: float) -> np.ndarray:
    """Where three.js puts the skeleton's joints at some frames."""
    places = by_node("pose_glb.mjs", path, 0, *(frame / fps for frame in FRAMES))
    index = {node["name"]: number for number, node in enumerate(document(path)["nodes"])}
    joints = [index[name] for name in body.skeleton.joint_names]
    return np.array(places, float)[:, joints]


@pytest.mark.parametrize("rig", RIGS)
def test_three_shows_the_motion_and_the_validator_agrees(rig: str, tmp_path: Path) -> None:
    place = character(tmp_path, rig)
    body, motion = moved(place)
    out = tmp_path / f"out{place.suffix}"
    body.save(motion, out)
    found = three_places(out, body, motion.fps)
    np.testing.assert_allclose(found, motion.posed_joints[list(FRAMES)], atol=2e-4)
    checked = by_node("check_glb.cjs", out, motion.fps, 0)
    assert checked["issues"]["numErrors"] == 0, checked["issues"]["messages"]


def test_what_was_in_the_file_is_in_it_still(tmp_path: Path) -> None:
    place = character(tmp_path, "vrm")
    body, motion = moved(place)
    body.save(motion, tmp_path / "out.vrm", name="walk")
    before, after = document(place), document(tmp_path / "out.vrm")
    for key in ("nodes", "skins", "meshes", "materials", "extensions", "extensionsUsed", "scenes"):
        assert after[key] == before[key]
    assert after["accessors"][: len(before["accessors"])] == before["accessors"]
    assert after["animations"][0]["name"] == "walk" and len(after["animations"]) == 1
    again = read_character(tmp_path / "out.vrm")
    body.save(motion, tmp_path / "three.vrm", name="walk")
    assert again.file is not None
    again.save(motion, tmp_path / "two.vrm", name="run")
    names = [animation["name"] for animation in document(tmp_path / "two.vrm")["animations"]]
    assert names == ["run", "walk"]


@pytest.mark.parametrize("rig", ["unreal", "metahuman", "rocketbox", "kaykit"])
def test_the_bone_above_the_hips_takes_the_path(rig: str, tmp_path: Path) -> None:
    body, motion = moved(character(tmp_path, rig))
    out = tmp_path / "out.glb"
    body.save(motion, out, root_bone=True)
    found = three_places(out, body, motion.fps)
    np.testing.assert_allclose(found, motion.posed_joints[list(FRAMES)], atol=3e-4)
    places = np.array(by_node("pose_glb.mjs", out, 0, *(frame / motion.fps for frame in FRAMES)))
    index = [node["name"] for node in document(out)["nodes"]].index(RIGS[rig].above[-1])
    path, _ = root_path(motion)
    np.testing.assert_allclose(places[:, index], path[list(FRAMES)], atol=3e-4)


def test_a_root_bone_that_is_not_there_is_told(tmp_path: Path) -> None:
    body, motion = moved(character(tmp_path, "vrm0"))
    with pytest.raises(InputError, match="no bone above the hips"):
        body.save(motion, tmp_path / "out.vrm", root_bone=True)


def test_what_lies_beside_a_gltf_comes_along(tmp_path: Path) -> None:
    glb = character(tmp_path, "mixamo")
    data = glb.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    parsed = document(glb)
    parsed["buffers"][0]["uri"] = "body.bin"
    parsed["images"] = [{"uri": "skin.png"}]
    (tmp_path / "body.bin").write_bytes(data[28 + size :])
    (tmp_path / "skin.png").write_bytes(b"\x89PNG")
    (tmp_path / "body.gltf").write_text(json.dumps(parsed))
    body, motion = moved(tmp_path / "body.gltf")
    body.save(motion, tmp_path / "out.glb")
    found = three_places(tmp_path / "out.glb", body, motion.fps)
    np.testing.assert_allclose(found, motion.posed_joints[list(FRAMES)], atol=2e-4)
    made = document(tmp_path / "out.glb")
    assert made["images"][0]["uri"] == "data:image/png;base64,iVBORw=="
    assert "uri" not in made["buffers"][0]
    parsed["images"] = [{"uri": "../skin.png"}]
    (tmp_path / "body.gltf").write_text(json.dumps(parsed))
    with pytest.raises(InputError, match="only files in the folder"):
        moved(tmp_path / "body.gltf")[0].save(motion, tmp_path / "out.glb")


def test_a_bvh_is_a_character_by_its_skeleton(tmp_path: Path) -> None:
    body, motion = moved(character(tmp_path, "rocketbox"))
    motion.save(tmp_path / "hero.bvh")
    hero = read_character(tmp_path / "hero.bvh")
    assert hero.file is None and "Bip01_L_Calf" in hero.skeleton.joint_names
    walk = striding(seconds=1)
    made = retargeted(walk, map_bones(walk.skeleton), hero.skeleton, hero.bones).motion
    hero.save(made, tmp_path / "walk.bvh")
    again = Motion.load(tmp_path / "walk.bvh")
    assert again.skeleton.joint_names == hero.skeleton.joint_names
    np.testing.assert_allclose(again.posed_joints, made.posed_joints, atol=1e-3)
    with pytest.raises(InputError, match=r"no \.vrm"):
        hero.save(made, tmp_path / "walk.vrm")
    assert body.skeleton.num_joints >= hero.skeleton.num_joints


def test_joints_above_the_hips_of_a_bvh_are_left_away(tmp_path: Path) -> None:
    striding(seconds=1, skeleton="cmu22").save(tmp_path / "a.bvh", root_bone=True)
    text = (tmp_path / "a.bvh").read_text().replace("Hips", "pelvis_of_it")
    (tmp_path / "a.bvh").write_text(text)
    found = read_character(tmp_path / "a.bvh")
    assert found.skeleton.joint_names[0] == "pelvis_of_it"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["nodes"][3].update(scale=[1, 2, 1]), "scaled unevenly"),
        (lambda d: d["nodes"][3].update(rotation=[1, 0]), "damaged glTF"),
        (lambda d: d["nodes"][3].update(translation=[0, 0]), "no proper transform"),
        (lambda d: d["nodes"][3]["children"].append(0), "form a circle|two parents"),
        (lambda d: d["nodes"][3]["children"].append(999), "points at nothing"),
        (lambda d: d.update(nodes=[]), "0 nodes"),
        (lambda d: d["skins"][0].update(joints=[4000]), "points at nothing"),
        (lambda d: d.update(skins="x"), "no object|damaged|nothing"),
    ],
)
def test_damaged_characters_are_one_line(change: Any, told: str, tmp_path: Path) -> None:
    glb = character(tmp_path, "mixamo")
    data = glb.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    parsed = document(glb)
    change(parsed)
    text = json.dumps(parsed).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    head = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    glb.write_bytes(head + struct.pack("<II", len(text), 0x4E4F534A) + text + rest)
    with pytest.raises(InputError, match=told) as caught:
        moved(glb)
    assert "\n" not in str(caught.value)


def test_matrices_become_what_can_be_animated(tmp_path: Path) -> None:
    glb = character(tmp_path, "kaykit")
    data = glb.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    parsed = document(glb)
    for node in parsed["nodes"]:
        if node["name"] in ("hips", "upperleg.l"):
            matrix = np.eye(4)
            x, y, z, w = node.pop("rotation")
            matrix[:3, :3] = _matrix(w, x, y, z)
            matrix[:3, 3] = node.pop("translation")
            node["matrix"] = matrix.T.ravel().tolist()
    text = json.dumps(parsed).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    head = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    glb.write_bytes(head + struct.pack("<II", len(text), 0x4E4F534A) + text + rest)
    body, motion = moved(glb)
    body.save(motion, tmp_path / "out.glb")
    found = three_places(tmp_path / "out.glb", body, motion.fps)
    np.testing.assert_allclose(found, motion.posed_joints[list(FRAMES)], atol=2e-4)


def _matrix(w: float, x: float, y: float, z: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat([x, y, z, w]).as_matrix())


@pytest.mark.parametrize("text", ["[1]", '{"hips": 3}', "{", '"x"'])
def test_corrections_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(InputError, match=r"map\.json: "):
        read_corrections(tmp_path / "map.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_corrections(tmp_path / "none.json")
    with pytest.raises(InputError, match="no such file"):
        read_character(tmp_path / "none.glb")
