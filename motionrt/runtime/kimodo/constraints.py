"""Constraints as Kimodo takes them: an observed motion with a mask, targets for the clean-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion_correction import CorrectionTargets
from motionrt.runtime.body.rotation import matrix_to_rot6d
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.upright_features import columns_of
from motionrt.runtime.constraints.kinds import (
    Constraint,
    Observation,
    Root2D,
    check_frames,
    ground,
)
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import DEFAULT_COMPAT, Compat
from motionrt.runtime.kimodo.features import MotionFeatures

Floats = NDArray[np.float32]


def conditioning(
    constraints: Sequence[Constraint],
    features: MotionFeatures,
    num_frames: int,
    compat: Compat = DEFAULT_COMPAT,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn constraints into observed motion, not normalised, and its mask, both (T, D).

    True in the mask is a feature that is given. Where constraints overlap, the last one counts.
    InputError for a frame beyond the clip.
    """
    check_frames(constraints, num_frames)
    observations = [
        item.observe(features.skeleton, compat.root_takes_height) for item in constraints
    ]
    return fill(observations, features, num_frames)


def fill(
    observations: Sequence[Observation], features: MotionFeatures, num_frames: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Write observations into features, unnormalised, and a mask, both (T, D); the last counts."""
    observed = np.zeros((num_frames, features.width), np.float32)
    mask = np.zeros((num_frames, features.width), bool)
    slices = features.slices
    root, heading = slices["smooth_root_pos"].start, slices["global_root_heading"]

    def write(frames: NDArray[np.int64], columns: NDArray[np.int64], values: Floats) -> None:
        # One row at a time: a frame that is listed twice takes its last value.
        for frame, row in zip(frames, values.reshape(len(frames), -1), strict=True):
            observed[frame, columns] = row
            mask[frame, columns] = True

    for item in observations:
        if item.smooth_root_2d is not None:
            write(item.frame_indices, np.array([root, root + 2]), item.smooth_root_2d)
    for item in observations:
        if item.root_height is not None:
            write(item.frame_indices, np.array([root + 1]), item.root_height)
    for item in observations:
        if item.heading is not None:
            write(item.frame_indices, np.arange(heading.start, heading.stop), item.heading)
    for item in observations:
        if item.global_rot_mats is not None:
            columns = columns_of(slices["global_rot_data"].start, item.rotation_joints, 6)
            rotations = matrix_to_rot6d(item.global_rot_mats).astype(np.float32, copy=False)
            write(item.frame_indices, columns, rotations)
    for item in observations:
        if item.posed_joints is not None:
            if not mask[item.frame_indices, root].all():
                raise InputError("joint positions need the smoothed root of the same frame")
            columns = columns_of(slices["local_joints_positions"].start, item.position_joints, 3)
            positions = item.posed_joints.copy()
            positions[..., 0] -= observed[item.frame_indices, root, None]
            positions[..., 2] -= observed[item.frame_indices, root + 2, None]
            write(item.frame_indices, columns, positions)
    return observed, mask


def correction_targets(
    constraints: Sequence[Constraint],
    skeleton: Skeleton,
    num_frames: int,
    compat: Compat = DEFAULT_COMPAT,
) -> CorrectionTargets:
    """Turn constraints into targets for motion correction; the last constraint of a frame counts.

    An end-effector constraint moves targets but holds nothing, as upstream.
    """
    check_frames(constraints, num_frames)
    targets = CorrectionTargets.empty(num_frames, skeleton.num_joints)
    ordered = list(constraints)
    if compat.exact_full_bodies:
        ordered.sort(key=lambda item: item.type == "fullbody")
    for constraint in ordered:
        frames = constraint.frame_indices
        if isinstance(constraint, Root2D):
            targets.root_positions[frames, ::2] = ground(
                constraint.smooth_root_2d, compat.root_takes_height
            )
        else:
            targets.root_positions[frames] = constraint.root_positions
            if not (compat.exact_full_bodies and constraint.type == "fullbody"):
                targets.root_positions[frames, ::2] = constraint.ground_positions(
                    compat.root_takes_height
                )
            targets.local_rot_mats[frames] = constraint.local_rot_mats(skeleton)
        if constraint.mask is not None:
            targets.masks[constraint.mask][frames] = True
    return targets
