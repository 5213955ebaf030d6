from __future__ import annotations

import numpy as np
import pytest
from strides import STRIDE_SECONDS, speeds, striding

from motionrt.runtime.body.finishing import Finishing, finish
from motionrt.runtime.body.metrics import jitter
from motionrt.runtime.body.resample import at_speed, resample
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.errors import InputError


def test_all_of_it_in_one_go() -> None:
    motion = striding(heading=0.6, phase=0.3)
    made = finish(
        motion,
        trim=True,
        mirror=True,
        speed=0.5,
        fps=60,
        loop=True,
        start_at="origin",
        face="-x",
        in_place=True,
    )
    assert made.fps == 60
    rounds = (made.num_frames - 1) / 60 / (2 * STRIDE_SECONDS)
    assert rounds == pytest.approx(round(rounds), abs=0.02)
    np.testing.assert_allclose(made.posed_joints[0], made.posed_joints[-1], atol=2e-4)
    turn = headings(made)[0] + np.pi / 2
    assert abs(np.angle(np.exp(1j * turn))) < 0.2  # the hips turn with the steps
    swings = np.angle(np.exp(1j * (headings(made) + np.pi / 2)))
    assert abs(swings[:-1].mean()) < 1e-3
    assert np.abs(made.root_positions[:, ::2]).max() < 0.05


def test_the_loop_is_told_with_its_figures() -> None:
    finished = Finishing(loop=True).apply(striding(drift=0.01))
    assert "mm" in finished.told[0] and "degrees" in finished.told[0]
    assert finished.figures["loop"]["after"]["position_mm"] < 0.01


def test_nothing_asked_for_is_the_same_motion() -> None:
    motion = striding(seconds=1)
    assert finish(motion) is motion and not Finishing().does_something


@pytest.mark.parametrize("speed", [0.4, 1.3, 2.0])
def test_speed_changes_the_time_and_nothing_else(speed: float) -> None:
    motion = striding()
    fast = at_speed(motion, speed)
    assert fast.fps == motion.fps
    assert fast.num_frames == pytest.approx(119 / speed + 1, abs=1)
    assert speeds(fast).mean() == pytest.approx(speed * speeds(motion).mean(), rel=0.03)


def test_a_loop_at_another_speed_is_one() -> None:
    loop = finish(striding(), loop=True, loop_seconds=1.2)
    fast = at_speed(loop, 1.37)
    assert "loop" in fast.info
    np.testing.assert_allclose(fast.local_rot_mats[-1], loop.local_rot_mats[-1], atol=1e-5)


def test_resampled_beside_its_last_frame_a_loop_is_none() -> None:
    loop = finish(striding(), loop=True, loop_seconds=1.2)  # 33 frames
    assert "loop" in resample(loop, 60).info
    assert "loop" not in resample(loop, 47).info


def test_resampling_does_not_jerk() -> None:
    # Straight lines between frames: the same walk at 60 frames a second, seven times as rough.
    motion = striding(fps=20)
    smooth = jitter(resample(motion, 60))
    exact = jitter(striding(fps=60))
    assert smooth is not None and exact is not None and smooth < 1.1 * exact


@pytest.mark.parametrize(
    "wrong",
    [
        {"loop": True, "to_pose": "rest"},
        {"loop_seconds": 1.0},
        {"face": "up"},
        {"start_at": "home"},
        {"from_pose": "sit"},
        {"speed": 0.0},
        {"loops": True},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        finish(striding(seconds=1), **wrong)
