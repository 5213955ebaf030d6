"""Poses as seen from the body: from the floor below its root, along its heading.

Two frames of a walk are the same pose there, wherever they are. Shared by what joins frames.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.rotation import rotation_about_y, rotation_vectors

Array = NDArray[np.float64]

VELOCITY_SECONDS = 0.1
"""A velocity that differs by 1 m/s counts as a joint that is 10 cm off: what it is off by after
this time. So do accelerations."""


def seen_joints(motion: Motion) -> Array:
    """Joints (T, J, 3) as seen from the place below the root and its heading."""
    places = motion.posed_joints.astype(np.float64)
    places = places - motion.root_positions.astype(np.float64)[:, None] * [1, 0, 1]
    seen: Array = places @ rotation_about_y(headings(motion))  # row vectors: turned back
    return seen


def seen_rotations(motion: Motion) -> Array:
    """Local rotations (T, J, 3, 3), the root's as seen from the heading."""
    local = motion.local_rot_mats.astype(np.float64)
    back = np.swapaxes(rotation_about_y(headings(motion)), -1, -2)
    local[:, 0] = back @ local[:, 0]
    return local


def seen_poses(motion: Motion) -> Array:
    """Joints, velocities and accelerations, weighed: rows (T, D) whose distance is in metres."""
    turns = rotation_about_y(headings(motion))
    steps = np.gradient(motion.posed_joints.astype(np.float64), axis=0) * motion.fps
    changes = np.gradient(steps, axis=0) * motion.fps
    rows = [seen_joints(motion), VELOCITY_SECONDS * steps @ turns]
    rows.append(VELOCITY_SECONDS**2 / 2 * changes @ turns)
    joined = np.concatenate(rows, axis=-1).reshape(motion.num_frames, -1)
    result: Array = joined / math.sqrt(motion.skeleton.num_joints)
    return result


def about_y(vectors: Array, angles: Array | float) -> Array:
    """Turn vectors (..., 2) along x and z by angles (...) about +y."""
    x, z = vectors[..., 0], vectors[..., 1]
    sine, cosine = np.sin(angles), np.cos(angles)
    return np.stack([cosine * x + sine * z, cosine * z - sine * x], axis=-1)


def slope(values: Array, frame: int) -> Array:
    """The change per frame of values (T, ...), to the second order also at the ends."""
    start = min(max(frame - 1, 0), len(values) - 3)
    result: Array = np.gradient(values[start : start + 3], axis=0, edge_order=2)[frame - start]
    return result


def spin(rotations: Array, frame: int) -> Array:
    """Rotation vectors (J, 3) per frame, as seen from the joint."""
    start = min(max(frame - 1, 0), len(rotations) - 3)
    turns = rotation_vectors(np.swapaxes(rotations[frame], -1, -2) @ rotations[start : start + 3])
    return slope(turns, frame - start)


def flow(places: Array, heading: Array, frame: int) -> Array:
    """The root's velocity (3,) per frame as seen from the heading."""
    result = slope(places, frame)
    result[::2] = about_y(result[::2], -heading[frame])
    return result
