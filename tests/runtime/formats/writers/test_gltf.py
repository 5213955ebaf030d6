import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import NODE
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation, Slerp

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.gltf import glb_bytes

Make = Callable[..., Motion]


def array(document: GLTF2, index: int) -> np.ndarray:
    accessor = document.accessors[index]
    view = document.bufferViews[accessor.bufferView]
    dtype = {5126: "<f4", 5123: "<u2", 5121: "<u1"}[accessor.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
    start = view.byteOffset + (accessor.byteOffset or 0)
    count = accessor.count * width
    return np.frombuffer(document.binary_blob(), dtype, count, start).reshape(-1, width)


def joint_positions(document: GLTF2, seconds: float) -> np.ndarray:
    """Pose the scene as glTF's own rules say, with scipy's rotations."""
    turns = {index: Rotation.identity() for index in range(len(document.nodes))}
    places = {
        index: np.array(node.translation or [0, 0, 0]) for index, node in enumerate(document.nodes)
    }
    animation = document.animations[0]
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        times, values = array(document, sampler.input)[:, 0], array(document, sampler.output)
        node = channel.target.node
        if channel.target.path == "rotation":
            moment = np.clip(seconds, times[0], times[-1])
            turns[node] = Slerp(times, Rotation.from_quat(values))(moment)
        else:
            places[node] = np.array([np.interp(seconds, times, column) for column in values.T])
    world: dict[int, tuple[Rotation, np.ndarray]] = {}
    stack = [(root, Rotation.identity(), np.zeros(3)) for root in document.scenes[0].nodes]
    while stack:
        node, turn, place = stack.pop()
        world[node] = (turn * turns[node], place + turn.apply(places[node]))
        stack += [(child, *world[node]) for child in document.nodes[node].children or ()]
    return np.array([world[joint][1] for joint in document.skins[0].joints])


@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
@pytest.mark.parametrize("rest", ["neutral", "t-pose"])
def test_an_independent_loader_sees_the_same_joints(
    wandering: Make, tmp_path: Path, skeleton: str, rest: str
) -> None:
    motion = wandering(skeleton)
    motion.save(tmp_path / "a.glb", rest=rest)
    document = GLTF2().load(str(tmp_path / "a.glb"))
    names = [document.nodes[joint].name for joint in document.skins[0].joints]
    assert tuple(names) == motion.skeleton.joint_names
    for frame in (0, 9, 23):
        got = joint_positions(document, frame / 30)
        np.testing.assert_allclose(got, motion.posed_joints[frame], rtol=0, atol=1e-4)
    between = joint_positions(document, 9.5 / 30)
    middle = (motion.posed_joints[9] + motion.posed_joints[10]) / 2
    assert np.abs(between - middle).max() < 0.15


def test_the_figure_is_skinned_to_the_rest_pose_and_stands_on_the_floor(
    wandering: Make, tmp_path: Path
) -> None:
    wandering("soma77").save(tmp_path / "a.glb")
    document = GLTF2().load(str(tmp_path / "a.glb"))
    attributes = document.meshes[0].primitives[0].attributes
    positions, weights = array(document, attributes.POSITION), array(document, attributes.WEIGHTS_0)
    joints = array(document, attributes.JOINTS_0)[:, 0]
    assert (weights.sum(axis=1) == 255).all() and -0.06 < positions[:, 1].min() < 0.0
    assert 1.5 < positions[:, 1].max() < 1.9
    bind = -array(document, document.skins[0].inverseBindMatrices)[:, 12:15]
    assert np.linalg.norm(positions - bind[joints], axis=1).max() < 0.5  # no longer than a shin
    indices = array(document, document.meshes[0].primitives[0].indices)
    assert indices.max() == len(positions) - 1
    normals = array(document, attributes.NORMAL)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    corners = positions[indices.reshape(-1, 3)]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.sum(faces * normals[indices.reshape(-1, 3)].sum(axis=1), axis=1)
    assert (outward > 0).all()


def independent(path: Path, fps: float, *frames: int) -> dict[str, Any]:
    if not shutil.which("node") or not (NODE / "node_modules").is_dir():
        missing = "needs node and: npm install --prefix tests/node"
        # Where everything is to be proven, a missing validator is a failure.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    command = ["node", str(NODE / "check_glb.cjs"), str(path), str(fps), *map(str, frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("skeleton", "options"),
    [
        ("soma77", {"joint_names": "mixamo"}),
        ("soma30", {"joint_names": "vrm"}),
        ("g1", {"rest": "t-pose"}),
        ("smplx22", {"joint_names": "ue5"}),
        ("cmu22", {}),
    ],
)
def test_khronos_validator_and_three_js_accept_it(
    wandering: Make, tmp_path: Path, skeleton: str, options: dict[str, str]
) -> None:
    motion = wandering(skeleton)
    motion.save(tmp_path / "a.glb", **options)
    result = independent(tmp_path / "a.glb", motion.fps, 0, 13)
    assert result["issues"]["messages"] == []
    np.testing.assert_allclose(result["joints"], motion.posed_joints[[0, 13]], rtol=0, atol=1e-4)


def test_one_frame_is_valid_too(wandering: Make, tmp_path: Path) -> None:
    wandering("g1", frames=1).save(tmp_path / "a.glb")
    assert independent(tmp_path / "a.glb", 30, 0)["issues"]["messages"] == []


def test_a_body_that_is_one_point_is_shown_as_a_point() -> None:
    skeleton = Skeleton("point", ("a", "b"), np.array([-1, 0]), np.zeros((2, 3), np.float32))
    turns = np.broadcast_to(np.eye(3), (2, 2, 3, 3))
    point = Motion.from_local(turns, np.zeros((2, 3)), skeleton, 30)
    document = GLTF2.load_from_bytes(glb_bytes(point))
    assert array(document, document.meshes[0].primitives[0].attributes.POSITION).size


def test_options(wandering: Make) -> None:
    motion = wandering("soma77", frames=300)
    assert b'"mixamorig:Hips"' in glb_bytes(motion, joint_names="mixamo")
    with pytest.raises(InputError, match="rest pose"):
        glb_bytes(motion, rest="sitting")


def test_text_holds_the_same_as_binary(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("smplx22")
    motion.save(tmp_path / "a.gltf", rest="t-pose", joint_names="ue5")
    motion.save(tmp_path / "a.glb", rest="t-pose", joint_names="ue5")
    text, binary = Motion.load(tmp_path / "a.gltf"), Motion.load(tmp_path / "a.glb")
    np.testing.assert_array_equal(text.posed_joints, binary.posed_joints)
    assert text.skeleton == motion.skeleton
    result = independent(tmp_path / "a.gltf", motion.fps, 0, 13)
    assert result["issues"]["messages"] == []
    np.testing.assert_allclose(result["joints"], motion.posed_joints[[0, 13]], rtol=0, atol=1e-4)
