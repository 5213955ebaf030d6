from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run

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
