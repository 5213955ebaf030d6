"""Change a motion's frame rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import matrix_to_quaternion, quaternion_to_matrix, slerp
from motionrt.runtime.errors import InputError

MAX_FRAMES = 1_000_000
"""More frames than anybody means; a frame rate that would make more is refused."""


def resample(motion: Motion, fps: float) -> Motion:
    """Give a motion another frame rate; its length from first to last frame stays.

    Local rotations are interpolated along the shorter arc at constant speed, root and heading
    linearly, foot contacts taken from the nearest frame. A frame rate that does not divide the
    length drops what lies behind the last whole frame. The same frame rate returns the motion.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps}, it must be above zero")
    if fps == motion.fps:
        return motion
    count = math.floor((motion.num_frames - 1) * fps / motion.fps + 1e-6) + 1
    if count > MAX_FRAMES:
        raise InputError(f"{fps:g} fps would make {count} frames, more than {MAX_FRAMES}")
    moments = np.minimum(np.arange(count) * (motion.fps / fps), motion.num_frames - 1)
    before = np.minimum(moments.astype(np.int64), max(motion.num_frames - 2, 0))
    after = np.minimum(before + 1, motion.num_frames - 1)
    fraction = moments - before

    quaternions = matrix_to_quaternion(motion.local_rot_mats.astype(np.float64))
    turns = slerp(quaternions[before], quaternions[after], fraction[:, None])

    def linear(values: NDArray[np.float32]) -> NDArray[np.float64]:
        weight = fraction.reshape(-1, *[1] * (values.ndim - 1))
        result: NDArray[np.float64] = values[before] * (1 - weight) + values[after] * weight
        return result

    heading = None
    if motion.global_root_heading is not None:
        heading = linear(motion.global_root_heading)
        length = np.linalg.norm(heading, axis=-1, keepdims=True)
        nearest = motion.global_root_heading[np.where(fraction < 0.5, before, after)]
        heading = np.where(length > 1e-6, heading / np.maximum(length, 1e-6), nearest)
    return Motion.from_local(
        quaternion_to_matrix(turns),
        linear(motion.root_positions),
        motion.skeleton,
        fps,
        foot_contacts=(
            None
            if motion.foot_contacts is None
            else motion.foot_contacts[np.where(fraction < 0.5, before, after)]
        ),
        smooth_root_pos=(
            None if motion.smooth_root_pos is None else linear(motion.smooth_root_pos)
        ),
        global_root_heading=heading,
        info=dict(motion.info),
    )
