"""How the trunk lies and turns: what tells rolls, cartwheels, handstands and crawls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import rotation_vectors, unit

Floats = NDArray[np.float64]
FULL_TURN_DEG = 270.0
"""Who goes over turns by so much: recorded cartwheels by 293 and more, rolls by 343, while the
wildest of recorded dances (a jeté) comes to 217."""
FLOOR_HAND_M = 0.2
"""A hand under this height is on the floor."""
STANDING_MPS = 0.7
"""What carries a body moves slower over the floor: 0.3 m/s in recorded cartwheels."""


def trunk_axes(motion: Motion) -> Floats:
    """Return the trunk's axes (T, 3, 3), columns: to its left, to its head, to where it faces."""
    skeleton, joints = motion.skeleton, motion.posed_joints.astype(np.float64)
    up = unit(joints[:, skeleton.index("Neck")] - joints[:, 0])
    left = joints[:, skeleton.index("LeftUpLeg")] - joints[:, skeleton.index("RightUpLeg")]
    left = unit(left - (left * up).sum(-1, keepdims=True) * up)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def turned_over_deg(motion: Motion) -> float:
    """How far the trunk turns about a level axis: a somersault or a cartwheel is 360 degrees.

    Turns about the vertical, as walks around a corner have, do not count, and swaying to and fro
    does not add up: it is the farthest that two moments lie apart in the sum of turns so far.
    """
    axes = trunk_axes(motion)
    turns = rotation_vectors(axes[1:] @ axes[:-1].swapaxes(-1, -2))
    level = np.concatenate([np.zeros((1, 2)), np.cumsum(turns[:, [0, 2]], axis=0)])
    apart = np.linalg.norm(level[:, None] - level[None], axis=-1)
    return float(np.degrees(apart.max()))


def hips_over_neck(motion: Motion) -> NDArray[np.bool_]:
    """Say for each frame whether the hips are 15 cm above the neck, and off the floor, (T,)."""
    height = motion.posed_joints[..., 1]
    neck = height[:, motion.skeleton.index("Neck")]
    return np.asarray((height[:, 0] > neck + 0.15) & (height[:, 0] > 0.4))


def hand_on_floor(motion: Motion) -> NDArray[np.bool_]:
    """Say for each frame whether a hand is on the floor, (T,)."""
    skeleton = motion.skeleton
    hands = [skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]]
    return np.asarray(motion.posed_joints[:, hands, 1].min(1) < FLOOR_HAND_M)


def stands_in(motion: Motion, frames: NDArray[np.bool_]) -> bool:
    """Say whether the lowest joint stands in most of these frames, (T,), and does not slide."""
    joints = motion.posed_joints.astype(np.float64)
    lowest = joints[1:, :, 1].argmin(1)
    moved = np.diff(joints[..., [0, 2]], axis=0)[np.arange(len(lowest)), lowest]
    speeds = np.linalg.norm(moved, axis=-1)[frames[1:]] * motion.fps
    return len(speeds) > 0 and float(np.median(speeds)) < STANDING_MPS


def rolls(motion: Motion) -> bool:
    """Goes over once, on the floor: over the head, or lying and over the side."""
    return _hips_come_down(motion) and turned_over_deg(motion) >= FULL_TURN_DEG


def cartwheels(motion: Motion) -> bool:
    """Goes over once on the hands, which stand while the hips are above them."""
    over = hips_over_neck(motion)
    return (
        turned_over_deg(motion) >= FULL_TURN_DEG
        and bool((over & hand_on_floor(motion)).sum() * 10 >= motion.fps)
        and stands_in(motion, over)
        and not _hips_come_down(motion)
    )


def flips(motion: Motion) -> bool:
    """Goes over once in the air: mostly nothing touches the floor while the hips are on top."""
    over = hips_over_neck(motion)
    air = motion.posed_joints[over, :, 1].min(1) > FLOOR_HAND_M
    return turned_over_deg(motion) >= FULL_TURN_DEG and bool(over.any() and air.mean() > 0.5)


def stands_upside_down(motion: Motion) -> bool:
    """Stands with the feet above the hips and those above the neck, for half a second in all."""
    skeleton, height = motion.skeleton, motion.posed_joints[..., 1]
    ankles = height[:, [skeleton.foot_joints[0], skeleton.foot_joints[2]]].min(1)
    over = hips_over_neck(motion) & (ankles > height[:, 0])
    return bool(over.sum() >= 0.5 * motion.fps) and stands_in(motion, over)


def crawls(motion: Motion) -> bool:
    """Gets half a metre ahead, head first, with the front down, hips low and a hand on the floor.

    So is it in six frames of ten, and the way of the other frames does not count: who falls over
    gets as far.
    """
    axes = trunk_axes(motion)
    joints = motion.posed_joints.astype(np.float64)
    down = (axes[:, 1, 2] < -0.5) & (joints[:, 0, 1] < 0.65) & hand_on_floor(motion)
    moved = np.diff(joints[:, 0, [0, 2]], axis=0)
    ahead = (moved * unit(axes[1:, [0, 2], 1])).sum(-1)
    return bool(down.mean() >= 0.6 and ahead[down[1:]].sum() >= 0.5)


def _hips_come_down(motion: Motion) -> bool:
    return bool(motion.posed_joints[:, 0, 1].min() < 0.45)
