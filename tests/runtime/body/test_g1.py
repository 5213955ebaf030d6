from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from places import GOLDEN

from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos, project_to_hinges, qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError

CASE = GOLDEN / "kimodo/export_csv_g1"

Make = Callable[..., Motion]


def random_qpos(seed: int, reach: float = 0.95) -> NDArray[np.float64]:
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


def test_projecting_twice_changes_nothing(wandering: Make) -> None:
    once = project_to_hinges(wandering("g1").local_rot_mats)
    np.testing.assert_allclose(project_to_hinges(once), once, rtol=0, atol=1e-5)


def test_tables_of_another_form_are_refused() -> None:
    with pytest.raises(InputError, match="quaternion"):
        motion_arrays_from_qpos(np.zeros((2, 36)))
    with pytest.raises(InputError, match="must be"):
        motion_arrays_from_qpos(np.zeros((2, 35)))
