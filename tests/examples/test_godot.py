"""The Godot addon in Godot, without a window: bones lie where Python's joints do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_builds import WARNINGS, compile_c
from carried import heading, same_way
from documented import EMBED, commands, need, run
from numpy.typing import NDArray
from places import ROOT, TESTS

import motionrt

EXAMPLE = ROOT / "examples" / "godot"
METRES = 1e-4
EXPECTED_ERRORS = "motionrt:|make_dir_recursive|id_map|mesh_get"
"""Ours, a new home folder's, and those that Godot without a window makes of every mesh."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built as its README says."""
    need("godot3-server", "cc")
    folder = tmp_path_factory.mktemp("godot") / "project"
    shutil.copytree(EXAMPLE, folder)
    run(commands(folder / "README.md"), folder)
    return folder


@pytest.fixture(scope="module")
def dump(project: Path) -> dict[str, Any]:
    """What tests/examples/godot/dump.gd saw."""
    shutil.copy(TESTS / "examples" / "godot" / "dump.gd", project)
    command = "godot3-server --path . -s dump.gd"
    (project / "home").mkdir()
    given = {"MOTIONRT_DUMP": "dump.json", "LANG": "en_US.UTF-8", "HOME": str(project / "home")}
    said = run(command, project, **given)
    wrong = [line for line in said.splitlines() if "ERROR" in line]
    assert not [line for line in wrong if not re.search(EXPECTED_ERRORS, line)], said
    assert "leaked" not in said
    seen: dict[str, Any] = json.loads((project / "dump.json").read_text())
    return seen


def places(seen: list[dict[str, list[float]]], joints: tuple[str, ...]) -> NDArray[Any]:
    """Return (T, J, 3) metres."""
    return np.array([[frame[joint] for joint in joints] for frame in seen])


@pytest.mark.parametrize(("character", "size"), [("plain", 1), ("turned", 2), ("a_pose", 1)])
def test_bones_lie_where_joints_do(
    dump: dict[str, Any], walk: motionrt.Motion, character: str, size: float
) -> None:
    found = places(dump[character]["frames"], walk.skeleton.joint_names)
    np.testing.assert_allclose(found, size * walk.posed_joints, rtol=0, atol=METRES)


def test_root_motion_carries_a_character(dump: dict[str, Any], walk: motionrt.Motion) -> None:
    found = places(dump["moved"]["frames"], walk.skeleton.joint_names)
    expected = walk.posed_joints
    np.testing.assert_allclose(found[0, 0], [3, expected[0, 0, 1], -1], atol=METRES)
    sides = [walk.skeleton.joint_names.index(name) for name in ("LeftUpLeg", "RightUpLeg")]
    assert heading(*found[0, sides]) == pytest.approx(2, abs=1e-3)
    same_way(found, expected, METRES)


@pytest.mark.parametrize("character", ["plain", "turned", "a_pose", "moved"])
def test_the_next_motion_is_blended_in(dump: dict[str, Any], character: str) -> None:
    joints = tuple(dump["plain"]["before"])
    before, after = (places([dump[character][at]], joints) for at in ("before", "after"))
    np.testing.assert_allclose(after, before, atol=METRES)


@pytest.mark.parametrize(("character", "size"), [("plain", 1), ("turned", 2), ("a_pose", 1)])
def test_it_ends_as_the_next_motion_does(
    dump: dict[str, Any], jump: motionrt.Motion, character: str, size: float
) -> None:
    found = places([dump[character]["end"]], jump.skeleton.joint_names)
    np.testing.assert_allclose(found[0], size * jump.posed_joints[-1], atol=METRES)


def test_what_is_wrong_is_said(dump: dict[str, Any]) -> None:
    assert dump["problems"] == {
        "no bundle": "there is no folder res://nowhere",
        "no hips": "the skeleton has no bone for Hips; name it in bone_map",
        "option": "generate: no option sceonds of this kind; there are seed, seconds, steps, "
        "heading (numbers), preset, constraints (String) and continue_from (MotionrtMotion)",
        "arguments": "generate: a MotionrtMotion, a prompt and a dictionary of options are wanted",
        "unopened": "generate: open a bundle first",
    }


def test_a_character_may_go_while_it_waits(dump: dict[str, Any]) -> None:
    assert dump["gone"] == "cancelled"


def test_the_scene_plays(dump: dict[str, Any]) -> None:
    x, y, z = dump["scene"]
    # It walks on while the jump is made, which takes as long as the machine is busy.
    assert y == 0 and 0.3 < z < 8 and abs(x) < 2


def test_the_page_gives_the_same_commands(project: Path) -> None:
    assert commands(EMBED, "Godot").endswith(commands(project / "README.md"))
    (project / "shown.gd").write_text("extends Node\n" + commands(EMBED, "Godot", "gdscript"))
    said = run("godot3-server --path . --check-only -s shown.gd", project)
    assert "Parse Error" not in said, said


def test_it_compiles_without_a_warning() -> None:
    source = EXAMPLE / "addons" / "motionrt" / "src" / "motionrt_godot.c"
    flags = ("-std=c11", "-fPIC", "-c", *WARNINGS)
    compile_c("motionrt_godot.o", *flags, source)
