from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import run

from motionrt.cli.main import cli
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton


def clip(frames: int) -> Motion:
    rng = np.random.default_rng(0)
    skeleton = load_skeleton("cmu22")
    turns = axis_angle_to_matrix(rng.normal(size=(frames, skeleton.num_joints, 3)) * 0.3)
    return Motion.from_local(turns, rng.normal(size=(frames, 3)), skeleton, 30)


def test_measures_are_lines_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.bvh"
    clip(13).save(first)
    clip(1).save(second)
    code, out, _ = run(capsys, "info", first, second)
    assert code == 0
    assert "13 frames, 30 fps" in out and "cmu22, 22 joints" in out and "not known" in out
    code, out, _ = run(capsys, "info", "--json", first, second)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["frames"] for line in lines] == [13, 1]
    assert lines[1]["mean_speed_mps"] is None and lines[0]["file"].endswith("a.npz")
    code, _, err = run(capsys, "info", tmp_path / "none.npz")
    assert code == 1 and "no such file" in err


def test_the_licence_of_the_model_goes_with_the_motion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = tmp_path / "walk.npz"
    run(capsys, "gen", "a person walks", "--duration", "1", "--diffusion-steps", "4", "-o", walk)
    _, out, _ = run(capsys, "info", walk)
    assert "made by       motionrt-default" in out and "its licence   Apache-2.0" in out
    _, out, _ = run(capsys, "info", "--json", walk)
    made = json.loads(out)
    assert made["model"] == "motionrt-default" and made["licence"].startswith("Apache-2.0")


def test_what_comes_from_standard_input_is_named_so(tmp_path: Path) -> None:
    clip(5).save(tmp_path / "a.npz")
    result = CliRunner().invoke(cli, ["info", "-"], input=(tmp_path / "a.npz").read_bytes())
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "-"


def test_figures_of_the_judge_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skeleton = load_skeleton("cmu22")
    root = np.zeros((40, 3))
    root[:, 1] = 0.98
    root[20:, 2] = 6.0
    rotations = np.tile(np.eye(3), (40, skeleton.num_joints, 1, 1))
    leap = Motion.from_local(rotations, root, skeleton, 20)
    for name in ("a.npz", "a.bvh"):
        leap.save(tmp_path / name)
        code, out, _ = run(capsys, "info", tmp_path / name)
        assert code == 0
        assert "fastest       Hips 60.00 m/s" in out
        assert "doubtful      Hips moves at 60.0 m/s (at most 12.0) from 0.90 to 1.05 s" in out
    code, out, _ = run(capsys, "info", "--json", tmp_path / "a.npz")
    quality = json.loads(out)["quality"]
    assert quality["root_speed_mps"] == 60.0 and quality["outside"][0]["joint"] == "Hips"
