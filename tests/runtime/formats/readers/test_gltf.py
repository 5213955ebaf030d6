import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.gltf import glb_bytes

Make = Callable[..., Motion]


@pytest.mark.parametrize("rest", ["neutral", "t-pose"])
@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
def test_what_was_written_is_read_back(
    wandering: Make, tmp_path: Path, skeleton: str, rest: str
) -> None:
    motion = wandering(skeleton, fps=24)
    names = None if skeleton == "g1" else "ue5"
    motion.save(tmp_path / "a.glb", rest=rest, joint_names=names)
    again = Motion.load(tmp_path / "a.glb")
    assert again.skeleton == motion.skeleton and again.fps == 24
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    np.testing.assert_allclose(again.local_rot_mats, motion.local_rot_mats, rtol=0, atol=1e-4)


def test_another_frame_rate_samples_the_curves(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("smplx22", frames=21)
    motion.save(tmp_path / "a.glb")
    half = Motion.load(tmp_path / "a.glb", fps=15)
    assert half.fps == 15 and half.num_frames == 11
    np.testing.assert_allclose(half.posed_joints, motion.posed_joints[::2], rtol=0, atol=1e-4)
    assert Motion.load(tmp_path / "a.glb", fps=60).num_frames == 41


def foreign_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A rig as other tools write it: an armature of centimetres lying on its back, bones that rest
    turned, sparse keys. Returns where its two joints are at the first and last key.
    """
    turns = Rotation.from_rotvec([[0, 0, 0], [0, 0, np.pi / 2]])
    times = np.array([0, 0.5], np.float32)
    blob = times.tobytes() + turns.as_quat().astype("<f4").tobytes()
    armature = Rotation.from_euler("x", -90, degrees=True)
    rest = Rotation.from_euler("y", 30, degrees=True)
    document = pygltflib.GLTF2(
        scene=0,
        scenes=[pygltflib.Scene(nodes=[0])],
        nodes=[
            pygltflib.Node(
                name="Armature",
                children=[2],
                rotation=armature.as_quat().tolist(),
                scale=[0.01] * 3,
            ),
            pygltflib.Node(name="Tip", translation=[0, 50, 0]),
            pygltflib.Node(
                name="Base",
                children=[1],
                translation=[0, 0, 100],
                rotation=rest.as_quat().tolist(),
            ),
        ],
        skins=[pygltflib.Skin(joints=[1, 2])],
        animations=[
            pygltflib.Animation(
                channels=[
                    pygltflib.AnimationChannel(
                        sampler=0, target=pygltflib.AnimationChannelTarget(node=2, path="rotation")
                    )
                ],
                samplers=[pygltflib.AnimationSampler(input=0, output=1)],
            )
        ],
        accessors=[
            pygltflib.Accessor(bufferView=0, componentType=5126, count=2, type="SCALAR"),
            pygltflib.Accessor(
                bufferView=0, byteOffset=8, componentType=5126, count=2, type="VEC4"
            ),
        ],
        bufferViews=[pygltflib.BufferView(buffer=0, byteOffset=0, byteLength=len(blob))],
        buffers=[pygltflib.Buffer(byteLength=len(blob))],
    )
    document.set_binary_blob(blob)
    document.save_binary(str(path))
    base = armature.apply([0, 0, 100]) * 0.01
    tips = [base + 0.01 * (armature * turn).apply([0, 50, 0]) for turn in turns]
    return base, np.array(tips)


def test_a_foreign_rig(tmp_path: Path) -> None:
    base, tips = foreign_file(tmp_path / "a.glb")
    motion = Motion.load(tmp_path / "a.glb", fps=10)
    assert motion.skeleton.joint_names == ("Base", "Tip") and motion.num_frames == 6
    np.testing.assert_allclose(motion.posed_joints[:, 0], np.tile(base, (6, 1)), atol=1e-6)
    np.testing.assert_allclose(motion.posed_joints[[0, 5], 1], tips, atol=1e-6)
    motion.save(tmp_path / "b.glb")
    again = Motion.load(tmp_path / "b.glb")
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-6)


def rewritten(glb: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    length = struct.unpack_from("<I", glb, 12)[0]
    document = json.loads(glb[20 : 20 + length])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = glb[20 + length :]
    head = struct.pack("<IIIII", 0x46546C67, 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    return head + text + rest


def put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put([], "nodes"), "a skeleton is needed"),
        (put([], "animations"), "no animation"),
        (put([5], "nodes", 5, "children"), "circle|two parents"),
        (put(99, "animations", 0, "channels", 0, "sampler"), "points at nothing"),
        (put(-1, "animations", 0, "channels", 0, "sampler"), "points at nothing"),
        (put("CUBICSPLINE", "animations", 0, "samplers", 0, "interpolation"), "do not fit"),
        (put("BEZIER", "animations", 0, "samplers", 0, "interpolation"), "unknown interpolation"),
        (put(10**9, "bufferViews", 7, "byteOffset"), "beyond the data"),
        (put(10**9, "accessors", 7, "count"), "more than a file of this size"),
        (put(400, "accessors", 7, "count"), "beyond the data"),
        (put(1e999, "accessors", 7, "count"), "whole number"),
        (put(0, "accessors", 7, "count"), "no elements"),
        (put("x", "accessors", 7, "componentType"), "damaged"),
        (put("walk.bin", "buffers", 0, "uri"), "not there"),
        (put([1e400, 0, 0], "nodes", 4, "translation"), "no proper transform"),
        (put([[0]], "nodes", 4, "rotation"), "damaged"),
        (put([777], "skins", 0, "joints"), "points at nothing"),
        (put([], "skins", 0, "joints"), "no joints"),
        (put({"version": "1.0"}, "asset"), "only 2 is read"),
        (put([1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "nodes", 4, "matrix"), "skewed"),
        (put(None, "nodes", 0), "damaged"),
    ],
)
def test_damaged_documents_are_one_clear_line(
    wandering: Make, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = tmp_path / "bad.glb"
    path.write_bytes(rewritten(glb_bytes(wandering("smplx22", frames=3)), change))
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert "\n" not in str(caught.value) and "bad.glb" in str(caught.value)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_cut_and_altered_bytes_are_refused_or_read_finite(
    wandering: Make, tmp_path: Path, data: st.DataObject
) -> None:
    glb = bytearray(glb_bytes(wandering("cmu22", frames=2)))
    for _ in range(data.draw(st.integers(0, 4))):
        glb[data.draw(st.integers(0, len(glb) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "noise.glb"
    path.write_bytes(bytes(glb[: data.draw(st.integers(0, len(glb)))]))
    try:
        motion = Motion.load(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(motion.posed_joints).all()
