"""Where a body goes: its path over the floor, apart from how it moves on it.

A path is what a game moves the character by; what remains is the animation in place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import rotation_about_y
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

SMOOTH_SECONDS = 0.25
"""Standard deviation of the window that takes the steps out of a path: a step takes 0.5 s."""
ROOT_BONE = "root"
"""The name of a bone that goes the body's path, as engines look for it."""


def headings(motion: Motion) -> Array:
    """Find where the body faces, (T,) radians about +y without jumps by a turn.

    By the line between the hips; where they are not known, by the z axis of the root joint.
    """
    if len(motion.skeleton.hip_joints) == 2:
        heading = hip_heading(motion.posed_joints.astype(np.float64), motion.skeleton)
    else:
        forward = motion.global_rot_mats[:, 0, :, 2].astype(np.float64)
        heading = np.arctan2(forward[:, 0], forward[:, 2])
    return np.unwrap(heading)


def loop_step(motion: Motion) -> tuple[Array, float] | None:
    """What one round of a loop moves the body by, or None if the motion is not said to be one.

    The step (2,) in metres along x and z as seen from the heading of the first frame, and the turn
    in radians: what `loop.closed` wrote into `Motion.info`.
    """
    told = motion.info.get("loop")
    if not isinstance(told, dict):
        return None
    try:
        step = np.array(told["step_m"], np.float64)
        turn = math.radians(float(told["turn_deg"]))
    except (KeyError, TypeError, ValueError):
        return None
    return (step, turn) if step.shape == (2,) and np.isfinite([*step, turn]).all() else None


def root_path(motion: Motion, smooth_seconds: float = SMOOTH_SECONDS) -> tuple[Array, Array]:
    """Return the body's path: places on the floor (T, 3), y = 0, and headings (T,) in radians.

    Both are of the root joint and the hips, with the steps smoothed out by a Gaussian window. Of a
    loop the window goes round, so that its path is one, too; otherwise it sees the motion go on
    behind its ends as it came, turned by half a turn. Zero seconds smooth nothing.
    """
    if not (math.isfinite(smooth_seconds) and smooth_seconds >= 0):
        raise InputError(f"smooth_seconds is {smooth_seconds}, it must be zero or more")
    places = motion.root_positions.astype(np.float64)[:, ::2]
    heading = headings(motion)
    values = np.concatenate([places, heading[:, None]], axis=1)
    smooth = _smoothed(values, smooth_seconds * motion.fps, loop_step(motion))
    path = np.zeros((len(values), 3))
    path[:, ::2] = smooth[:, :2]
    return path, smooth[:, 2]


@dataclass(frozen=True)
class Carried:
    """A motion whose hips move relative to a root bone, which goes the body's path on the floor."""

    path: Array
    """(T, 3), where the bone is."""
    heading: Array
    """(T,), how it is turned about the y axis, in radians."""
    hips: Array
    """(T, 3), where the skeleton's root joint is relative to the bone."""
    local_rot_mats: Array
    """(T, J, 3, 3), relative to the parent; of joint 0 relative to the bone."""


def carried_by_root(motion: Motion, smooth_seconds: float = SMOOTH_SECONDS) -> Carried:
    """Split a motion into the path of a root bone and what the body does on it.

    The heading counts from that of the rest pose: a bone that is not turned carries a body that
    faces +z. Played on a bone that stands still, what the body does is the motion `in_place`.
    """
    path, heading = root_path(motion, smooth_seconds)
    back = np.swapaxes(rotation_about_y(heading), -1, -2)
    local = motion.local_rot_mats.astype(np.float64)
    local[:, 0] = back @ local[:, 0]
    hips = (back @ (motion.root_positions.astype(np.float64) - path)[..., None])[..., 0]
    return Carried(path, heading, hips, local)


def in_place(motion: Motion, face: float = 0.0, smooth_seconds: float = SMOOTH_SECONDS) -> Motion:
    """Take the body's path away: it stays over the origin and faces a heading, 0 is +z.

    What is left is the sway of its steps, and what is taken away is `root_path`: a character that
    goes the path and plays this moves as the motion does. With smooth_seconds of zero there is no
    sway left, and poses are those of the C library's ``MRT_IN_PLACE``.
    `Motion.info["in_place"]` says so to what judges motions: its feet slide as they should.
    """
    path, heading = root_path(motion, smooth_seconds)
    info = {**motion.info, "in_place": True}
    if loop_step(motion) is not None:
        info["loop"] = {**info["loop"], "step_m": [0.0, 0.0], "turn_deg": 0.0}
    return moved_each(motion, face - heading, -path, info)


