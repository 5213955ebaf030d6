"""HumanML3D's motion representation: 263 numbers a frame, to joints and back.

22 joints at 20 frames a second, y up, metres, facing +z in the first frame. A frame holds

    0        half the turn of the heading to the next frame (radians)
    1:3      step of the root to the next frame along x and z, seen from the heading (metres)
    3        height of the root
    4:67     joints 1 to 21 seen from the heading, the root's x and z taken off
    67:193   6D rotations of the bones that end in joints 1 to 21, each relative to the bone before
    193:259  step of every joint to the next frame, seen from the heading
    259:263  contacts: left ankle, left foot, right ankle, right foot

A heading quaternion turns the world to the heading: it is the inverse of where the body faces.
Source: Guo 2022, "Generating diverse and natural 3D human motions from text", and its release.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.heading import heading_across
from motionrt.runtime.body.rotation import (
    Floats,
    inverse_quaternions,
    multiply_quaternions,
    quaternion_about_y,
    quaternion_to_matrix,
    rot6d_to_matrix,
    rotate_vectors,
    rotation_about_y,
    shortest_arc,
    shortest_arc_quaternion,
    unit,
)
from motionrt.runtime.body.skeleton import skeleton_asset
from motionrt.runtime.errors import InputError

NUM_FEATURES = 263
NUM_JOINTS = 22
FPS = 20.0
CHAINS = (
    (0, 2, 5, 8, 11),
    (0, 1, 4, 7, 10),
    (0, 3, 6, 9, 12, 15),
    (9, 14, 17, 19, 21),
    (9, 13, 16, 18, 20),
)
"""Joints in the order in which rotations accumulate; each chain starts from the root's rotation."""
CONTACT_JOINTS = (7, 10, 8, 11)
CONTACT_SPEED = 0.002
"""Squared metres a frame below which a foot stands."""
_LEFT_HIP, _RIGHT_HIP, _LEFT_SHOULDER, _RIGHT_SHOULDER = 1, 2, 16, 17
_LEG = (5, 8)
_SMOOTHING_SIGMA = 20
_PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19])


@dataclass(frozen=True)
class Placement:
    """What ``canonical_joints`` took away: where a motion stood, and how large it was."""

    scale: float
    """Size of the reference skeleton's legs, as a share of the motion's."""
    offset: NDArray[np.float32]
    """(3,) the first root position along x and z, and the floor; after scaling."""
    turn_rad: float
    """About y, after which the first frame faces +z."""

    def restore(self, joints: ArrayLike) -> Floats:
        """Turn and shift positions (..., 3) back; they keep the reference size."""
        positions = np.asarray(joints)
        back: Floats = positions @ rotation_about_y(-self.turn_rad).T + self.offset
        return back.astype(np.float32)


@lru_cache
def bone_directions() -> NDArray[np.float32]:
    """Return the (22, 3) unit directions that the rotations in the features start from."""
    table = np.asarray(skeleton_asset("humanml22")["bone_directions"], np.float32)
    table.flags.writeable = False
    return table


@lru_cache
def reference_offsets() -> NDArray[np.float32]:
    """Return the (22, 3) bones of the skeleton that all of the data set is retargeted to."""
    lengths = np.asarray(skeleton_asset("humanml22")["bone_lengths"], np.float32)
    table = bone_directions() * lengths[:, None]
    table.flags.writeable = False
    return table


def root_of_features(features: ArrayLike) -> tuple[Floats, Floats]:
    """Return the heading quaternions (..., T, 4) and root positions (..., T, 3) of features."""
    values = _features(features)
    before = np.zeros_like(values[..., :3])
    before[..., 1:, :] = values[..., :-1, :3]
    half = np.cumsum(before[..., 0], axis=-1)
    quaternions = quaternion_about_y(2 * half)
    steps = np.zeros((*half.shape, 3), values.dtype)
    steps[..., 0], steps[..., 2] = before[..., 1], before[..., 2]
    positions = np.cumsum(rotate_vectors(inverse_quaternions(quaternions), steps), axis=-2)
    positions[..., 1] = values[..., 3]
    return quaternions, positions


