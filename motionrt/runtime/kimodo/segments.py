"""Motions of several prompts: segments generated one after another, each from the last one's end.

A segment after the first begins with frames of the motion so far, held as full-body constraints,
and is blended in over them. Continuing an existing clip is the same with the clip as first segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.kinds import (
    Constraint,
    FullBody,
    LeftFoot,
    LeftHand,
    RightFoot,
    RightHand,
    crop_constraints,
)
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import DEFAULT_COMPAT, Compat
from motionrt.runtime.kimodo.constraints import conditioning
from motionrt.runtime.kimodo.features import MotionFeatures

NUM_TRANSITION_FRAMES = 5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SegmentRequest:
    """What one segment is sampled from; T counts its transition frames."""

    index: int
    num_frames: int
    """T."""
    first_heading_rad: Floats
    """(B,)."""
    observed_motion: Floats
    """(B, T, D), normalised."""
    motion_mask: NDArray[np.bool_]
    """(B, T, D)."""


SegmentSampler = Callable[[SegmentRequest], Floats]
"""Gives the normalised features (B, T, D) of a segment."""
SegmentCorrector = Callable[[Floats, Sequence[Constraint]], Floats]
"""Cleans up one sample's features (T, D), not normalised, with the constraints on them."""


def transition_frames(
    num_previous: int, num_transition_frames: int, compat: Compat = DEFAULT_COMPAT
) -> int:
    """Count the frames that a segment repeats of a motion of num_previous frames before it."""
    return num_transition_frames + int(num_previous * compat.replayed_part)


def segment_lengths(
    num_frames: Sequence[int],
    num_transition_frames: int = NUM_TRANSITION_FRAMES,
    compat: Compat = DEFAULT_COMPAT,
    num_previous: int = 0,
) -> list[int]:
    """Count the frames that each segment is sampled with, transitions included.

    num_previous is the length of the clip that is continued. InputError if a segment is too short
    to lead over to the next one.
    """
    if num_transition_frames < 1:
        raise InputError(f"{num_transition_frames} transition frames: must be 1 or more")
    lengths = []
    before = num_previous
    for index, frames in enumerate(num_frames):
        if frames < 1:
            raise InputError(f"segment {index}: {frames} frames, must be 1 or more")
        extra = 0
        if before:
            extra = transition_frames(before, num_transition_frames, compat)
            if extra > before:
                raise InputError(
                    f"segment {index}: its transition takes {extra} frames of the {before} before "
                    "it; lengthen that segment or use fewer transition frames"
                )
        lengths.append(frames + extra)
        before = frames
    return lengths


def generate_segments(
    sample: SegmentSampler,
    features: MotionFeatures,
    num_frames: Sequence[int],
    num_samples: int = 1,
    *,
    constraints: Sequence[Sequence[Constraint]] | None = None,
    first_heading_rad: float | NDArray[np.floating] = 0.0,
    num_transition_frames: int = NUM_TRANSITION_FRAMES,
    compat: Compat = DEFAULT_COMPAT,
    previous: Floats | None = None,
    correct: SegmentCorrector | None = None,
) -> Floats:
    """Generate one motion of several segments: features (B, sum of num_frames, D), unnormalised.

    Args:
        sample: called once a segment.
        features: the model's, with statistics.
        num_frames: of each segment, transitions not counted.
        num_samples: B.
        constraints: of each sample; frames count from the first frame of the result.
        first_heading_rad: of the first segment, (B,) or of all; not used with previous.
        num_transition_frames: that are held and blended over.
        compat: which revision's transitions.
        previous: features (T0, D), unnormalised, of a clip to continue. The result then begins with
            it and has T0 frames more.
        correct: cleans up every segment; None leaves them as they are.
    """
    num_previous = 0 if previous is None else len(previous)
    lengths = segment_lengths(num_frames, num_transition_frames, compat, num_previous)
    so_far = np.empty((num_samples, 0, features.width), np.float32)
    if previous is not None:
        so_far = np.broadcast_to(previous, (num_samples, *previous.shape)).astype(np.float32)
    heading = np.broadcast_to(np.asarray(first_heading_rad, np.float32), (num_samples,))
    of_samples: Sequence[Sequence[Constraint]] = constraints or [()] * num_samples
    start = num_previous
    for index, (own, length) in enumerate(zip(num_frames, lengths, strict=True)):
        extra = length - own
        cropped = {  # samples may share their constraints
            id(of_sample): crop_constraints(of_sample, start, start + own)
            for of_sample in of_samples
        }
        rows = [cropped[id(of_sample)] for of_sample in of_samples]
        tail = so_far[:, so_far.shape[1] - extra :]
        origin = np.zeros((num_samples, 2), np.float32)
        if extra:
            arrays = features.decode(tail)
            rows = [
                _transition(arrays, row, num_transition_frames, compat)
                + [_shifted(constraint, extra) for constraint in held]
                for row, held in enumerate(rows)
            ]
            origin = tail[:, 0, 0:3:2]
            heading = hip_heading(arrays["posed_joints"][:, 0], features.skeleton)
        pairs = [conditioning(row, features, length, compat) for row in rows]
        observed, mask = (np.stack(parts) for parts in zip(*pairs, strict=True))
        observed = features.translate_2d(observed, -origin) * mask
        request = SegmentRequest(index, length, heading, features.normalize(observed), mask)
        new = features.translate_2d(features.unnormalize(sample(request)), origin)
        if correct is not None:
            new = np.stack([correct(clip, row) for clip, row in zip(new, rows, strict=True)])
        if extra:
            weights = np.linspace(1, 0, num_transition_frames, dtype=np.float32)[:, None]
            blended = slice(0, num_transition_frames)
            new[:, blended] = weights * tail[:, blended] + (1 - weights) * new[:, blended]
        so_far = np.concatenate([so_far[:, : so_far.shape[1] - extra], new], axis=1)
        start += own
    return so_far


