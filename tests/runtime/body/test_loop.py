from __future__ import annotations

import math

import numpy as np
import pytest
from strides import STRIDE_SECONDS, rounds, striding

import motionrt
from motionrt.runtime.body.loop import best_cycle, closed, looped, seam
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError


def jumps(motion: Motion) -> np.ndarray:
    """How much each joint's step changes from frame to frame, (T - 2,), the worst joint's."""
    changes = np.diff(motion.posed_joints.astype(float), n=2, axis=0)
    return np.asarray(np.linalg.norm(changes, axis=-1).max(1))


@pytest.mark.parametrize("turn", [0.0, 0.8])
def test_a_loop_is_whole_strides_and_plays_on_without_a_jump(turn: float) -> None:
    motion = striding(drift=0.01, turn_radps=turn, phase=0.4)
    loop = looped(motion)
    seconds = (loop.motion.num_frames - 1) / motion.fps
    strides = seconds / STRIDE_SECONDS
    assert abs(strides - round(strides)) * STRIDE_SECONDS * motion.fps <= 1.01
    assert loop.before.position_mm > 0.5
    assert loop.after.position_mm < 0.01 and loop.after.rotation_deg < 0.01
    assert loop.after.velocity_mps < 0.01
    assert loop.moved_mm < 60
    played = rounds(loop.motion)
    inside = jumps(loop.motion)
    assert jumps(played).max() <= inside.max() * 1.05 + 1e-4


def test_a_straight_walk_stays_straight_and_a_curve_a_curve() -> None:
    straight = looped(striding(turn_radps=0.05)).motion
    assert abs(headings(straight)[-1] - headings(straight)[0]) < 1e-3
    assert straight.info["loop"]["turn_deg"] == 0
    curve = looped(striding(turn_radps=0.8), max_seconds=1.3).motion
    turn = math.degrees(headings(curve)[-1] - headings(curve)[0])
    assert turn == pytest.approx(math.degrees(0.8 * STRIDE_SECONDS), abs=3)
    assert curve.info["loop"]["turn_deg"] == pytest.approx(turn, abs=0.1)


def test_the_step_of_a_round_is_seen_from_its_first_heading() -> None:
    for heading in (0.0, 1.0, -2.5):
        motion = closed(striding(heading=heading, phase=math.pi / 2), 0, 33)
        x, z = motion.info["loop"]["step_m"]
        assert z == pytest.approx(1.43, abs=0.05) and abs(x) < 0.15


def test_the_longest_of_equal_cycles_is_taken_within_the_limit() -> None:
    motion = striding(seconds=5)
    first, last = best_cycle(motion)
    assert (last - first) / 30 > 3
    first, last = best_cycle(motion, max_seconds=1.5)
    assert last - first == 33


def test_walks_and_runs_of_the_default_loop() -> None:
    pipeline = motionrt.load()
    for prompt in ("a person walks forward", "a person runs forward"):
        motion = pipeline.generate(prompt, seconds=5, seed=3)
        loop = looped(motion)
        again = seam(loop.motion, 0, loop.motion.num_frames - 1)
        assert again.position_mm < 5 and again.rotation_deg < 2 and again.velocity_mps < 0.1
        assert loop.moved_mm < 40
        played = jumps(rounds(loop.motion))
        assert played.max() <= jumps(loop.motion).max() * 1.1


def test_what_never_comes_back_is_refused() -> None:
    body = load_skeleton("cmu22")
    frames = 60
    angle = np.linspace(0, 2.5, frames)
    local = np.tile(np.eye(3), (frames, body.num_joints, 1, 1))
    local[:, body.index("Spine"), 1, 1] = local[:, body.index("Spine"), 2, 2] = np.cos(angle)
    local[:, body.index("Spine"), 1, 2] = -np.sin(angle)
    local[:, body.index("Spine"), 2, 1] = np.sin(angle)
    motion = Motion.from_local(local, np.tile([0.0, 1, 0], (frames, 1)), body, 30)
    with pytest.raises(InputError, match="comes back to no pose"):
        looped(motion)


@pytest.mark.parametrize("frames", [1, 5, 15])
def test_too_short_is_one_line(frames: int) -> None:
    with pytest.raises(InputError, match="a loop needs 16 frames or more"):
        looped(striding(seconds=1).crop(0, frames))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, 0.2])
def test_a_longest_round_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(InputError, match="loop"):
        looped(striding(), max_seconds=seconds)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (-1, 20), (5, 5), (0, 400)])
def test_no_cycle_is_refused(first: int, last: int) -> None:
    with pytest.raises(InputError, match="no cycle"):
        closed(striding(), first, last)
