"""Constraints as ARDY takes them: an observed motion with a mask, targets for the clean-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.ardy.network import Conditions
from motionrt.runtime.body.motion_correction import CorrectionTargets
from motionrt.runtime.body.rotation import matrix_to_rot6d
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.upright_features import columns_of
from motionrt.runtime.constraints.kinds import (
    Constraint,
    Observation,
    Root2D,
    check_frames,
    observe_pose,
)
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
ROOT_GROUP = "Hips"
_GENERIC = "end-effector"


def conditions_of(
    constraints: Sequence[Sequence[Constraint]], features: ArdyFeatures, num_frames: int
) -> Conditions | None:
    """Turn the constraints of each clip into what is known of it, normalised; None for nothing.

    InputError for a frame beyond num_frames.
    """
    if not any(constraints):
        return None
    pairs = [conditioning(each, features, num_frames) for each in constraints]
    observed, mask = (np.stack(parts) for parts in zip(*pairs, strict=True))
    known = mask.astype(np.float32)
    return Conditions(features.normalize(observed) * known, known)


def conditioning(
    constraints: Sequence[Constraint], features: ArdyFeatures, num_frames: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Turn constraints into observed motion, not normalised, and its mask, both (T, D).

    True in the mask is a feature that is given. Where constraints overlap, the last one counts.
    InputError for a frame beyond the clip, and for an end effector held without the hips.
    """
    check_frames(constraints, num_frames)
    skeleton = features.skeleton
    observations = [_observe(item, skeleton) for item in constraints]
    observed = np.zeros((num_frames, features.width), np.float32)
    mask = np.zeros((num_frames, features.width), bool)
    slices = features.slices
    root, heading = slices[features.root_block].start, slices["global_root_heading"]

    def write(frames: NDArray[np.int64], columns: NDArray[np.int64], values: Floats) -> None:
        # One row at a time: a frame that is listed twice takes its last value.
        for frame, row in zip(frames, values.reshape(len(frames), -1), strict=True):
            observed[frame, columns] = row
            mask[frame, columns] = True

    for item in observations:
        if item.smooth_root_2d is not None:
            write(item.frame_indices, np.array([root, root + 2]), item.smooth_root_2d)
    for item in observations:
        if item.heading is not None:
            write(item.frame_indices, np.arange(heading.start, heading.stop), item.heading)
    for item in observations:
        if item.root_height is not None:
            write(item.frame_indices, np.array([root + 1]), item.root_height)
    for item in observations:
        if item.global_rot_mats is not None:
            columns = columns_of(slices["global_rot_data"].start, item.rotation_joints, 6)
            rotations = matrix_to_rot6d(item.global_rot_mats).astype(np.float32, copy=False)
            write(item.frame_indices, columns, rotations)
    _write_positions(observations, features, write)
    return observed, mask


def _write_positions(
    observations: Sequence[Observation], features: ArdyFeatures, write: object
) -> None:
    """Write joints relative to the root of the last pose that is given at their frame."""
    assert callable(write)
    posed = [item for item in observations if item.posed_joints is not None]
    roots: dict[int, Floats] = {}
    for item in posed:
        assert item.posed_joints is not None
        place = item.position_joints.index(0)
        for frame, joints in zip(item.frame_indices.tolist(), item.posed_joints, strict=True):
            roots[frame] = joints[place]
    start = features.slices["local_joints_positions"].start
    for item in posed:
        assert item.posed_joints is not None
        own = [index for index, joint in enumerate(item.position_joints) if joint]
        if not own:
            continue
        positions = item.posed_joints[:, own].copy()
        under = np.stack([roots[frame] for frame in item.frame_indices.tolist()])
        positions[..., 0::2] -= under[:, None, 0::2]
        columns = columns_of(start, [item.position_joints[index] - 1 for index in own], 3)
        write(item.frame_indices, columns, positions)


def groups_of(constraint: Constraint) -> tuple[str, ...] | None:
    """Return the groups that a pose constraint holds, the hips among them; None for all joints."""
    groups = None if isinstance(constraint, Root2D) else constraint.groups
    if groups is None or constraint.type == _GENERIC:
        return groups
    return (*groups, ROOT_GROUP)


def check_groups(constraints: Sequence[Constraint]) -> None:
    """Raise InputError for an end effector that is held without the hips."""
    for constraint in constraints:
        groups = groups_of(constraint)
        if groups is not None and ROOT_GROUP not in groups:
            raise InputError(
                f"{constraint.type} constraint: joint_names must have {ROOT_GROUP} among them; "
                "ARDY places hands and feet by where the hips are"
            )


def _observe(constraint: Constraint, skeleton: Skeleton) -> Observation:
    if isinstance(constraint, Root2D):
        return constraint.observe(skeleton)
    check_groups([constraint])
    groups = groups_of(constraint)
    positions, rotations = skeleton.forward_kinematics(
        constraint.local_rot_mats(skeleton), constraint.root_positions
    )
    return observe_pose(
        constraint.frame_indices,
        skeleton,
        positions.astype(np.float32, copy=False),
        constraint.ground_positions(),
        rotations.astype(np.float32, copy=False),
        groups,
    )


def correction_targets(
    constraints: Sequence[Constraint], skeleton: Skeleton, num_frames: int
) -> CorrectionTargets:
    """Turn constraints into targets for motion correction; whole bodies count before others.

    Frames beyond the clip are left away. A generic end-effector constraint moves targets but holds
    nothing.
    """
    targets = CorrectionTargets.empty(num_frames, skeleton.num_joints)
    for item in sorted(constraints, key=lambda item: item.type == "fullbody"):
        inside = item.frame_indices < num_frames
        frames = item.frame_indices[inside]
        if isinstance(item, Root2D):
            targets.root_positions[frames, ::2] = item.smooth_root_2d[inside][:, :: _last(item)]
        else:
            targets.root_positions[frames] = item.root_positions[inside]
            if item.type == _GENERIC and ROOT_GROUP not in (item.groups or ()):
                targets.root_positions[frames, ::2] = item.ground_positions()[inside]
            targets.local_rot_mats[frames] = item.local_rot_mats(skeleton)[inside]
        if item.mask is not None:
            targets.masks[item.mask][frames] = True
    return targets


def _last(item: Root2D) -> int:
    """Return the stride that takes x and z of two or three columns."""
    return int(item.smooth_root_2d.shape[1]) - 1
