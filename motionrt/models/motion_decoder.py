"""Kimodo's features back into a motion: rotations, joint positions, contacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionrt.models.kimodo import MotionStats
from motionrt.models.layers import Normalizer

CONTACT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Expansion:
    """A larger skeleton that the decoder fills in around the model's joints."""

    parents: Sequence[int]
    offsets: Tensor
    """(E, 3) metres, relative to the parent."""
    base_rotations: Tensor
    """(E, 3, 3) local rotations of the joints that the model does not have."""
    model_joints: Sequence[int]
    """Where each of the model's joints stands among the E."""


class MotionDecoder(nn.Module):
    """Features of a motion to the arrays that describe it.

    Written without loops over joints: positions are one product with the matrix that says which
    bones lie on the way from the root to each joint.
    """

    base_rotations: Tensor
    order: Tensor

    def __init__(
        self,
        parents: Sequence[int],
        offsets: Tensor,
        stats: MotionStats,
        expansion: Expansion | None = None,
    ) -> None:
        """Take the (J,) parents (-1 for joint 0), (J, 3) offsets in metres and the statistics."""
        super().__init__()
        self.num_joints = len(parents)
        self.mean_std = Normalizer(
            torch.cat((stats.global_root[0], stats.body[0])),
            torch.cat((stats.global_root[1], stats.body[1])),
        )
        self.pose = ForwardKinematics(parents, offsets)
        self.expansion = expansion
        if expansion is not None:
            self.expanded_pose = ForwardKinematics(expansion.parents, expansion.offsets)
            # One gather puts the model's rotations and the fixed ones into the larger order.
            order = torch.arange(len(expansion.parents)) + self.num_joints
            order[list(expansion.model_joints)] = torch.arange(self.num_joints)
            self.register_buffer("order", order, persistent=False)
            self.register_buffer("base_rotations", expansion.base_rotations, persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Decode normalised features (B, T, 12 J + 9).

        Returns local_rot_mats (B, T, J, 3, 3), global_rot_mats, posed_joints (B, T, J, 3),
        root_positions (B, T, 3), smooth_root_pos (B, T, 3), foot_contacts (B, T, 4) bool and
        global_root_heading (B, T, 2). With an expansion the first three are those of the larger
        skeleton, and the model's own three follow at the end.
        """
        joints = self.num_joints
        batch, frames, _ = features.shape
        features = self.mean_std.unnormalize(features)
        smooth_root, heading, positions, rotations, _, contacts = torch.split(
            features, [3, 2, 3 * joints, 6 * joints, 3 * joints, 4], dim=-1
        )
        global_rotations = rot6d_to_matrix(rotations.view(batch, frames, joints, 6))
        shift = torch.cat(
            (smooth_root[..., :1], torch.zeros_like(smooth_root[..., :1]), smooth_root[..., 2:]), -1
        )
        root = positions[..., :3] + shift
        local_rotations = self.pose.to_local(global_rotations)
        posed = self.pose.positions(global_rotations, root)
        rest = (root, smooth_root, contacts > CONTACT_THRESHOLD, heading)
        native = (local_rotations, global_rotations, posed)
        if self.expansion is None:
            return (*native, *rest)
        fixed = self.base_rotations.expand(batch, frames, -1, -1, -1)
        expanded_local = torch.cat((local_rotations, fixed), dim=2)[:, :, self.order]
        expanded_global = self.expanded_pose.to_global(expanded_local)
        expanded_posed = self.expanded_pose.positions(expanded_global, root)
        return (expanded_local, expanded_global, expanded_posed, *rest, *native)


class ForwardKinematics(nn.Module):
    """A fixed skeleton: rotations between local and world, and joint positions."""

    offsets: Tensor
    paths: Tensor
    parents: Tensor

    def __init__(self, parents: Sequence[int], offsets: Tensor) -> None:
        """Take the (J,) parents, -1 for joint 0 and rising, and the (J, 3) offsets."""
        super().__init__()
        paths = torch.zeros(len(parents), len(parents))
        depths = [0] * len(parents)
        for joint, parent in enumerate(parents):
            if parent >= 0:
                paths[joint] = paths[parent]
                paths[joint, joint] = 1
                depths[joint] = depths[parent] + 1
        by_depth = sorted(range(len(parents)), key=lambda joint: depths[joint])
        self.levels = [
            [joint for joint in by_depth if depths[joint] == depth]
            for depth in range(max(depths) + 1)
        ]
        position_in_order = {joint: place for place, joint in enumerate(by_depth)}
        self.back = [position_in_order[joint] for joint in range(len(parents))]
        self.joint_parents = list(parents)
        self.register_buffer("parents", torch.tensor(parents).clamp_min(0), persistent=False)
        self.register_buffer("paths", paths, persistent=False)
        self.register_buffer("offsets", offsets.float(), persistent=False)

    def positions(self, global_rotations: Tensor, root: Tensor) -> Tensor:
        """Pose the joints (B, T, J, 3) of world rotations (B, T, J, 3, 3), root at (B, T, 3)."""
        bones = global_rotations[:, :, self.parents] @ self.offsets.unsqueeze(-1)
        return root.unsqueeze(2) + self.paths @ bones.squeeze(-1)

    def to_local(self, global_rotations: Tensor) -> Tensor:
        """Make world rotations (B, T, J, 3, 3) relative to the parent; the root's stays."""
        parents = global_rotations[:, :, self.parents[1:]]
        local = parents.transpose(-1, -2) @ global_rotations[:, :, 1:]
        return torch.cat((global_rotations[:, :, :1], local), dim=2)

    def to_global(self, local_rotations: Tensor) -> Tensor:
        """Accumulate local rotations (B, T, J, 3, 3) from the root outwards, a level at a time."""
        done = [local_rotations[:, :, self.levels[0]]]
        for above, level in zip(self.levels, self.levels[1:], strict=False):
            parents = [above.index(self.joint_parents[joint]) for joint in level]
            done.append(done[-1][:, :, parents] @ local_rotations[:, :, level])
        return torch.cat(done, dim=2)[:, :, self.back]


def rot6d_to_matrix(rot6d: Tensor) -> Tensor:
    """Turn 6D rotations (..., 6) into matrices (..., 3, 3).

    x is the first column normalised, z the normalised product of the two, y = z x x; no epsilon.
    Source: Zhou 2019, arXiv:1812.07035, with the third axis found first.
    """
    first, second = rot6d[..., :3], rot6d[..., 3:]
    x = first / first.norm(dim=-1, keepdim=True)
    z = torch.linalg.cross(x, second)
    z = z / z.norm(dim=-1, keepdim=True)
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=-1)
