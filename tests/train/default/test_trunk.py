"""Motions of a stiff body that is turned, carried and lifted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import quaternion_to_matrix, rotation_matrices
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default import trunk
from motionrt.train.default.clips import Clip

SKELETON = load_skeleton("cmu22")
FRAMES = 60


def stiff(
    turns: float = 0.0,
    axis: tuple[float, float, float] = (0, 0, 1),
    lift: float = 0.0,
    slide: float = 0.0,
    arms_up: bool = True,
) -> Motion:
    """Turn a stiff body about its hips, like a wheel that touches the floor, or lift above it.

    What is lowest stands, or slides so many metres in all.
    """
    local = np.tile(np.eye(3, dtype=np.float32), (FRAMES, len(SKELETON.joint_names), 1, 1))
    motion = Motion.from_local(local, np.zeros((FRAMES, 3), np.float32), SKELETON, 20.0)
    body = motion.posed_joints[0].astype(np.float64)
    for side in ("Left", "Right"):
        shoulder = SKELETON.index(f"{side}Arm")
        for place, name in enumerate((f"{side}ForeArm", f"{side}Hand"), start=1):
            down = (0.0, -0.28 * place, 0.02)
            body[SKELETON.index(name)] = body[shoulder] + np.array(down) * (-1 if arms_up else 1)
    angle = 2 * np.pi * turns * np.linspace(0, 1, FRAMES)
    turned = body @ rotation_matrices(angle[:, None] * np.array(axis)).swapaxes(-1, -2)
    turned[..., 1] += lift - turned[..., 1].min()
    lowest = turned[..., 1].argmin(1)
    for at in range(1, FRAMES):
        moved = turned[at, lowest[at]] - turned[at - 1, lowest[at]]
        turned[at, :, [0, 2]] -= moved[[0, 2], None]
    turned[..., 0] += slide * np.linspace(0, 1, FRAMES)[:, None]
    motion.posed_joints[:] = turned
    return motion


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 0, 0), (0.8, 0, -0.6)])
def test_going_over_is_a_turn_about_a_level_axis(axis: tuple[float, float, float]) -> None:
    assert trunk.turned_over_deg(stiff(1.0, axis)) == pytest.approx(360, abs=1)
    assert trunk.turned_over_deg(stiff(-0.5, axis)) == pytest.approx(180, abs=1)


def test_turning_around_is_not_going_over(make_gait: Callable[..., Clip]) -> None:
    assert trunk.turned_over_deg(stiff(2.0, (0, 1, 0))) < 1
    clip = make_gait(5.0, 1.2, 360.0)
    walk = Motion.from_local(quaternion_to_matrix(clip.rotations), clip.root, SKELETON, clip.fps)
    assert trunk.turned_over_deg(walk) < 60
    for tells in (trunk.rolls, trunk.cartwheels, trunk.flips, trunk.stands_upside_down):
        assert not tells(walk)


def test_a_cartwheel_stands_on_its_hands() -> None:
    assert trunk.cartwheels(stiff(1.0)) and not trunk.flips(stiff(1.0))
    assert not trunk.cartwheels(stiff(1.0, slide=8.0))  # upside down over the floor like a sledge
    assert not trunk.cartwheels(stiff(1.0, arms_up=False))  # on its head
    assert not trunk.cartwheels(stiff(0.5))  # and never comes back
    assert not trunk.cartwheels(stiff(0.4))


def test_a_flip_is_in_the_air() -> None:
    assert trunk.flips(stiff(1.0, (1, 0, 0), lift=0.5))
    assert not trunk.cartwheels(stiff(1.0, (1, 0, 0), lift=0.5))


def test_a_roll_is_on_the_floor() -> None:
    motion = stiff(1.0, (1, 0, 0))
    assert not trunk.rolls(motion)
    motion.posed_joints[..., 1] *= 0.3
    assert trunk.rolls(motion) and not trunk.cartwheels(motion)


def test_a_handstand_stands_upside_down() -> None:
    motion = stiff(0.5)
    motion.posed_joints[:] = motion.posed_joints[-1:]
    assert trunk.stands_upside_down(motion)
    motion.posed_joints[..., 0] += np.linspace(0, 5, FRAMES, dtype=np.float32)[:, None]
    assert not trunk.stands_upside_down(motion)
    assert not trunk.stands_upside_down(stiff())


def prone(forward: float, face_down: bool = True, hands: float = 0.05) -> Motion:
    """Lie on the belly with the hips at 0.25 m, or on the back, and move so far head first."""
    motion = stiff(0.25 if face_down else -0.25, (1, 0, 0))
    motion.posed_joints[:] = motion.posed_joints[-1:]
    motion.posed_joints[..., 1] += 0.25 - motion.posed_joints[:, :1, 1]
    for side in (SKELETON.left_hand_joints[0], SKELETON.right_hand_joints[0]):
        motion.posed_joints[:, side, 1] = hands
    head = motion.posed_joints[0, SKELETON.index("Head"), 2] - motion.posed_joints[0, 0, 2]
    way = np.sign(head) * forward * np.linspace(0, 1, FRAMES, dtype=np.float32)
    motion.posed_joints[..., 2] += way[:, None]
    return motion


def test_a_crawl_goes_ahead_on_its_hands() -> None:
    assert trunk.crawls(prone(1.5))
    assert not trunk.crawls(prone(0.2))  # lies there
    assert not trunk.crawls(prone(-1.5))  # backwards
    assert not trunk.crawls(prone(1.5, face_down=False))
    assert not trunk.crawls(prone(1.5, hands=0.4))  # walks bent over


def test_who_falls_over_does_not_crawl() -> None:
    motion = prone(0.0)
    motion.posed_joints[:10, :, 2] -= np.linspace(2, 0, 10, dtype=np.float32)[:, None]
    motion.posed_joints[:10, :, 1] += 0.8
    assert not trunk.crawls(motion)
