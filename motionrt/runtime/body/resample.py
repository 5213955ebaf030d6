"""Change a motion's frame rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import (
    Floats,
    continuous_quaternions,
    matrix_to_quaternion,
    quaternion_to_matrix,
    slerp,
    unit,
)
from motionrt.runtime.errors import InputError

MAX_FRAMES = 1_000_000
"""More frames than anybody means; a frame rate that would make more is refused."""

_LOW_PASS = np.array([1, -6, 15, 44, 15, -6, 1]) / 64
"""Keeps slow motion (98 % at a sixth of the frame rate, 58 % at a third) and nothing at half of it.

It is exact for polynomials up to the fifth degree, so that steady motion stays as it is.
"""


def resample(motion: Motion, fps: float) -> Motion:
    """Give a motion another frame rate; its length from first to last frame stays.

    Frame i of the result is the motion i / fps seconds after its first frame. The last one is the
    last that does not lie behind the motion's own last frame, (T - 1) / motion.fps: the same moment
    if the rates divide, less than a new frame before it otherwise. The same rate returns the
    motion.

    Root, heading and local rotations follow cubic splines with a continuous second derivative
    through all frames, and a moment that has a frame gets that frame itself. A lower rate that does
    not divide the old one cannot hold the fastest motion, which is filtered out first: frames are
    then met nearly, the first one exactly. Foot contacts are those of the nearest frame.
    """
    count = resampled_frames(motion.num_frames, motion.fps, fps)
    if fps == motion.fps:
        return motion
    last = motion.num_frames - 1
    moments = np.minimum(np.arange(count) * motion.fps / fps, last)
    nearest = np.floor(moments + 0.5).astype(np.int64)
    met = np.abs(moments - nearest) < 1e-6
    ratio = motion.fps / fps
    if ratio > 1 and not met.all():
        met[1:] = False
    else:
        ratio = 1.0  # nothing to filter out

    def curve(values: Floats) -> NDArray[np.float64]:
        return _spline(_slow_part(values.astype(np.float64), ratio), moments)

    info = dict(motion.info)
    if last - moments[-1] > 1e-6:
        info.pop("loop", None)  # its last frame, which was its first, is none any more
    return along(motion, moments, met, curve, fps, info)


def along(
    motion: Motion,
    moments: NDArray[np.float64],
    met: NDArray[np.bool_],
    curve: Callable[[Floats], NDArray[np.float64]],
    fps: float,
    info: dict[str, Any],
) -> Motion:
    """Take a motion at moments (N,), which count its frames, along curves.

    met says which moments get their frame itself; curve gives what values (T, ...) are at the
    moments. Foot contacts are those of the nearest frame.
    """
    nearest = np.floor(moments + 0.5).astype(np.int64)

    def through(frames: NDArray[np.float32], between: Floats) -> Floats:
        where = met.reshape(-1, *[1] * (frames.ndim - 1))
        return np.where(where, frames[nearest], between)

    quaternions = matrix_to_quaternion(motion.local_rot_mats.astype(np.float64))
    if motion.num_frames == 2:  # nothing is known but the arc between them
        turns = slerp(quaternions[:1], quaternions[1:], moments[:, None])
    else:
        turns = unit(curve(continuous_quaternions(quaternions)))
    root, smooth, heading = motion.root_positions, motion.smooth_root_pos, None
    if motion.global_root_heading is not None:
        cosine, sine = motion.global_root_heading.astype(np.float64).T
        angle = curve(np.unwrap(np.arctan2(sine, cosine)))
        heading = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        heading = through(motion.global_root_heading, heading)
    return Motion.from_local(
        through(motion.local_rot_mats, quaternion_to_matrix(turns)),
        through(root, curve(root)),
        motion.skeleton,
        fps,
        foot_contacts=None if motion.foot_contacts is None else motion.foot_contacts[nearest],
        smooth_root_pos=None if smooth is None else through(smooth, curve(smooth)),
        global_root_heading=heading,
        info=info,
    )


def at_speed(motion: Motion, speed: float) -> Motion:
    """Play a motion faster (above 1) or slower, at its own frame rate.

    It is resampled along the same splines. A loop stays one: the speed is then the nearest at which
    a round is a whole number of frames. InputError if the speed is not above zero.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise InputError(f"speed is {speed}, it must be a number above zero")
    last = motion.num_frames - 1
    if "loop" in motion.info and last:
        speed = last / max(1, round(last / speed))
    faster = replace(motion, fps=motion.fps * speed)
    return resample(faster, motion.fps)


def resampled_frames(num_frames: int, old_fps: float, fps: float) -> int:
    """Return the frames that a motion has at another rate; InputError for a rate that cannot be."""
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps}, it must be a number above zero")
    last = num_frames - 1
    made = last * fps / old_fps + 1e-6
    if made + 1 > MAX_FRAMES and fps != old_fps:
        most = (MAX_FRAMES - 1) * old_fps / last
        raise InputError(
            f"{fps:g} fps would make {made:.0f} frames of {num_frames / old_fps:.1f} s, more than "
            f"{MAX_FRAMES}: at most {most:.0f} fps"
        )
    return math.floor(made) + 1


def _spline(values: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the cubic spline through values (T, ...) at moments (N,), which count frames.

    Its second derivative is continuous; the third is at the first and last frame but one, too ("not
    a knot"), which fits motion better than a second derivative of zero at the ends.
    """
    return cubic(values, _second_derivatives(values), moments)


def cubic(
    values: NDArray[np.float64], bend: NDArray[np.float64], moments: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evaluate the cubics through values (T, ...) with second derivatives bend at moments (N,)."""
    last = len(values) - 1
    before = np.minimum(moments.astype(np.int64), max(last - 1, 0))
    after = np.minimum(before + 1, last)
    u = (moments - before).reshape(-1, *[1] * (values.ndim - 1))
    v = 1 - u
    result: NDArray[np.float64] = v * values[before] + u * values[after]
    result += ((v**3 - v) * bend[before] + (u**3 - u) * bend[after]) / 6
    return result


def _second_derivatives(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivatives m (T, ...) of the spline: m[i-1] + 4 m[i] + m[i+1] = 6 d[i].

    d are second differences. Not-a-knot ends have m[0] = 2 m[1] - m[2], which leaves m[1] = d[1].
    """
    m = np.zeros_like(values)
    if len(values) < 3:
        return m
    m[1:-1] = np.diff(values, n=2, axis=0)
    inner = range(2, len(values) - 2)
    share = np.zeros(len(values))  # elimination of the tridiagonal system, and back
    for i in inner:
        share[i] = 1 / (4 - share[i - 1])
        m[i] = (6 * m[i] - m[i - 1]) * share[i]
    for i in reversed(inner):
        m[i] -= share[i] * m[i + 1]
    few = len(values) == 3
    m[0] = m[1] if few else 2 * m[1] - m[2]
    m[-1] = m[-2] if few else 2 * m[-2] - m[-3]
    return m


def _slow_part(values: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Leave away from values (T, ...) what one frame in ``ratio`` cannot hold; 1 leaves all.

    Values continue behind their ends turned by half a turn, which keeps the ends and a steady step.
    """
    step = 1
    while step < ratio and len(values) > 1:
        reach = step * (len(_LOW_PASS) // 2)
        padding = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
        wide = np.pad(values, padding, mode="reflect", reflect_type="odd")
        values = sum(
            weight * wide[step * tap : step * tap + len(values)]
            for tap, weight in enumerate(_LOW_PASS)
        )
        step *= 2
    return values
