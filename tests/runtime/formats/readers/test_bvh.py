import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionrt.runtime.body.joint_names import STYLES
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.bvh import read_bvh
from motionrt.runtime.formats.writers.bvh import bvh_text

Make = Callable[..., Motion]

STICK = """HIERARCHY
ROOT Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left UpLeg {
    OFFSET 10 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -40 0
    }
  }
  JOINT Spine
  {
    OFFSET 0 20 0
    CHANNELS 1 Yrotation
  }
}
MOTION
Frames:\t2
Frame Time: 0.0083333
1 2 3 0 0 0 0 0 0 0
4 5 6 90 0 0 0 90 0 45
"""


@pytest.mark.parametrize("rest", ["neutral", "t-pose"])
@pytest.mark.parametrize(
    ("skeleton", "names"),
    [(s, n) for s in SKELETON_NAMES for n in (None, *STYLES) if s != "g1" or n is None],
)
def test_what_was_written_is_read_back(
    wandering: Make, tmp_path: Path, skeleton: str, rest: str, names: str | None
) -> None:
    motion = wandering(skeleton, fps=24)
    motion.save(tmp_path / "motion.bvh", rest=rest, joint_names=names)
    again = Motion.load(tmp_path / "motion.bvh")
    if skeleton == "soma30":
        motion = motion.expanded()
    assert again.skeleton == motion.skeleton and again.fps == 24
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)
    np.testing.assert_allclose(again.local_rot_mats, motion.local_rot_mats, rtol=0, atol=1e-4)


def test_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_text(STICK)
    motion = read_bvh(path)
    assert motion.skeleton.joint_names == ("Hips", "Left UpLeg", "Spine")
    assert motion.fps == 120 and motion.num_frames == 2
    np.testing.assert_allclose(motion.root_positions, [[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]])
    np.testing.assert_allclose(motion.posed_joints[1, 1], [0.04, 0.15, 0.06], atol=1e-6)
    np.testing.assert_allclose(read_bvh(path, scale=1).root_positions[0], [1, 2, 3])
    again = tmp_path / "again.bvh"
    motion.save(again)
    np.testing.assert_allclose(Motion.load(again).posed_joints, motion.posed_joints, atol=1e-6)


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_bytes(b"\xef\xbb\xbf" + STICK.replace("\n", "\r\n").encode())
    assert read_bvh(path).num_frames == 2


def test_a_wrapper_root_is_merged_into_the_hips(tmp_path: Path) -> None:
    text = """HIERARCHY
ROOT Reference
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Hips
  {
    OFFSET 0 90 0
    CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
    JOINT Spine
    {
      OFFSET 0 20 0
      CHANNELS 3 Zrotation Xrotation Yrotation
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
100 0 0 0 0 90 0 90 10 0 0 0 0 0 0
100 0 0 0 0 90 0 90 20 90 0 0 0 0 0
"""
    path = tmp_path / "wrapped.bvh"
    path.write_text(text)
    motion = read_bvh(path)
    assert motion.skeleton.joint_names == ("Hips", "Spine")
    # A quarter turn about y takes the hips' +z to +x.
    np.testing.assert_allclose(motion.root_positions, [[1.1, 0.9, 0], [1.2, 0.9, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "does not begin with HIERARCHY"),
        ("OFFSET 10 0 0", "OFFSET 10 0", "line 7: OFFSET needs 3"),
        ("OFFSET 10 0 0", "OFFSET 10 nan 0", "line 7: OFFSET needs 3 finite"),
        ("CHANNELS 1 Yrotation", "CHANNELS 2 Yrotation", "line 17: CHANNELS"),
        ("CHANNELS 1 Yrotation", "CHANNELS 1 Wrotation", "line 17: CHANNELS"),
        ("CHANNELS 1 Yrotation", "CHANNELS x Yrotation", "line 17: CHANNELS"),
        ("  JOINT Spine", "  BONE Spine", "line 14: 'BONE'"),
        ("  JOINT Spine", "  ROOT Spine", "line 14: ROOT"),
        ("MOTION", "", "in place of|not expected"),
        ("}\nMOTION", "MOTION", "line 19: 'MOTION'"),
        ("Frames:\t2", "Frames:\t3", "truncated"),
        ("Frames:\t2", "Frames:\t0", "Frames is 0"),
        ("Frames:\t2", "Frames:\t1e30", "Frames is 1e"),
        ("Frames:\t2", "Frames:\tmany", "frames needs"),
        ("Time: 0.0083333", "Time: 0", "Frame Time is 0"),
        ("4 5 6 90", "4 5 6 ninety", "in the frames"),
        ("4 5 6 90", "4 5 inf 90", "frame 1: .* not finite"),
        ("4 5 6 90 0", "4 5 6 90", "there are 19"),
    ],
)
def test_damaged_files_are_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in STICK
    path = tmp_path / "bad.bvh"
    path.write_text(STICK.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        read_bvh(path)
    assert "\n" not in str(caught.value) and "bad.bvh" in str(caught.value)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_cut_or_noise_is_refused_or_read_finite(data: st.DataObject, tmp_path: Path) -> None:
    text = STICK
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    text = text[:start] + data.draw(st.text(max_size=8)) + text[end:]
    path = tmp_path / "noise.bvh"
    path.write_text(text, "utf-8", errors="replace")
    try:
        motion = read_bvh(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(motion.posed_joints).all()


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(1, 12),
    scale=st.sampled_from([1.0, 100.0, 39.37]),
)
def test_round_trips_hold(wandering: Make, seed: int, frames: int, scale: float) -> None:
    motion = wandering("smplx22", frames=frames, seed=seed)
    text = bvh_text(motion, scale=scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bvh"
        path.write_text(text)
        again = read_bvh(path, scale=scale)
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_not_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.bvh"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError, match="no BVH"):
        read_bvh(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_bvh(path)
