"""What a piece of motion does, in numbers: the ground that captions stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import forward_vectors
from motionrt.runtime.body.skeleton import Skeleton

Array = NDArray[np.float32]

STANDING_PELVIS_M = 0.85
SEATED_PELVIS_M = 0.70
LOW_FEET_M = 0.07
"""Feet are off the floor when ankles and toes are all this far above where they stand."""


@dataclass(frozen=True)
class Measures:
    """Numbers of one window; lengths in metres, speeds in metres a second, left is positive."""

    seconds: float
    speed: float
    """Path of the smoothed root by time."""
    slowest: float
    """Lowest speed over any half second."""
    start_speed: float
    end_speed: float
    roaming: float
    """Farthest from the start."""
    closing: float
    """How far the end is from the start."""
    turn_deg: float
    turn_range_deg: float
    forward: float
    """Share of the travel that goes where the body faces, -1 to 1."""
    sideways: float
    """Share of the travel that goes to the body's left, -1 to 1."""
    pelvis_start: float
    pelvis_end: float
    pelvis_min: float
    pelvis_max: float
    rise: float
    """Highest pelvis above the median pelvis."""
    airborne_seconds: float
    num_jumps: int
    jump_seconds: float
    """Duration of the longest time in the air."""
    left_hand_speed: float
    right_hand_speed: float
    """Highest speed against the pelvis."""
    limb_speed: float
    """Mean speed of hands and feet against the pelvis."""
    left_kick: float
    right_kick: float
    """Highest this foot comes above the other knee."""
    left_hand_height: float
    right_hand_height: float
    """Highest this hand comes above the head joint."""
    hand_level: float
    """Mean height of the higher hand above the pelvis; hanging arms have it about 0."""


def measure(
    joints: Array, root_xz: Array, heading_rad: Array, skeleton: Skeleton, fps: float
) -> Measures:
    """Measure a window: world joints (T, J, 3), smoothed root (T, 2), unwrapped heading (T,)."""
    frames = len(joints)
    step = np.diff(root_xz, axis=0) * fps
    speeds = np.linalg.norm(step, axis=-1)
    half = max(2, int(0.5 * fps))
    kernel = np.ones(half) / half
    slow_speeds = np.convolve(speeds, kernel, "valid") if len(speeds) >= half else speeds[:1]
    smoothing = min(9, frames)
    heading = np.convolve(
        np.pad(heading_rad, smoothing // 2, "edge"), np.ones(smoothing) / smoothing, "valid"
    )
    facing = forward_vectors(heading_rad[:-1])[:, ::2]
    leftward = np.stack([facing[:, 1], -facing[:, 0]], axis=-1)
    path = speeds.sum() + 1e-6
    pelvis = joints[:, 0, 1]
    edge = min(5, frames)
    feet = joints[:, list(skeleton.foot_joints), 1]
    stand = np.array([0.08, 0.02, 0.08, 0.02], np.float32)
    in_air = (feet - stand).min(-1) > LOW_FEET_M
    runs = _run_lengths(in_air)
    relative = joints - joints[:, :1]
    left_hand, right_hand = skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]
    limbs = [left_hand, right_hand, skeleton.foot_joints[0], skeleton.foot_joints[2]]
    limb_speeds = np.linalg.norm(np.diff(relative[:, limbs], axis=0), axis=-1) * fps
    left_ankle, right_ankle = skeleton.foot_joints[0], skeleton.foot_joints[2]
    left_knee, right_knee = skeleton.parents[left_ankle], skeleton.parents[right_ankle]
    head = joints[:, skeleton.index("Head"), 1]
    turn = np.degrees(heading)
    return Measures(
        seconds=frames / fps,
        speed=float(speeds.mean()),
        slowest=float(slow_speeds.min()),
        start_speed=float(slow_speeds[0]),
        end_speed=float(slow_speeds[-1]),
        roaming=float(np.linalg.norm(root_xz - root_xz[:1], axis=-1).max()),
        closing=float(np.linalg.norm(root_xz[-1] - root_xz[0])),
        turn_deg=float(turn[-1] - turn[0]),
        turn_range_deg=float(turn.max() - turn.min()),
        forward=float((step * facing).sum() / path),
        sideways=float((step * leftward).sum() / path),
        pelvis_start=float(pelvis[:edge].mean()),
        pelvis_end=float(pelvis[-edge:].mean()),
        pelvis_min=float(pelvis.min()),
        pelvis_max=float(pelvis.max()),
        rise=float(pelvis.max() - np.median(pelvis)),
        airborne_seconds=float(in_air.sum() / fps),
        num_jumps=len([length for length in runs if length >= 0.1 * fps]),
        jump_seconds=max(runs, default=0) / fps,
        left_hand_speed=float(limb_speeds[:, 0].max()),
        right_hand_speed=float(limb_speeds[:, 1].max()),
        limb_speed=float(limb_speeds.mean()),
        left_kick=float((joints[:, left_ankle, 1] - joints[:, right_knee, 1]).max()),
        right_kick=float((joints[:, right_ankle, 1] - joints[:, left_knee, 1]).max()),
        left_hand_height=float((joints[:, left_hand, 1] - head).max()),
        right_hand_height=float((joints[:, right_hand, 1] - head).max()),
        hand_level=float(relative[:, [left_hand, right_hand], 1].mean(0).max()),
    )


def _run_lengths(flags: NDArray[np.bool_]) -> list[int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [int(stop - start) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