def encode_previous(motion: Motion, features: MotionFeatures) -> Floats:
    """Turn a clip into features (T, D), unnormalised, to be continued.

    A smoothed root and contacts that the clip brings along are kept. InputError if its skeleton or
    frame rate is not the model's.
    """
    if motion.skeleton.reduces_to == features.skeleton.name:
        motion = motion.reduced()
    if not motion.skeleton.same_joints(features.skeleton):
        raise InputError(
            f"the clip has skeleton {motion.skeleton.name}, the model {features.skeleton.name}; "
            "only a clip of the same skeleton can be continued"
        )
    if abs(motion.fps - features.fps) > 1e-3:
        raise InputError(
            f"the clip has {motion.fps:g} fps, the model {features.fps:g}; resample it first "
            "(motionrt convert --fps)"
        )
    if motion.num_frames < 5:
        raise InputError(f"the clip has {motion.num_frames} frames, to continue it takes 5")
    result = features.encode(motion.local_rot_mats, motion.root_positions)
    if motion.smooth_root_pos is not None:
        positions = result[:, features.slices["local_joints_positions"]]
        positions = positions.reshape(motion.num_frames, -1, 3)  # a view
        moved = result[:, :3] - motion.smooth_root_pos
        positions[..., 0] += moved[:, None, 0]
        positions[..., 2] += moved[:, None, 2]
        result[:, 0:3:2] = motion.smooth_root_pos[:, ::2]
    if motion.foot_contacts is not None:
        contacts = without_toe_ends(motion.foot_contacts)
        if contacts.shape[1] == 4:
            result[:, features.slices["foot_contacts"]] = contacts
    return result


def with_toe_ends(contacts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Turn contacts (T, 4) into (T, 6): after each toe its end, which stands when the toe does."""
    return contacts[:, [0, 1, 1, 2, 3, 3]] if contacts.shape[1] == 4 else contacts


def without_toe_ends(contacts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Undo `with_toe_ends`; four contacts stay as they are."""
    return contacts[:, [0, 1, 3, 4]] if contacts.shape[1] == 6 else contacts


def _transition(
    arrays: dict[str, NDArray[np.generic]], row: int, count: int, compat: Compat
) -> list[Constraint]:
    """Hold the first frames of a decoded tail (of one sample) as they are."""
    rotations = np.asarray(arrays["local_rot_mats"][row, :count], np.float32)
    root = np.asarray(arrays["root_positions"][row, :count], np.float32)
    smooth = np.asarray(arrays["smooth_root_pos"][row, :count, ::2], np.float32)
    kinds = (FullBody, LeftHand, RightHand, LeftFoot, RightFoot)
    return [
        kind(np.arange(count), rotations, root, smooth)
        for kind in (kinds if compat.transition_limbs else kinds[:1])
    ]


def _shifted(constraint: Constraint, by: int) -> Constraint:
    return replace(constraint, frame_indices=constraint.frame_indices + by)
