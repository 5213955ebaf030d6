import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError

Make = Callable[..., Motion]


def smooth(fps: float, seconds: float = 3.0, skeleton: str = "smplx22") -> Motion:
    """A body that turns, bends and walks along sines: the same motion at any rate."""
    rig = load_skeleton(skeleton)
    time = np.arange(round(seconds * fps) + 1) / fps
    joint = np.arange(rig.num_joints)
    vectors = np.stack(
        [
            0.5 * np.sin(5 * time[:, None] + joint),
            0.3 * np.cos(4 * time[:, None] + 2 * joint),
            0.4 * np.sin(3 * time[:, None] - joint),
        ],
        axis=-1,
    )
    vectors[:, 0] = [0, 1, 0] * (2.5 * time[:, None])  # more than a whole turn
    local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
    root = np.stack([0.4 * np.sin(3 * time), 0.9 + 0.05 * np.cos(6 * time), 1.2 * time], -1)
    heading = np.stack([np.cos(2.5 * time), np.sin(2.5 * time)], axis=-1)
    contacts = np.sin(5 * time[:, None] + np.arange(4)) > 0
    return Motion.from_local(
        local.reshape(len(time), -1, 3, 3),
        root,
        rig,
        fps,
        smooth_root_pos=root * [1, 0, 1],
        global_root_heading=heading,
        foot_contacts=contacts,
    )


def about_y(degrees: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees)[:, None] * [0, 1, 0])


def second_differences(values: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(values.astype(np.float64), n=2, axis=0))


@pytest.mark.parametrize("rates", [(20, 60), (20, 60, 120), (30, 120), (25, 50), (20, 30)])
def test_a_smooth_motion_stays_smooth_at_its_frames_and_between(rates: tuple[int, ...]) -> None:
    got = smooth(rates[0])
    for fps in rates[1:]:
        got = resample(got, fps)
    want = smooth(rates[-1])
    assert got.num_frames == want.num_frames and got.fps == want.fps
    assert got.global_root_heading is not None and want.global_root_heading is not None
    np.testing.assert_allclose(got.posed_joints, want.posed_joints, rtol=0, atol=2e-3)
    np.testing.assert_allclose(got.root_positions, want.root_positions, rtol=0, atol=2e-4)
    np.testing.assert_allclose(got.global_root_heading, want.global_root_heading, atol=1e-5)
    per_frame = rates[-1] / rates[0]
    for name in ("posed_joints", "root_positions", "smooth_root_pos"):
        bend = second_differences(getattr(got, name))
        true = second_differences(getattr(want, name))
        # Straight lines between frames have all their bend at the frames: per_frame times too much.
        at = np.arange(1, got.num_frames - 1) % per_frame == 0
        inside = slice(8, -8)  # the ends are guessed
        ratio = bend[inside].mean(axis=(1, 2) if bend.ndim == 3 else 1) / (
            true[inside].mean(axis=(1, 2) if bend.ndim == 3 else 1)
        )
        np.testing.assert_allclose(ratio[at[inside]].mean(), 1, atol=0.04)
        np.testing.assert_allclose(ratio[~at[inside]].mean(), 1, atol=0.04)


@pytest.mark.parametrize(
    ("old", "new"), [(20, 60), (30, 120), (60, 20), (120, 30), (30, 45), (24, 60), (30, 20)]
)
def test_frames_are_met_to_the_bit_where_both_rates_have_one(old: int, new: int) -> None:
    motion = smooth(old)
    got = resample(motion, new)
    ours = np.arange(0, got.num_frames, new // math.gcd(old, new))
    theirs = np.arange(0, motion.num_frames, old // math.gcd(old, new))
    if new < old and old % new:  # filtered
        ours, theirs = ours[:1], theirs[:1]
    for name, values in motion.to_arrays().items():
        if name != "foot_contacts":
            np.testing.assert_array_equal(got.to_arrays()[name][ours], values[theirs])


@pytest.mark.parametrize(("old", "new"), [(20, 60), (30, 24), (30, 20), (60, 25), (120, 25)])
def test_the_last_frame_is_the_last_that_lies_within_the_motion(old: int, new: int) -> None:
    for frames in range(1, 30):
        got = resample(smooth(old).crop(0, frames), new).num_frames
        assert (got - 1) * old <= (frames - 1) * new < got * old


def test_a_turn_at_constant_speed_keeps_it(wandering: Make) -> None:
    motion = wandering("smplx22", frames=12)
    for step_deg, most_deg in ((2, 1e-3), (30, 0.02), (90, 2.0)):
        turns = about_y(np.arange(12) * step_deg).as_matrix()
        local = np.tile(np.eye(3), (12, 22, 1, 1))
        local[:, 5] = turns
        still = np.ones((12, 3))
        for frames in (2, 3, 12):
            spun = Motion.from_local(local[:frames], still[:frames], motion.skeleton, 30)
            got = Rotation.from_matrix(resample(spun, 120).local_rot_mats[:, 5])
            want = about_y(np.arange(4 * frames - 3) * step_deg / 4)
            worst = np.degrees((got * want.inv()).magnitude()).max()
            assert worst < most_deg * (10 if frames == 3 else 1), (step_deg, frames)


def test_what_stands_still_stays_still_and_a_jump_overshoots_little() -> None:
    motion = smooth(30).crop(0, 40)
    still = motion.local_rot_mats[:1].repeat(40, axis=0)
    root = np.tile(np.array([0.3, 0.9, -2.7]), (40, 1))
    got = resample(Motion.from_local(still, root, motion.skeleton, 30), 75)
    assert np.ptp(got.posed_joints, axis=0).max() < 1e-6
    root[20:] += [1, 0, 0]
    jump = resample(Motion.from_local(still, root, motion.skeleton, 30), 300).root_positions[:, 0]
    assert 0.3 - 0.12 < jump.min() and jump.max() < 1.3 + 0.12
    assert np.abs(jump[:130] - 0.3).max() < 1e-3  # six frames before it nothing is to be seen


@pytest.mark.parametrize(
    ("old", "new", "tone_hz"), [(30, 20, 13.0), (30, 20, 11.0), (30, 24, 13.5), (120, 25, 30.0)]
)
def test_what_is_too_fast_for_a_lower_rate_comes_through_weaker_than_by_lines(
    old: int, new: int, tone_hz: float
) -> None:
    rest = smooth(old).crop(0, 1)
    time = np.arange(10 * old + 1) / old
    root = np.stack([np.sin(2 * np.pi * tone_hz * time + phase) for phase in (0, 1, 2)], axis=-1)
    local = rest.local_rot_mats.repeat(len(time), axis=0)
    got = resample(Motion.from_local(local, root, rest.skeleton, old), new).root_positions
    moments = np.arange(len(got)) / new
    lines = np.stack([np.interp(moments, time, column) for column in root.T], axis=-1)
    assert got.std() < lines.std()
    slow = np.stack([np.sin(2 * np.pi * 2 * time)] * 3, axis=-1)
    got = resample(Motion.from_local(local, slow, rest.skeleton, old), new).root_positions
    np.testing.assert_allclose(got[:, 0], np.sin(2 * np.pi * 2 * moments), atol=0.02)


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
