from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import GOLDEN

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

CASE = GOLDEN / "kimodo/export_csv_g1"


def test_matches_upstream(tmp_path: Path) -> None:
    inputs = np.load(CASE / "inputs.npz")
    local, root = inputs["local_rot_mats"], inputs["root_positions"]
    Motion.from_local(local[0], root[0], load_skeleton("g1"), 30).save(tmp_path / "a.csv")
    got = np.loadtxt(tmp_path / "a.csv", delimiter=",")
    want = np.loadtxt(CASE / "qpos.csv", delimiter=",")
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    text = (tmp_path / "a.csv").read_text()
    assert len(text.split(",")[0].partition("e")[0].lstrip("-")) == 20  # "%.18e", as upstream's
    assert text.endswith("\n")


def test_another_skeleton_is_refused(wandering: Callable[..., Motion], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the motion is on smplx22"):
        wandering("smplx22").save(tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
