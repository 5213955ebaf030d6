from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default import quality
from motionrt.train.default.clips import Clip

SKELETON = load_skeleton("cmu22")


@pytest.fixture
def make_motion(make_gait: Callable[..., Clip]) -> Callable[..., Motion]:
    def make(seconds: float = 5.0, speed: float = 1.2, turn_deg: float = 0.0) -> Motion:
        clip = make_gait(seconds, speed, turn_deg)
        return Motion.from_local(
            quaternion_to_matrix(clip.rotations), clip.root, SKELETON, clip.fps
        )

    return make


def test_speed_and_turning_are_measured(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion(5.0, 1.2, 90.0)
    assert quality.root_speed(motion) == pytest.approx(1.2, abs=0.03)
    assert 70 < quality.heading_change_deg(motion) < 90
    assert quality.heading_change_deg(make_motion(5.0, 1.2, -90.0)) < -70


def test_a_jump_is_two_feet_off_and_hips_up(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion(3.0, 0.0)
    assert not quality.both_feet_off(motion)
    motion.posed_joints[30:42, :, 1] += 0.3
    assert quality.both_feet_off(motion)
    assert quality.pelvis_rise(motion) == pytest.approx(0.3, abs=0.05)


def test_falling_hips_are_a_seat_taken(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion(3.0, 0.0)
    assert quality.pelvis_drop(motion) < 0.1
    motion.posed_joints[50:, 0, 1] -= 0.4
    assert quality.pelvis_drop(motion) > 0.35


def test_noise_is_jitter(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion()
    before = quality.mean_jerk(motion)
    noise = np.random.default_rng(0).normal(scale=0.01, size=motion.posed_joints.shape)
    motion.posed_joints += noise.astype(np.float32)
    assert quality.mean_jerk(motion) > 5 * before


def test_feet_that_slide_in_contact_drift(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion(3.0, 1.0)
    motion.foot_contacts = np.ones((motion.num_frames, 4), bool)
    assert quality.foot_drift(motion) > 0.5
    motion.foot_contacts[:] = False
    assert quality.foot_drift(motion) == 0


def test_steps_are_the_feet_coming_down(make_motion: Callable[..., Motion]) -> None:
    motion = make_motion(4.0, 0.0)
    feet = list(SKELETON.foot_joints)
    motion.posed_joints[:, feet] = np.array([0, 0.02, 0], np.float32)
    for start in range(5, 115, 20):  # the left foot is up, then the right one
        motion.posed_joints[start : start + 8, feet[:2], 1] = 0.3
        motion.posed_joints[start + 10 : start + 18, feet[2:], 1] = 0.3
    assert len(quality.steps(motion)) >= 9
    assert quality.alternation(motion) > 0.9


def test_a_result_is_good_only_if_all_shares_are(make_motion: Callable[..., Motion]) -> None:
    check = quality.CHECKS[6]
    result = quality.judge(check, [make_motion(3.0, 0.05), make_motion(3.0, 1.0)])
    assert check.prompt == "a person stands still"
    assert result.passed == 0.5
    assert not result.ok


def test_feet_that_never_stand_are_not_still(make_motion: Callable[..., Motion]) -> None:
    check = quality.CHECKS[6]
    standing, floating = make_motion(3.0, 0.05), make_motion(3.0, 0.05)
    for motion in (standing, floating):
        motion.posed_joints[:] = motion.posed_joints[:1]
        motion.foot_contacts = np.ones((motion.num_frames, 4), bool)
    assert floating.foot_contacts is not None
    floating.foot_contacts[3:] = False
    assert quality.foot_drift(floating) == 0
    assert quality.judge(check, [standing, floating]).feet_still == 0.5
