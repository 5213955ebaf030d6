"""Measures of what a motion does, on motions whose joints are placed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default import deeds

SKELETON = load_skeleton("cmu22")
FRAMES = 60
HANDS = (SKELETON.left_hand_joints[0], SKELETON.right_hand_joints[0])
LEFT_FOOT, RIGHT_FOOT = list(SKELETON.foot_joints[:2]), list(SKELETON.foot_joints[2:])


@pytest.fixture
def motion() -> Motion:
    """Stand with hanging arms, facing +z, for three seconds."""
    local = np.tile(np.eye(3, dtype=np.float32), (FRAMES, len(SKELETON.joint_names), 1, 1))
    made = Motion.from_local(local, np.zeros((FRAMES, 3), np.float32), SKELETON, 20.0)
    joints = made.posed_joints
    joints[..., 1] += 0.02 - joints[..., 1].min()
    for hand in HANDS:
        joints[:, hand] = joints[:, 0] + np.sign(joints[:, [hand], 0]) * np.array([0.25, 0, 0])
    return made


def passes(wording: str, motion: Motion) -> bool:
    """Say whether a motion does what a wording asks for."""
    return next(deed for deed in deeds.DEEDS if wording in deed.wordings).passes(motion)


def test_a_kick_has_its_side(motion: Motion) -> None:
    motion.posed_joints[20:30, LEFT_FOOT, 1] += 0.9
    assert passes("^kick", motion) and passes("^kick with the left leg", motion)
    assert not passes("^kick with the right leg", motion)


def test_a_punch_has_its_side(motion: Motion) -> None:
    motion.posed_joints[20:25, HANDS[1], 2] += 0.4
    assert passes("^punch", motion) and passes("^punch with the right hand", motion)
    assert not passes("^punch with the left hand", motion)


def test_arms_are_up_if_both_are(motion: Motion) -> None:
    motion.posed_joints[20:40, HANDS[0], 1] = 1.8
    assert not passes("^raise both arms", motion)
    motion.posed_joints[20:40, HANDS[1], 1] = 1.8
    assert passes("^raise both arms", motion)


def test_jumps_are_counted(motion: Motion) -> None:
    motion.posed_joints[10:16, :, 1] += 0.4
    assert passes("^jump once", motion) and not passes("^jump repeatedly", motion)
    motion.posed_joints[30:36, :, 1] += 0.4
    assert passes("^jump repeatedly", motion) and not passes("^jump once", motion)
    assert passes("^jump in place", motion)
    motion.posed_joints[..., 2] += np.linspace(0, 3, FRAMES, dtype=np.float32)[:, None]
    assert passes("^jump", motion) and not passes("^jump in place", motion)


def test_who_crouches_stays_where_they_are(motion: Motion) -> None:
    motion.posed_joints[20:, :, 1] *= 0.6
    assert passes("^crouch", motion) and not passes("^do squats", motion)
    motion.posed_joints[35:40, :, 1] /= 0.6
    assert passes("^do squats", motion)
    motion.posed_joints[..., 2] += np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    assert not passes("^crouch", motion)  # a crouched walk


def test_who_kneels_has_a_knee_on_the_floor(motion: Motion) -> None:
    motion.posed_joints[20:, :, 1] -= motion.posed_joints[0, SKELETON.index("RightLeg"), 1] - 0.1
    assert passes("^kneel down", motion)
    motion.posed_joints[20:, :, 1] += 0.15
    assert not passes("^kneel down", motion)


def test_a_throw_comes_from_behind(motion: Motion) -> None:
    hand = motion.posed_joints[:, HANDS[1]]
    hand[20:30, 1] = 1.6
    hand[20:26, 2] = -0.4
    hand[26:30, 2] = 0.4
    assert passes("^throw a ball", motion)
    hand[20:26, 2] = 0.0  # a punch begins before the shoulder
    hand[:20, 2] = 0.2
    assert not passes("^throw a ball", motion)


def test_sitting_on_the_floor_is_not_lying(motion: Motion) -> None:
    motion.posed_joints[30:, :, 1] -= motion.posed_joints[0, 0, 1] - 0.15
    assert passes("^sit on the floor", motion) and not passes("^lie down", motion)
    motion.posed_joints[30:, :, 1] = 0.1
    assert passes("^lie down", motion) and not passes("^sit on the floor", motion)


def test_who_stops_stands_in_the_end(motion: Motion) -> None:
    motion.posed_joints[..., 2] += np.linspace(0, 3, FRAMES, dtype=np.float32)[:, None]
    assert not passes("^walk and ^stop", motion)
    motion.posed_joints[40:, :, 2] = motion.posed_joints[40, :, 2]
    assert passes("^walk and ^stop", motion)


def test_a_bow_bends_forward(motion: Motion) -> None:
    upper = [SKELETON.index(name) for name in ("Spine", "Spine1", "Spine2", "Neck", "Head")]
    height = motion.posed_joints[20:30, upper, 1] - motion.posed_joints[20:30, :1, 1]
    motion.posed_joints[20:30, upper, 1] -= 0.3 * height
    assert not passes("^bow", motion)
    motion.posed_joints[20:30, upper, 2] += height
    assert passes("^bow", motion)
    motion.posed_joints[20:30, :, 1] -= 0.4  # sits down, bent forward
    assert not passes("^bow", motion)
