"""The table of programs: its axes by arithmetic, and files written by it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from documented import need
from places import TESTS
from strides import striding

from motionrt.runtime.body.frame import Frame
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.formats.table import writer_options
from motionrt.runtime.formats.targets import HEADINGS, TARGETS, rows

# What the importer of each program makes of a point x y z of a glTF file (glTF: y up, a body faces
# +z), by its own source or manual.
IMPORTERS = {
    "blender": lambda x, y, z: (x, -z, y),
    "unity": lambda x, y, z: (-x, y, z),
    "unreal": lambda x, y, z: (100 * x, 100 * z, 100 * y),
    "godot": lambda x, y, z: (x, y, z),
}


@pytest.mark.parametrize("name", IMPORTERS)
def test_the_axes_are_those_that_its_importer_makes_of_gltf(name: str) -> None:
    target = TARGETS[name]
    frame = Frame(target.up, target.forward, target.left_handed, target.units_per_metre)
    for point in (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.3, -2.0, 5.0):
        np.testing.assert_allclose(frame.positions(np.array(point)), IMPORTERS[name](*point))


def test_blender_has_it_as_the_table_says(tmp_path: Path) -> None:
    need("blender")
    target = TARGETS["blender"]
    motion = striding(seconds=1, turn_radps=0.4)
    given = {k: v for k, v in target.settings().items() if k in writer_options("glb")}
    motion.save(tmp_path / "walk.glb", **given)
    frames = (0, 7, 29)
    command = ["blender", "-b", "--factory-startup", "--python-exit-code", "1"]
    command += ["-P", str(TESTS / "blender" / "pose_glb.py"), "--", str(tmp_path / "walk.glb")]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [*command, "30", *map(str, frames)], capture_output=True, text=True, env=plain, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("seen "))
    seen = json.loads(line.removeprefix("seen "))
    assert seen["scale"] == [1, 1, 1] and seen["unit"] == target.units_per_metre
    frame = Frame(target.up, target.forward, target.left_handed, target.units_per_metre)
    expected = frame.positions(motion.posed_joints.astype(float))
    for number, bones in zip(frames, seen["frames"], strict=True):
        for joint, name in enumerate(motion.skeleton.joint_names):
            np.testing.assert_allclose(bones[name], expected[number, joint], atol=1e-3)


@pytest.mark.parametrize("name", TARGETS)
def test_its_settings_are_options_of_writers(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    known = {option for format in ("bvh", "glb", "csv") for option in writer_options(format)}
    assert set(target.settings()) <= known
    Frame(target.bvh_up, target.bvh_forward)
    motion = striding(seconds=1)
    for ending in ("bvh", "glb"):
        given = {k: v for k, v in target.settings().items() if k in writer_options(ending)}
        motion.save(tmp_path / f"a.{ending}", **given)
        if ending == "glb":
            again = Motion.load(tmp_path / "a.glb")
            np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-4)


def test_every_row_has_every_cell() -> None:
    assert all(len(row) == len(HEADINGS) for row in rows())
    assert [row[0] for row in rows()] == list(TARGETS)
