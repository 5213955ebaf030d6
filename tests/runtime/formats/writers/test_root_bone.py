"""A bone on the floor that goes the body's path, in glTF and BVH."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.frame import Frame
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import root_path
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.formats.writers.bvh import bvh_text
from motionrt.runtime.formats.writers.gltf import glb_bytes

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # it imports PyGLM by its old name
    import bvhio


def document(data: bytes) -> dict[str, Any]:
    (size,) = struct.unpack_from("<I", data, 12)
    parsed: dict[str, Any] = json.loads(data[20 : 20 + size])
    return parsed


@pytest.mark.parametrize("style", [None, "mixamo", "ue5"])
def test_glb_has_a_root_above_the_hips(style: str | None) -> None:
    motion = striding(turn_radps=0.4)
    parsed = document(glb_bytes(motion, root_bone=True, joint_names=style))
    (root,) = (node for node in parsed["nodes"] if node["name"] == "root")
    assert root["children"] == [0] and "mesh" not in root
    assert parsed["scenes"][0]["nodes"][0] == parsed["nodes"].index(root)
    (skin,) = parsed["skins"]
    assert skin["skeleton"] == parsed["nodes"].index(root) and len(skin["joints"]) == 23


@pytest.mark.parametrize("ending", ["glb", "gltf", "bvh"])
@pytest.mark.parametrize("skeleton", ["cmu22", "soma77"])
def test_read_again_the_body_moves_as_before(tmp_path: Path, ending: str, skeleton: str) -> None:
    motion = striding(turn_radps=0.4, heading=1.0)
    if skeleton == "soma77":
        body = load_skeleton(skeleton)
        turns = np.tile(np.eye(3), (120, 77, 1, 1))
        turns[:, 0] = motion.local_rot_mats[:, 0]
        motion = Motion.from_local(turns, motion.root_positions, body, 30)
    motion.save(tmp_path / f"walk.{ending}", root_bone=True)
    again = Motion.load(tmp_path / f"walk.{ending}")
    assert again.skeleton.name == skeleton
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-4)


@pytest.mark.parametrize(("up", "forward"), [("+y", "+z"), ("+z", "-y"), ("+z", "+x")])
def test_bvh_in_other_axes_by_another_reader(tmp_path: Path, up: str, forward: str) -> None:
    motion = striding(seconds=1, turn_radps=0.4)
    frame = Frame(up, forward)
    path = tmp_path / "walk.bvh"
    for root_bone in (False, True):
        text = bvh_text(motion, root_bone=root_bone, up=up, forward=forward, scale=1)
        path.write_text(text, "utf-8")
        root = bvhio.readAsHierarchy(str(path))
        expected = frame.positions(motion.posed_joints.astype(float))
        for frame_number in (0, 17, 29):
            root.loadPose(frame_number)
            found = {joint.Name: joint.PositionWorld for joint, _, _ in root.layout()}
            for joint, name in enumerate(motion.skeleton.joint_names):
                place = np.array(list(found[name]))
                np.testing.assert_allclose(place, expected[frame_number, joint], atol=1e-3)
            if root_bone:
                bone = frame.positions(root_path(motion)[0])[frame_number]
                np.testing.assert_allclose(np.array(list(found["root"])), bone, atol=1e-3)
