from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from places import ROOT
from strides import striding

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.formats.targets import TARGETS


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    path = tmp_path / "walk.npz"
    striding(drift=0.005, phase=0.3).save(path)
    return path


def test_a_loop_is_made_and_its_seam_told(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "finish", walk, "-o", tmp_path / "l.npz", "--loop", "--in-place")
    assert (code, err) == (0, "") and "the seam was off by" in out and "mm" in out
    loop = Motion.load(tmp_path / "l.npz")
    np.testing.assert_allclose(loop.posed_joints[0], loop.posed_joints[-1], atol=1e-3)
    assert loop.info["loop"]["step_m"] == [0, 0]


def test_json_has_the_figures(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "finish", walk, "-o", f"{tmp_path}/a/", "--loop", "--json")
    figures = json.loads(out)
    assert code == 0 and figures["file"] == f"{tmp_path}/a/walk.npz"
    assert figures["loop"]["after"]["velocity_mps"] < 0.01
    assert Path(figures["file"]).is_file()


@pytest.mark.parametrize("command", ["finish", "convert"])
@pytest.mark.parametrize("target", TARGETS)
def test_files_for_a_program(
    walk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    target: str,
) -> None:
    place = tmp_path / "out.glb"
    code, _, err = run(capsys, command, walk, "-o", place, "--for", target)
    assert (code, err) == (0, "")
    names = [node["name"] for node in _nodes(place)]
    hips = {None: "Hips", "mixamo": "mixamorig:Hips", "ue5": "pelvis", "vrm": "hips"}
    assert hips[TARGETS[target].joint_names] in names
    assert ("root" in names) == TARGETS[target].root_bone


def test_what_is_given_goes_before_the_program(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--for", "unreal", "--root-motion", "hips", "--joint-names", "mixamo"]
    assert run(capsys, "convert", walk, tmp_path / "a.glb", *words)[0] == 0
    names = [node["name"] for node in _nodes(tmp_path / "a.glb")]
    assert "root" not in names and "mixamorig:Hips" in names


def test_gen_takes_the_same_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "walk.glb"
    words = ["--seed", "3", "--loop", "--start-at", "origin", "--face", "x", "--for", "godot"]
    code, _, err = run(capsys, "gen", "a person walks forward", "-o", place, *words)
    assert code == 0 and "note: loop of" in err
    motion = Motion.load(place)
    assert motion.root_positions[-1, 0] > 1 and abs(motion.root_positions[-1, 2]) < 0.5
    assert "root" in [node["name"] for node in _nodes(place)]


def test_axes_of_a_bvh(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, heights in ((["--up", "z", "--forward=-y"], 2), ([], 1)):
        assert run(capsys, "finish", walk, "-o", tmp_path / "a.bvh", *words)[0] == 0
        motion = (tmp_path / "a.bvh").read_text().splitlines()[-1].split()
        assert 90 < float(motion[heights]) < 110


def test_the_root_is_smoothed_as_it_is_told(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, name in (("finish", "a.npz"), ("convert", "b.npz"), ("finish", "c.bvh")):
        words = ["--in-place", "--root-smoothing", "0", "--root-motion", "hips"]
        words = words[:3] if name.endswith("npz") else words
        assert run(capsys, command, walk, "-o", tmp_path / name, *words)[0] == 0
        assert np.abs(Motion.load(tmp_path / name).root_positions[:, ::2]).max() < 1e-5
    words = ["--root-motion", "bone", "--root-smoothing", "0"]
    assert run(capsys, "finish", walk, "-o", tmp_path / "d.bvh", *words)[0] == 0
    numbers = (tmp_path / "d.bvh").read_text().splitlines()[-1].split()
    assert [float(numbers[6]), float(numbers[8])] == [0, 0] and abs(float(numbers[2])) > 100
    words = ["--root-smoothing", "0"]
    assert run(capsys, "convert", walk, "-o", tmp_path / "a.npz", *words)[0] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--loop", "--from-pose", "rest"], "no ends"),
        (["--loop-seconds", "1"], "no loop is asked for"),
        (["--up", "z", "--forward", "z"], "square"),
    ],
)
def test_flags_that_contradict_are_a_wrong_use(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    for command in (["finish", walk], ["convert", walk], ["gen", "walk"]):
        code, _, err = run(capsys, *command, "-o", tmp_path / "a.bvh", *words)
        assert code == 2 and told in err, command


def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    striding(seconds=0.3).save(tmp_path / "short.npz")
    code, _, err = run(capsys, "finish", tmp_path / "short.npz", "-o", tmp_path / "a.npz", "--loop")
    assert code == 1 and err.startswith("Error: 9 frames: a loop needs") and err.count("\n") == 1
    assert not (tmp_path / "a.npz").exists()


def test_motions_are_joined(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    striding(phase=2.0, heading=1.0).save(tmp_path / "other.bvh")
    place = tmp_path / "both.npz"
    code, out, _ = run(capsys, "blend", walk, tmp_path / "other.bvh", walk, "-o", place)
    assert code == 0 and "both.npz" in out
    assert Motion.load(place).num_frames > 240
    assert run(capsys, "blend", walk, "-o", place)[0] == 2
    code, _, err = run(capsys, "blend", walk, walk, "-o", place, "--seconds", "0")
    assert code == 1 and "longer than a frame" in err


def test_the_page_has_the_table_of_programs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "finishing.md").read_text(encoding="utf-8")
    code, table, _ = run(capsys, "formats", "--targets", "--markdown")
    assert code == 0 and table.count("\n") == 2 + len(TARGETS)
    assert table in page, "put what `motionrt formats --targets --markdown` prints into it"


def _nodes(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    nodes: list[dict[str, str]] = json.loads(data[20 : 20 + size])["nodes"]
    return nodes
