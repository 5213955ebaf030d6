"""FBX, which Blender makes: read again by three.js' loader, which is another's, and by Blender."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from documented import need
from gltf_files import by_node
from rigs import character
from strides import striding

from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.retarget import retargeted
from motionrt.runtime.body.root_motion import root_path
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.formats.blender import VARIABLE
from motionrt.runtime.formats.character import read_character

FRAMES = (0, 7, 20)


def by_three(path: Path, motion: Motion) -> tuple[list[str], np.ndarray, float]:
    """Names of the bones, where three.js puts them at some frames, and the clip's length."""
    found = by_node("pose_fbx.mjs", path, *(frame / motion.fps for frame in FRAMES))
    assert found["meshes"] == 1
    return found["names"], np.array(found["places"]), found["seconds"]


def plain(name: str) -> str:
    """Take away what three.js takes out of names."""
    return name.replace(":", "").replace(".", "")


def test_three_shows_the_motion_and_its_root(tmp_path: Path) -> None:
    need("blender")
    motion = striding(seconds=1, turn_radps=0.4)
    motion.save(tmp_path / "walk.fbx", joint_names="mixamo", root_bone=True)
    names, places, seconds = by_three(tmp_path / "walk.fbx", motion)
    assert seconds == pytest.approx(29 / 30, abs=1e-3)
    index = [names.index(plain(f"mixamorig:{name}")) for name in ("Hips", "LeftArm", "RightFoot")]
    joints = [motion.skeleton.index(name) for name in ("Hips", "LeftArm", "RightFoot")]
    expected = motion.posed_joints[list(FRAMES)][:, joints]
    np.testing.assert_allclose(places[:, index], expected, atol=1e-3)
    path, _ = root_path(motion)
    np.testing.assert_allclose(places[:, names.index("root")], path[list(FRAMES)], atol=1e-3)
    again = Motion.load(tmp_path / "walk.fbx")
    assert again.skeleton.name == "cmu22" and again.fps == 30
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-3)


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_frame_rates_stay(fps: float, tmp_path: Path) -> None:
    need("blender")
    motion = striding(seconds=0.5, fps=fps)
    motion.save(tmp_path / "walk.fbx")
    again = Motion.load(tmp_path / "walk.fbx", fps=fps)
    assert again.num_frames == motion.num_frames
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=2e-3)


def test_a_character_goes_and_comes_as_fbx(tmp_path: Path) -> None:
    need("blender")
    body = read_character(character(tmp_path, "unreal"))
    walk = striding(seconds=1)
    made = retargeted(walk, map_bones(walk.skeleton), body.skeleton, body.bones).motion
    body.save(made, tmp_path / "hero.fbx")
    names, places, _ = by_three(tmp_path / "hero.fbx", made)
    for joint, name in enumerate(made.skeleton.joint_names):
        found = places[:, names.index(plain(name))]
        np.testing.assert_allclose(found, made.posed_joints[list(FRAMES), joint], atol=2e-3)
    hero = read_character(tmp_path / "hero.fbx")
    assert hero.file is not None and set(hero.bones.joints) == set(body.bones.joints)
    with pytest.raises(InputError, match="no such file"):
        read_character(tmp_path / "none.fbx")


def test_without_blender_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(BackendError, match=f"{VARIABLE}=.*none is no program; install it"):
        striding(seconds=0.5).save(tmp_path / "walk.fbx")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="blender is not on the path"):
        striding(seconds=0.5).save(tmp_path / "walk.fbx")
    assert not (tmp_path / "walk.fbx").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_blender_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "blender"
    stand_in.write_text("#!/bin/sh\necho Blender\necho 'RuntimeError: no keys' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(stand_in))
    (tmp_path / "clip.fbx").write_bytes(b"Kaydara")
    with pytest.raises(InputError, match=r"clip\.fbx: Blender made nothing of it \(RuntimeError"):
        Motion.load(tmp_path / "clip.fbx")
    stand_in.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(InputError, match="exit code 0"):
        striding(seconds=0.5).save(tmp_path / "walk.fbx")
    assert not (tmp_path / "walk.fbx").exists()
