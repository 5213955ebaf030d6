from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.resample_stream import Resampler
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError


def swinging(fps: float, frames: int) -> Motion:
    """A robot that walks, turns and swings its limbs, each at a speed of its own."""
    rig = load_skeleton("g1")
    time = np.arange(frames) / fps
    joint = np.arange(rig.num_joints)
    speed = 2 + joint % 7
    vectors = 0.6 * np.sin(speed * time[:, None] + joint)[..., None] * np.array([0.6, 0.64, 0.48])
    vectors[:, 0] = [0, 1, 0] * (2.5 * time[:, None])  # whole turns
    local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
    root = np.stack([0.4 * np.sin(3 * time), 0.8 + 0.04 * np.cos(9 * time), 1.2 * time], -1)
    return Motion.from_local(
        local.reshape(frames, -1, 3, 3),
        root,
        rig,
        fps,
        smooth_root_pos=root * [1, 0, 1],
        global_root_heading=np.stack([np.cos(2.5 * time), np.sin(2.5 * time)], axis=-1),
        foot_contacts=np.sin(5 * time[:, None] + np.arange(4)) > 0,
    )


def streamed(motion: Motion, resampler: Resampler, cuts: list[int]) -> tuple[Motion, Motion]:
    """Give a motion in pieces; return all that came, and what came before the end was told."""
    parts: list[Motion] = []
    for start, stop in zip([0, *cuts], [*cuts, motion.num_frames], strict=True):
        made = resampler.push(motion.crop(start, stop))
        if made is not None:
            assert made.info["first_frame"] == sum(part.num_frames for part in parts)
            parts.append(made)
    before = parts[0]
    for part in parts[1:]:
        before = joined(before, part)
    rest = resampler.finish()
    return (before if rest is None else joined(before, rest)), before


@pytest.mark.parametrize("rates", [(25, 50), (25, 100), (25, 500), (20, 60), (25, 59.94), (20, 30)])
def test_pieces_give_what_the_whole_gives(rates: tuple[float, float]) -> None:
    given, fps = rates
    motion = swinging(given, 61)
    whole = resample(motion, fps)
    by_one, before = streamed(motion, Resampler(fps), list(range(1, 61)))
    by_many, _ = streamed(motion, Resampler(fps), [3, 4, 20, 43])
    delay = 4 * fps / given
    assert whole.num_frames - before.num_frames == pytest.approx(delay, abs=1)
    ends = round(7 * fps / given)
    for name, want in whole.to_arrays().items():
        got = by_one.to_arrays()[name]
        np.testing.assert_allclose(got, want, rtol=0, atol=0.02, err_msg=name)
        inside = slice(ends, -ends)
        np.testing.assert_allclose(got[inside], want[inside], rtol=0, atol=5e-4, err_msg=name)
        np.testing.assert_allclose(by_many.to_arrays()[name], got, rtol=0, atol=1e-6)


def test_a_longer_delay_comes_nearer_and_steps_stay_small() -> None:
    motion = swinging(25, 61)
    whole = resample(motion, 500)
    apart = []
    for delay in (2, 4, 6, 10):
        made, _ = streamed(motion, Resampler(500, delay), [10, 30])
        apart.append(np.abs(made.posed_joints - whole.posed_joints)[200:-200].max())
    assert apart == sorted(apart, reverse=True)
    assert apart[1] < 5e-4 and apart[2] < 3e-5 and apart[3] < 1e-5  # metres
    # No jerk where pieces meet: accelerations at 500 a second are those of the whole.
    made, _ = streamed(motion, Resampler(500), list(range(1, 61)))
    bends = [np.abs(np.diff(m.posed_joints.astype(float), n=2, axis=0)) for m in (made, whole)]
    assert bends[0].max() < 1.2 * bends[1].max()


def test_short_motions_and_a_second_one() -> None:
    resampler = Resampler(75)
    for frames in (1, 2, 3, 4, 5, 6):
        motion = swinging(25, frames)
        early = resampler.push(motion)
        rest = resampler.finish()
        made = rest if early is None else early if rest is None else joined(early, rest)
        assert made is not None
        want = resample(motion, 75)
        assert made.num_frames == want.num_frames == 3 * frames - 2
        np.testing.assert_allclose(made.posed_joints, want.posed_joints, rtol=0, atol=2e-3)
    assert resampler.finish() is None


def test_memory_is_that_of_a_few_frames() -> None:
    motion, resampler = swinging(25, 40), Resampler(100)
    for _ in range(20):
        resampler.push(motion)
        assert resampler._held is not None and resampler._held.num_frames <= 12


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="fps is 0"):
        Resampler(0)
    with pytest.raises(InputError, match="at least 2 must be known"):
        Resampler(50, 1)
    resampler = Resampler(20)
    with pytest.raises(InputError, match="20 fps of a stream of 25"):
        resampler.push(swinging(25, 5))
    resampler = Resampler(100)
    resampler.push(swinging(25, 5))
    with pytest.raises(InputError, match="other joints or rate"):
        resampler.push(swinging(50, 5))
    bare = swinging(25, 5)
    bare.foot_contacts = None
    with pytest.raises(InputError, match="other arrays"):
        resampler.push(bare)
    with pytest.raises(InputError, match="more than 1000000"):
        Resampler(1e6).push(swinging(25, 60))
