from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import GOLDEN

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.amass import motion_from_amass
from motionrt.runtime.formats.writers.amass import amass_arrays

CASE = GOLDEN / "kimodo/export_amass_smplx"

Make = Callable[..., Motion]


@pytest.mark.parametrize("up", ["z", "y"])
def test_matches_upstream(tmp_path: Path, up: str) -> None:
    inputs = np.load(CASE / "inputs.npz")
    local, root = inputs["local_rot_mats"][0], inputs["root_positions"][0]
    motion = Motion.from_local(local, root, load_skeleton("smplx22"), 30)
    motion.save(tmp_path / "clip_amass.npz", format="amass", z_up=up == "z")
    got, want = np.load(tmp_path / "clip_amass.npz"), np.load(CASE / f"amass_{up}up.npz")
    assert got.files == want.files
    for name in want.files:
        assert got[name].dtype == want[name].dtype and got[name].shape == want[name].shape
        if want[name].dtype.kind == "U":
            assert got[name] == want[name]
        else:
            np.testing.assert_allclose(got[name], want[name], rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), z_up=st.booleans())
def test_round_trips_hold(wandering: Make, seed: int, z_up: bool) -> None:
    motion = wandering("smplx22", frames=6, seed=seed, fps=20)
    again = motion_from_amass(amass_arrays(motion, z_up=z_up), "here", z_up=z_up)
    assert again.fps == 20
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_another_skeleton_is_refused(wandering: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SMPL-X bodies, the motion is on g1"):
        wandering("g1").save(tmp_path / "a.npz", format="amass")
    assert not (tmp_path / "a.npz").exists()
