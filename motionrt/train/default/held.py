"""Random constraints to train on: which features of which frames are held."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionrt.runtime.kimodo.features import MotionFeatures

CONSTRAINT_KINDS = (
    ("fullbody", 0.3),
    ("root2d", 0.2),
    ("root2d_heading", 0.15),
    ("left_hand", 0.07),
    ("right_hand", 0.07),
    ("left_foot", 0.05),
    ("right_foot", 0.05),
    ("hands", 0.06),
    ("hips", 0.05),
)
"""What a random constraint holds, and how often."""


def constraint_columns(features: MotionFeatures) -> Tensor:
    """List the features that each kind of constraint holds, (kinds, D) float."""
    skeleton, slices = features.skeleton, features.slices
    positions, rotations = slices["local_joints_positions"].start, slices["global_rot_data"].start
    table = torch.zeros(len(CONSTRAINT_KINDS), features.width)
    groups: dict[str, Sequence[str]] = {
        "left_hand": ["LeftHand"],
        "right_hand": ["RightHand"],
        "left_foot": ["LeftFoot"],
        "right_foot": ["RightFoot"],
        "hands": ["LeftHand", "RightHand"],
        "hips": ["Hips"],
    }
    for row, (kind, _) in enumerate(CONSTRAINT_KINDS):
        table[row, [0, 2]] = 1
        if kind != "root2d":
            table[row, 3:5] = 1
        if not kind.startswith("root2d"):
            table[row, 1] = 1
        if kind == "fullbody":
            table[row, slices["local_joints_positions"]] = 1
        for group in groups.get(kind, []):
            joints = skeleton.end_effector_groups[group]
            for joint in joints:
                table[row, positions + 3 * joint : positions + 3 * joint + 3] = 1
            table[row, rotations + 6 * joints[0] : rotations + 6 * joints[0] + 6] = 1
    return table


def held_frames(generator: torch.Generator, frame_mask: Tensor) -> Tensor:
    """Draw which frames a constraint holds: a few, the first ones, the ends, or all."""
    count, length = frame_mask.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=frame_mask.device)

    frames = torch.arange(length, device=frame_mask.device)
    scores = uniform(count, length)
    pattern, share = uniform(2, count)
    some = scores < ((1 + 5 * share) / length)[:, None]
    beginning = frames < (1 + 11 * share)[:, None]
    last = frame_mask.sum(1, keepdim=True) - 1
    ends = (frames == 0) | (frames == last)
    regular = frames % (1 + (15 * share.square()).long())[:, None] == 0  # often every frame
    held = torch.where((pattern < 0.4)[:, None], some, beginning)
    held = torch.where((pattern >= 0.6)[:, None], ends, held)
    held = torch.where((pattern >= 0.7)[:, None], regular, held)
    return held & frame_mask
