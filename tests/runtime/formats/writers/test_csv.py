from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import GOLDEN
from robots import dance

from motionrt.runtime.body.g1 import g1_hinges
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.csv import csv_caution

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


def nearly_a_robots() -> Motion:
    """A dance whose joints turn a little beside their hinges too, as Kimodo's do."""
    robots = dance().motion
    beside = axis_angle_to_matrix(np.random.default_rng(5).normal(size=(40, 34, 3)) * 0.01)
    turns = robots.local_rot_mats @ beside
    return Motion.from_local(turns, robots.root_positions, robots.skeleton, robots.fps)


def test_angles_are_kimodos_or_pose_mujocos_robot(tmp_path: Path) -> None:
    motion = nearly_a_robots()
    told = csv_caution(motion)
    found = re.fullmatch(
        r"with Kimodo's angles MuJoCo's robot stands up to ([\d.]+) cm from this motion, "
        r"with --csv-angles mujoco ([\d.]+) cm",
        told or "",
    )
    assert found is not None
    links = [0, *g1_hinges().joints]
    for angles, error_cm in zip(("kimodo", "mujoco"), map(float, found.groups()), strict=True):
        motion.save(tmp_path / "a.csv", angles=angles)
        robot = Motion.load(tmp_path / "a.csv", fps=50, quaternion="wxyz")
        apart = robot.posed_joints[:, links] - motion.posed_joints[:, links]
        assert np.linalg.norm(apart, axis=-1).max() * 100 == pytest.approx(error_cm, abs=0.06)
    assert float(found[2]) < 5 < float(found[1])
    assert csv_caution(motion, angles="mujoco") is None
    with pytest.raises(InputError, match="angles are 'unitree'"):
        motion.save(tmp_path / "b.csv", angles="unitree")


def test_a_robots_own_motion_needs_no_caution() -> None:
    assert csv_caution(dance().motion) is None