def features_to_joints(features: ArrayLike) -> Floats:
    """Return the joint positions (..., T, 22, 3) of features (..., T, 263) in their units."""
    values = _features(features)
    quaternions, root = root_of_features(values)
    local = values[..., 4:67].reshape(*values.shape[:-1], 21, 3)
    joints = rotate_vectors(inverse_quaternions(quaternions)[..., None, :], local)
    joints[..., 0] += root[..., None, 0]
    joints[..., 2] += root[..., None, 2]
    return np.concatenate((root[..., None, :], joints), axis=-2)


def rotations_of_features(features: ArrayLike) -> Floats:
    """Return the rotations (..., T, 22, 6): the heading, then the bones' as the features hold them.

    They are relative along ``CHAINS`` and turn the bone that ends in a joint, not those that start
    there; ``rotations_to_joints`` poses them.
    """
    values = _features(features)
    quaternions, _ = root_of_features(values)
    heading = quaternion_to_matrix(quaternions)
    first = np.concatenate((heading[..., :, 0], heading[..., :, 1]), axis=-1)[..., None, :]
    bones = values[..., 67:193].reshape(*values.shape[:-1], 21, 6)
    return np.concatenate((first, bones), axis=-2)


def rotations_to_joints(features: ArrayLike, offsets: ArrayLike) -> Floats:
    """Return the joint positions (..., T, 22, 3) by the features' rotations.

    offsets (22, 3) are the bones along ``bone_directions``. The rotations are generated less
    exactly than the positions that ``features_to_joints`` takes.
    """
    local = rot6d_to_matrix(rotations_of_features(features))
    bones = np.asarray(offsets, local.dtype)
    _, root = root_of_features(features)
    joints = np.empty((*local.shape[:-3], NUM_JOINTS, 3), local.dtype)
    joints[..., 0, :] = root
    for chain in CHAINS:
        rotation = local[..., 0, :, :]
        for parent, child in itertools.pairwise(chain):
            rotation = rotation @ local[..., child, :, :]
            joints[..., child, :] = joints[..., parent, :] + rotation @ bones[child]
    return joints


def joints_to_features(
    joints: ArrayLike, offsets: ArrayLike | None = None
) -> tuple[NDArray[np.float32], Placement]:
    """Describe joint positions (T, 22, 3) by features (T - 1, 263), as the data set was made.

    The motion is given the bone lengths of offsets (22, 3), by default the data set's, put on the
    floor, moved to the origin and turned to face +z. InputError with fewer than two frames, or
    where a bone has no length.
    """
    canonical, placement = canonical_joints(joints, offsets)
    if len(canonical) < 2:
        raise InputError("a motion needs two frames or more")
    positions = canonical.astype(np.float64)
    heading = _headings(positions)
    following = heading[1:]
    turn = multiply_quaternions(following, inverse_quaternions(heading[:-1]))
    root_step = rotate_vectors(following, positions[1:, 0] - positions[:-1, 0])
    local = positions - positions[:, :1] * np.array([1.0, 0.0, 1.0])
    local = rotate_vectors(heading[:, None], local)
    steps = rotate_vectors(heading[:-1, None], positions[1:] - positions[:-1])
    feet = positions[:, CONTACT_JOINTS]
    contacts = ((feet[1:] - feet[:-1]) ** 2).sum(-1) < CONTACT_SPEED
    frames = len(positions) - 1
    features = np.concatenate(
        (
            np.arcsin(np.clip(turn[:, 2:3], -1, 1)),
            root_step[:, [0, 2]],
            positions[:-1, 0, 1:2],
            local[:-1, 1:].reshape(frames, -1),
            _bone_rotations(positions, heading)[:-1].reshape(frames, -1),
            steps.reshape(frames, -1),
            contacts,
        ),
        axis=-1,
    )
    return features.astype(np.float32), placement


