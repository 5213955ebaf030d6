from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from strides import speeds, striding

from motionrt.runtime.body.clip_ends import from_pose, to_pose, trimmed
from motionrt.runtime.body.finishing import finish
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError


def test_ends_are_cut_to_feet_that_come_down() -> None:
    motion = striding(phase=1.0)
    cut = trimmed(motion)
    assert 60 < cut.num_frames < motion.num_frames
    contacts = np.array(motion.foot_contacts)
    start = int(np.flatnonzero((contacts[1:] & ~contacts[:-1]).any(axis=1))[0]) + 1
    np.testing.assert_array_equal(cut.posed_joints[0], motion.posed_joints[start])


def test_an_end_on_both_feet_stays() -> None:
    motion = striding(seconds=1)
    contacts = np.array(motion.foot_contacts)
    contacts[:5] = contacts[-5:] = True
    motion.foot_contacts = contacts
    assert trimmed(motion).num_frames == motion.num_frames


def test_a_trimmed_loop_is_none_any_more() -> None:
    loop = finish(striding(), loop=True)
    assert "loop" in loop.info and "loop" in loop.crop(0).info
    assert "loop" not in trimmed(loop).info


def test_what_takes_no_steps_is_refused() -> None:
    motion = striding(seconds=1)
    motion.foot_contacts = np.zeros((30, 4), bool)
    with pytest.raises(InputError, match="comes down"):
        trimmed(motion)


@pytest.mark.parametrize("lead", [from_pose, to_pose])
def test_a_lead_starts_at_rest_in_the_pose_and_meets_the_motion(
    lead: Callable[..., Motion],
) -> None:
    motion = striding(heading=0.5)
    led = lead(motion, seconds=0.5)
    assert led.num_frames == motion.num_frames + 15
    backwards = lead is from_pose
    ends = slice(None, None, -1) if backwards else slice(None)
    turns, places = led.local_rot_mats[ends], led.posed_joints[ends]
    np.testing.assert_allclose(turns[-1, 1:], np.tile(np.eye(3), (21, 1, 1)), atol=1e-6)
    assert np.abs(places[-1, :, 1].min()) < 0.02
    np.testing.assert_array_equal(places[:120], motion.posed_joints[ends])
    speed = speeds(led)[ends]
    assert speed[-1].max() < 0.15  # it comes to rest
    change = np.linalg.norm(np.diff(places, n=2, axis=0), axis=-1).max(axis=1)
    assert change[117:].max() < 2 * change[:117].max()  # nothing jumps where they meet


def test_one_frame_can_be_led() -> None:
    assert to_pose(striding(seconds=1).crop(0, 1), seconds=0.2).num_frames == 7


def test_a_led_loop_is_none_any_more() -> None:
    motion = striding(seconds=1)
    motion.info["loop"] = {"step_m": [0, 1], "turn_deg": 0}
    assert "loop" not in to_pose(motion).info and "loop" not in from_pose(motion).info


@pytest.mark.parametrize(
    ("pose", "seconds"), [("sit", 0.5), ("rest", 0.0), ("rest", float("nan")), ("rest", 1e12)]
)
def test_what_cannot_be_is_refused(pose: str, seconds: float) -> None:
    motion: Motion = striding(seconds=1)
    with pytest.raises(InputError, match="pose"):
        to_pose(motion, pose, seconds)
