from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import GOLDEN

from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos, project_to_hinges, qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

CASE = GOLDEN / "kimodo/export_csv_g1"

Make = Callable[..., Motion]


def random_qpos(seed: int, reach: float = 0.95) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = g1_hinges().limits_rad.T * reach
    quaternion = rng.normal(size=(9, 4))
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.concatenate([rng.normal(size=(9, 3)), quaternion, rng.uniform(low, high, (9, 29))], 1)


def test_matches_upstream() -> None:
    inputs, expected = np.load(CASE / "inputs.npz"), np.load(CASE / "expected.npz")
    local, root = inputs["local_rot_mats"], inputs["root_positions"]
    np.testing.assert_allclose(qpos(local, root), expected["qpos"], rtol=0, atol=1e-5)
    for clamp in (False, True):
        got = project_to_hinges(local, clamp_to_limits=clamp)
        want = expected[f"proj_clamp{int(clamp)}_rest0_local_rot_mats"]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), rest_zero=st.booleans())
def test_qpos_comes_back(seed: int, rest_zero: bool) -> None:
    values = random_qpos(seed, 0.85)
    local, root = motion_arrays_from_qpos(values, rest_zero=rest_zero)
    again = qpos(local, root, rest_zero=rest_zero)
    np.testing.assert_allclose(again[:, :3], values[:, :3], atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(again[:, 3:7] * values[:, 3:7], 1)), 1, atol=1e-5)
    turns = np.remainder(again[:, 7:] - values[:, 7:] + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(turns, 0, atol=2e-4)


def test_a_motion_of_hinges_survives_the_file(wandering: Make, tmp_path: Path) -> None:
    local, root = motion_arrays_from_qpos(random_qpos(3, 0.8))
    motion = Motion.from_local(local, root, load_skeleton("g1"), 50)
    motion.save(tmp_path / "a.csv")
    again = Motion.load(tmp_path / "a.csv", fps=50)
    assert again.fps == 50 and again.skeleton.name == "g1"
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    text = (tmp_path / "a.csv").read_text()
    assert len(text.splitlines()) == 9 and "e+00,-" in text and text.endswith("\n")


def test_projecting_twice_changes_nothing(wandering: Make) -> None:
    once = project_to_hinges(wandering("g1").local_rot_mats)
    np.testing.assert_allclose(project_to_hinges(once), once, rtol=0, atol=1e-5)


def test_bad_tables_are_one_clear_line(wandering: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the motion is on smplx22"):
        wandering("smplx22").save(tmp_path / "a.csv")
    with pytest.raises(InputError, match="quaternion"):
        motion_arrays_from_qpos(np.zeros((2, 36)))
    with pytest.raises(InputError, match="must be"):
        motion_arrays_from_qpos(np.zeros((2, 35)))
    row = ",".join(["1"] * 36)
    for text, message in [
        ("", "has no rows"),
        (row + "\n1,2\n", "line 2 has 2 columns"),
        (row.replace("1", "x", 1), "line 1: could not convert"),
        (row + "\n" + row.replace("1", "nan", 1), "frame 1 .* not finite"),
        (row.replace("1,1", "1,inf", 1), "not finite"),
    ]:
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            Motion.load(tmp_path / "bad.csv")
        assert "bad.csv" in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="as text"):
        Motion.load(tmp_path / "bad.csv")
