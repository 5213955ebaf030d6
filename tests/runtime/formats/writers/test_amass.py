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


def test_an_npz_says_itself_that_it_is_amass(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("smplx22")
    motion.save(tmp_path / "clip.npz", format="amass")
    again = Motion.load(tmp_path / "clip.npz")
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_the_older_layout_with_poses_is_read(wandering: Make) -> None:
    arrays = amass_arrays(wandering("smplx22"))
    poses = np.concatenate([arrays["root_orient"], arrays["pose_body"], np.zeros((24, 90))], axis=1)
    old = {"trans": arrays["trans"], "poses": poses, "mocap_framerate": np.array(120.0)}
    again = motion_from_amass(old, "here")
    assert again.fps == 120
    np.testing.assert_allclose(
        again.posed_joints, motion_from_amass(arrays, "here").posed_joints, atol=1e-6
    )


def test_what_does_not_fit_is_one_clear_line(wandering: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SMPL-X bodies, the motion is on g1"):
        wandering("g1").save(tmp_path / "a.npz", format="amass")
    arrays = amass_arrays(wandering("smplx22"))
    for change, message in [
        ({"trans": arrays["trans"][:5]}, "one clip is"),
        ({"pose_body": arrays["pose_body"][:, :60]}, "63 columns"),
        ({"trans": arrays["trans"] * np.nan}, "not finite"),
        ({"trans": np.array("text")}, "do not fit"),
        ({"mocap_frame_rate": np.array(-3)}, "fps is -3"),
        ({"mocap_frame_rate": np.array([])}, "do not fit"),
    ]:
        with pytest.raises(InputError, match=message):
            motion_from_amass({**arrays, **change}, "here")
    for missing, message in [
        ("root_orient", "without root_orient"),
        ("mocap_frame_rate", "frame rate"),
    ]:
        with pytest.raises(InputError, match=message):
            motion_from_amass({k: v for k, v in arrays.items() if k != missing}, "here")
    wandering("smplx22").save(tmp_path / "ours.npz")
    with pytest.raises(InputError, match="not AMASS"):
        Motion.load(tmp_path / "ours.npz", format="amass")