def placed(motion: Motion, *, at_origin: bool = True, face: float | None = None) -> Motion:
    """Move a whole motion, so that its path starts at the origin and along a heading.

    face is in radians about +y, 0 is +z; None keeps the heading, and at_origin False the place:
    the body then turns where it stands. Heights stay. The path is `root_path`: of a loop, the first
    step's sway does not count.
    """
    path, heading = root_path(motion)
    turns = np.full(motion.num_frames, 0.0 if face is None else face - heading[0])
    moved = moved_each(motion, turns, np.tile(-path[0], (motion.num_frames, 1)))
    if at_origin:
        return moved
    return moved_each(moved, np.zeros_like(turns), np.tile(path[0], (motion.num_frames, 1)))


def moved_each(
    motion: Motion, turns: Array, shifts: Array, info: dict[str, object] | None = None
) -> Motion:
    """Shift each frame by shifts (T, 3) and then turn it about the y axis by turns (T,).

    Joints move as one rigid body each frame; what the motion knows besides is moved with them.
    """
    turn = np.asarray(rotation_about_y(turns))

    def there(points: NDArray[np.float32] | Array) -> Array:
        flat = points.astype(np.float64).reshape(len(points), -1, 3)
        new: Array = np.einsum("tij,tnj->tni", turn, flat + shifts[:, None])
        return new.reshape(points.shape)

    rotations = turn[:, None] @ motion.global_rot_mats.astype(np.float64)
    local = motion.local_rot_mats.astype(np.float64)
    local[:, 0] = rotations[:, 0]
    heading = motion.global_root_heading
    if heading is not None:
        angle = np.arctan2(heading[:, 1], heading[:, 0]).astype(np.float64) + turns
        heading = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    smooth = motion.smooth_root_pos
    return Motion(
        fps=motion.fps,
        skeleton=motion.skeleton,
        local_rot_mats=local.astype(np.float32),
        root_positions=there(motion.root_positions).astype(np.float32),
        posed_joints=there(motion.posed_joints).astype(np.float32),
        global_rot_mats=rotations.astype(np.float32),
        foot_contacts=motion.foot_contacts,
        smooth_root_pos=None if smooth is None else there(smooth).astype(np.float32),
        global_root_heading=heading,
        info=dict(motion.info) if info is None else info,
        notes=list(motion.notes),
        warnings=list(motion.warnings),
    )


def _smoothed(values: Array, sigma: float, step: tuple[Array, float] | None) -> Array:
    """Smooth x, z and heading (T, 3) by a Gaussian window of so many frames."""
    reach = math.ceil(3 * sigma)
    frames = len(values)
    if reach < 1 or frames < 2:
        return values
    reach = min(reach, 16 * frames)  # what is shorter than its window is nearly a line anyway
    if step is None:
        padded = np.pad(values, [(reach, reach), (0, 0)], mode="reflect", reflect_type="odd")
    else:
        padded = _rounds(values, reach, *step)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    window /= window.sum()
    columns = [np.convolve(column, window, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _rounds(values: Array, reach: int, step: Array, turn: float) -> Array:
    """Continue a loop (T, 3), whose last frame is the first of the next round, to both sides."""
    period = len(values) - 1
    first = values[0, 2]
    count = math.ceil(reach / period) + 1
    rows = []
    for number in range(-count, count + 1):
        place, heading = values[0, :2].copy(), first
        for _ in range(abs(number)):
            if number > 0:
                place = place + _turned(step, heading)
                heading += turn
            else:
                heading -= turn
                place = place - _turned(step, heading)
        moved = np.empty((period, 3))
        moved[:, :2] = place + _turned(values[:-1, :2] - values[0, :2], heading - first)
        moved[:, 2] = values[:-1, 2] + heading - first
        rows.append(moved)
    start = count * period - reach
    return np.concatenate(rows)[start : count * period + period + 1 + reach]


def _turned(vectors: Array, angle: float) -> Array:
    """Turn vectors (..., 2) along x and z by an angle about +y."""
    x, z = vectors[..., 0], vectors[..., 1]
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.stack([cosine * x + sine * z, cosine * z - sine * x], axis=-1)
