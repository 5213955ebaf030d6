"""The ends of a clip: cut where the body stands, or led in from a pose and out to one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.metrics import standing_feet
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import MAX_FRAMES
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.rotation import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about_y,
    rotation_matrices,
    slerp,
)
from motionrt.runtime.body.seen_pose import seen_rotations, slope, spin
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

POSES = ("rest",)
"""What a clip can be led in from: the skeleton's rest pose, standing below the root."""
POSE_SECONDS = 0.5
_GLIDE_SECONDS = 0.15
"""How long a movement goes on as it was while it is led into a pose."""


def trimmed(motion: Motion) -> Motion:
    """Cut the ends off that are mid-stride: it starts and ends with a foot that comes down.

    An end at which both feet stand stays. InputError if the feet are not known, or no two steps
    are left between which to cut.
    """
    feet, contacts = standing_feet(motion)
    if len(feet) < 2 or contacts.shape[1] % 2:
        raise InputError(
            f"skeleton {motion.skeleton.name}: its feet are not known; cut it by frames instead"
        )
    half = contacts.shape[1] // 2
    stands = np.stack([contacts[:, :half].any(axis=1), contacts[:, half:].any(axis=1)], axis=1)
    comes_down = np.flatnonzero((stands[1:] & ~stands[:-1]).any(axis=1)) + 1
    start, stop = 0, motion.num_frames - 1
    if not stands[0].all():
        start = int(comes_down[0]) if len(comes_down) else stop
    if not stands[-1].all():
        stop = int(comes_down[-1]) if len(comes_down) else start
    if stop <= start:
        raise InputError("no foot comes down twice; nothing says where to trim it")
    return motion.crop(start, stop + 1)


def from_pose(motion: Motion, pose: str = "rest", seconds: float = POSE_SECONDS) -> Motion:
    """Lead a motion in from a pose: frames are added in front, in which the body comes to move.

    It starts at rest in the pose, where it would have been, and reaches the motion's first frame
    with its velocity. InputError if there is no such pose, or less than a frame of time.
    """
    return _reversed(to_pose(_reversed(motion), pose, seconds))


def to_pose(motion: Motion, pose: str = "rest", seconds: float = POSE_SECONDS) -> Motion:
    """Lead a motion out to a pose: frames are added behind it, in which the body comes to rest."""
    if pose not in POSES:
        raise InputError(f"pose {pose!r}: there is {' and '.join(POSES)}")
    count = round(seconds * motion.fps) if math.isfinite(seconds) else 0
    if count < 1:
        raise InputError(f"{seconds} seconds to a pose: it must be a frame or more")
    if motion.num_frames + count > MAX_FRAMES:
        raise InputError(f"{seconds:g} seconds to a pose make more than {MAX_FRAMES} frames")
    last = motion.num_frames - 1
    heading = headings(motion)
    rotations = seen_rotations(motion)
    places = motion.root_positions.astype(np.float64)
    if last >= 2:
        velocity, turn = slope(places, last), float(slope(heading, last))
        twist = spin(rotations, last)
    else:
        velocity, turn, twist = np.zeros(3), 0.0, np.zeros_like(rotations[0, :, 0])
    time = np.arange(1, count + 1)
    glide = max(_GLIDE_SECONDS * motion.fps, 1.0)
    gone = glide * (1 - np.exp(-time / glide))  # it starts as it was and dies away
    share = time / count
    weight = share**3 * (10 - 15 * share + 6 * share * share)
    on = rotations[last] @ rotation_matrices(gone[:, None, None] * twist)
    rest = np.broadcast_to(np.eye(3), on.shape)
    mixed = quaternion_to_matrix(
        slerp(matrix_to_quaternion(on), matrix_to_quaternion(rest), weight[:, None])
    )
    angle = heading[last] + gone * turn
    mixed[:, 0] = rotation_about_y(angle) @ mixed[:, 0]
    path = places[last] + gone[:, None] * velocity
    stands = motion.skeleton.rest_positions.astype(np.float64)
    height = stands[0, 1] - stands[:, 1].min() + motion.skeleton.foot_clearance_m
    path[:, 1] = path[:, 1] * (1 - weight) + height * weight
    contacts = motion.foot_contacts
    if contacts is not None:
        standing = np.repeat(weight > 0.95, contacts.shape[1]).reshape(count, -1)
        contacts = np.concatenate([contacts, standing])
    info = {key: value for key, value in motion.info.items() if key != "loop"}
    return Motion.from_local(
        np.concatenate([motion.local_rot_mats, mixed]),
        np.concatenate([places, path]),
        motion.skeleton,
        motion.fps,
        foot_contacts=contacts,
        info=info,
    )


def _reversed(motion: Motion) -> Motion:
    arrays = {name: values[::-1] for name, values in motion.to_arrays().items()}
    return Motion.from_arrays(arrays, motion.skeleton, motion.fps, dict(motion.info))
