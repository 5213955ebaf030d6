from __future__ import annotations

import numpy as np

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.kinds import EndEffector, FullBody, Root2D
from motionrt.viewer.constraint_plot import HELD, draw_constraints

SKELETON = load_skeleton("g1")


def test_nothing_is_drawn_as_nothing() -> None:
    assert draw_constraints([], SKELETON).size[0] < 600


def test_poses_and_held_joints_are_seen() -> None:
    rotations, root = np.zeros((1, 34, 3), np.float32), np.array([[0, 0.8, 0]], np.float32)
    path = Root2D(np.arange(3), np.array([[0, 0], [0.5, 0], [0.5, 1]], np.float32))
    body = FullBody(np.array([0]), rotations, root)
    hand = EndEffector(np.array([1]), rotations, root, joint_names=("LeftHand",))

    def red(constraints: list[Root2D | FullBody | EndEffector]) -> int:
        pixels = np.asarray(draw_constraints(constraints, SKELETON))
        return int((np.abs(pixels.astype(int) - HELD).sum(axis=-1) < 12).sum())

    assert red([path, body]) == 0
    assert red([path, hand]) > 10


def test_many_poses_stay_within_the_picture() -> None:
    count = 200
    rotations = np.zeros((count, 34, 3), np.float32)
    root = np.tile(np.array([0, 0.8, 0], np.float32), (count, 1))
    image = draw_constraints([FullBody(np.arange(count), rotations, root)], SKELETON)
    assert image.size[0] < 1600 and image.size[1] < 1400
