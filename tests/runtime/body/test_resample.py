from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.errors import InputError

Make = Callable[..., Motion]


def test_doubling_keeps_the_old_frames_and_halves_every_turn(wandering: Make) -> None:
    motion = wandering("smplx22", frames=10)
    twice = resample(motion, 60)
    assert (twice.num_frames, twice.fps) == (19, 60)
    np.testing.assert_allclose(twice.posed_joints[::2], motion.posed_joints, rtol=0, atol=1e-5)
    track = Slerp(np.arange(10), Rotation.from_matrix(motion.local_rot_mats[:, 7]))
    want = track(np.arange(9) + 0.5).as_matrix()
    np.testing.assert_allclose(twice.local_rot_mats[1::2, 7], want, rtol=0, atol=1e-5)
    middle = (motion.root_positions[:-1] + motion.root_positions[1:]) / 2
    np.testing.assert_allclose(twice.root_positions[1::2], middle, rtol=0, atol=1e-6)


def test_contacts_and_heading(wandering: Make) -> None:
    motion = wandering("g1", frames=4)
    angle = np.radians([0, 90, 90, -90])
    motion = replace(
        motion,
        global_root_heading=np.stack([np.cos(angle), np.sin(angle)], -1),
        smooth_root_pos=motion.root_positions,
    )
    fast = resample(motion, 90)
    assert fast.foot_contacts is not None and motion.foot_contacts is not None
    np.testing.assert_array_equal(fast.foot_contacts[[1, 2]], motion.foot_contacts[[0, 1]])
    assert fast.global_root_heading is not None and fast.smooth_root_pos is not None
    np.testing.assert_allclose(np.linalg.norm(fast.global_root_heading, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(fast.smooth_root_pos, fast.root_positions, atol=1e-6)


def test_the_same_rate_is_the_same_motion(wandering: Make) -> None:
    motion = wandering("g1")
    assert resample(motion, 30) is motion
    assert resample(wandering("g1", frames=1), 120).num_frames == 1


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 20), fps=st.floats(0.5, 500))
def test_the_length_stays_and_nothing_breaks(wandering: Make, frames: int, fps: float) -> None:
    motion = wandering("smplx22", frames=frames)
    other = resample(motion, fps)
    span, got = (frames - 1) / 30, (other.num_frames - 1) / fps
    assert got <= span + 1e-6 and span - got <= 1 / fps + 1e-6
    np.testing.assert_allclose(np.linalg.det(other.local_rot_mats), 1, atol=1e-4)
    np.testing.assert_allclose(other.posed_joints[0], motion.posed_joints[0], atol=1e-5)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e12])
def test_absurd_rates_are_refused(wandering: Make, fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        resample(wandering("g1"), fps)