def canonical_joints(
    joints: ArrayLike, offsets: ArrayLike | None = None
) -> tuple[Floats, Placement]:
    """Retarget, ground, centre and turn joints (T, 22, 3), as ``joints_to_features`` does first."""
    positions: Floats = np.asarray(joints, np.float64)
    if positions.ndim != 3 or positions.shape[1:] != (NUM_JOINTS, 3) or not len(positions):
        raise InputError(f"joints are {positions.shape}, should be (frames, {NUM_JOINTS}, 3)")
    if not np.isfinite(positions).all():
        raise InputError("joints: not all numbers are finite")
    reference = np.asarray(reference_offsets() if offsets is None else offsets, np.float64)
    lengths = np.linalg.norm(reference, axis=-1)
    bones = positions[:, 1:] - positions[:, _PARENTS[1:]]
    own = np.linalg.norm(bones, axis=-1)
    if not (own > 1e-8).all():
        frame, joint = np.argwhere(own <= 1e-8)[0]
        raise InputError(f"joints: in frame {frame}, joint {joint + 1} lies on its parent")
    scale = lengths[list(_LEG)].sum() / own[0, np.array(_LEG) - 1].sum()
    directions = bones / own[..., None]
    result = np.empty_like(positions)
    result[:, 0] = positions[:, 0] * scale
    for joint in range(1, NUM_JOINTS):
        bone = directions[:, joint - 1] * lengths[joint]
        result[:, joint] = result[:, _PARENTS[joint]] + bone
    offset = np.array([result[0, 0, 0], result[..., 1].min(), result[0, 0, 2]])
    result -= offset
    turn = -heading_of_joints(result[0])
    placement = Placement(float(scale), offset.astype(np.float32), turn)
    return result @ rotation_about_y(turn).T, placement


def heading_of_joints(joints: ArrayLike) -> float:
    """Return where one frame of joints (22, 3) faces, by hips and shoulders: radians about y."""
    return float(heading_across(_across(np.asarray(joints, np.float64)[None], -1.0)[0]))


def _across(positions: Floats, hip_sign: float) -> Floats:
    """Return unit vectors (T, 3) from left to right, or what the data set's makers took for it."""
    hips = positions[:, _LEFT_HIP] - positions[:, _RIGHT_HIP]
    shoulders = positions[:, _RIGHT_SHOULDER] - positions[:, _LEFT_SHOULDER]
    return unit(hip_sign * hips + shoulders)


def _headings(positions: Floats) -> Floats:
    """Return the smoothed quaternions (T, 4) that turn the body's front to +z.

    The hips enter with the sign opposite to the shoulders': so the data set was made.
    """
    forward = np.cross([0.0, 1.0, 0.0], _across(positions, 1.0))
    radius = 4 * _SMOOTHING_SIGMA
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SMOOTHING_SIGMA) ** 2)
    padded = np.pad(forward, ((radius, radius), (0, 0)), mode="edge")
    smooth = np.stack(
        [np.convolve(padded[:, i], kernel / kernel.sum(), mode="valid") for i in range(3)], axis=-1
    )
    quaternions = shortest_arc_quaternion(smooth, np.array([0.0, 0.0, 1.0]))
    quaternions[0] = [1.0, 0.0, 0.0, 0.0]
    return quaternions


def _bone_rotations(positions: Floats, heading: Floats) -> Floats:
    """Return the 6D rotations (T, 21, 6) of all bones, relative along the chains."""
    root = quaternion_to_matrix(heading)
    result = np.empty((len(positions), NUM_JOINTS, 6))
    for chain in CHAINS:
        before = root
        for parent, child in itertools.pairwise(chain):
            bone = positions[:, child] - positions[:, parent]
            world = shortest_arc(bone_directions()[child].astype(float), bone)
            local = np.swapaxes(before, -1, -2) @ world
            result[:, child] = np.concatenate((local[..., 0], local[..., 1]), axis=-1)
            before = world
    return result[:, 1:]


def _features(features: ArrayLike) -> Floats:
    values = np.asarray(features)
    if values.ndim < 2 or values.shape[-1] != NUM_FEATURES or values.shape[-2] < 1:
        raise InputError(f"features are {values.shape}, should be (..., frames, {NUM_FEATURES})")
    return values if values.dtype.kind == "f" else values.astype(np.float32)
