from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from PIL import Image

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.files import read_constraints, write_constraints
from motionrt.runtime.constraints.kinds import Root2D


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    skeleton = load_skeleton("soma77")
    local = axis_angle_to_matrix(rng.normal(size=(40, 77, 3)).astype(np.float32) * 0.05)
    root = np.zeros((40, 3))
    root[:, 1], root[:, 2] = 0.98, np.linspace(0, 1.2, 40)
    Motion.from_local(local, root, skeleton, 30).save(tmp_path / "walk.npz")
    return tmp_path / "walk.npz"


def test_constraints_are_made_checked_and_drawn(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "c.json"
    command = ["constraints", "from-motion", clip, "-o", made]
    code, out, _ = run(capsys, *command, "--frames", "0,30")
    assert code == 0 and "0 fullbody: frames 0, 30" in out
    run(capsys, *command, "--frames", "0-30:10", "--type", "root2d", "--append")
    names = ["--type", "end-effector", "--joint-names", "LeftHand, Hips", "--append"]
    code, out, _ = run(capsys, *command, "--frames", "5", *names)
    assert code == 0 and "2 end-effector: frame 5" in out
    items = read_constraints(made, load_skeleton("soma30"))
    assert [item.frame_indices.tolist() for item in items] == [[0, 30], [0, 10, 20, 30], [5]]
    plot = tmp_path / "plot.png"
    code, out, _ = run(
        capsys, "constraints", "check", made, "--skeleton", "soma30", "--frames", 40, "--plot", plot
    )
    assert code == 0 and "0 errors" in out and "wrote" in out
    with Image.open(plot) as image:
        assert image.format == "PNG" and image.width > 800


def test_check_lists_every_problem_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.json"
    file.write_text(
        '[{"type": "root2d", "frame_indices": [0, 70], "smooth_root_2d": [[0, NaN], [1, 2, 3]]},'
        ' {"type": "jump"}, {"type": "fullbody", "frame_indices": [1]}]'
    )
    check = ["constraints", "check", file, "--skeleton", "g1"]
    code, out, _ = run(capsys, *check, "--duration", 2)
    assert code == 1
    assert out.count("error: ") == 5
    assert "unknown type 'jump'" in out and "local_joints_rot is missing" in out
    code, out, _ = run(capsys, *check, "--json")
    report = json.loads(out)
    assert code == 1 and report["errors"] == 5 and report["problems"][0]["constraint"] == 0
    code, _, err = run(capsys, *check, "--plot", tmp_path / "no.png")
    assert code == 1 and "not drawn" in err and not (tmp_path / "no.png").exists()


def test_check_knows_a_bundles_skeleton_and_length(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = Root2D(np.array([0, 9999]), np.zeros((2, 2), np.float32))
    write_constraints(tmp_path / "c.json", [item])
    code, out, _ = run(capsys, "constraints", "check", tmp_path / "c.json", "--bundle", bundle)
    assert code == 1 and "frame 9999 is beyond" in out and "for cmu22" in out


def test_the_embedded_default_is_meant_where_nothing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_constraints(tmp_path / "c.json", [Root2D([0], [[0, 0]])])
    for more in ([], ["--bundle", "default"]):
        code, out, err = run(capsys, "constraints", "check", tmp_path / "c.json", *more)
        assert code == 0 and "for cmu22" in out, err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "c.json", "--bundle", "x", "--skeleton", "g1"], 2, "--skeleton NAME, not both"),
        (["check", "c.json", "--skeleton", "dog"], 1, "no skeleton 'dog'"),
        (["check", "no.json", "--skeleton", "g1"], 1, "no.json: cannot be read"),
        (["check", "c.json", "--bundle", "no"], 1, "no such bundle"),
        (
            ["check", "c.json", "--skeleton", "g1", "--frames", "3", "--duration", "1"],
            2,
            "not both",
        ),
        (["from-motion", "no.npz", "--frames", "0", "-o", "x.json"], 1, "no.npz"),
    ],
)
def test_wrong_calls_are_one_line(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text("[]")
    found, _, err = run(capsys, "constraints", *arguments)
    assert found == code and message in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("a", "expected 0,45"),
        ("5-1", "is no range"),
        ("1-", "is no range"),
        ("99", "has 40 frames"),
    ],
)
def test_wrong_frames_are_one_line(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: str, message: str
) -> None:
    code, _, err = run(
        capsys, "constraints", "from-motion", clip, "--frames", frames, "-o", tmp_path / "c.json"
    )
    assert code in (1, 2) and message in err


def test_frames_all(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "c.json"
    options: list[Any] = ["--type", "root2d", "--first-frame", -10]
    run(capsys, "constraints", "from-motion", clip, "--frames", "all", "-o", made, *options)
    (item,) = read_constraints(made)
    assert item.frame_indices.tolist() == list(range(10, 50))
