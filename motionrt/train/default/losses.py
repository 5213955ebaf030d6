"""Losses on predicted motions: features, and joints after forward kinematics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionrt.models.kimodo import ROOT_WIDTH, Kimodo
from motionrt.runtime.kimodo.features import MotionFeatures


@dataclass(frozen=True)
class LossWeights:
    """What each part counts; a weight pushes training towards its part."""

    root: float = 1.0
    positions: float = 1.0
    rotations: float = 1.0
    velocities: float = 0.6
    contacts: float = 0.3
    local_root: float = 0.3
    """Turning rate and speed of the root, which differences of its path make noisy."""
    joints: float = 10.0
    """Joint positions by forward kinematics, square metres."""
    joint_velocities: float = 0.5
    """Their velocities, (m/s)²."""
    standing_feet: float = 2.0
    """Velocity of feet that should stand, (m/s)²."""
    held: float = 1.0
    """What constraints hold, alone: a keyframe is one frame of many, and hardly counts above."""
    held_joints: float = 1.0
    """Distance of held joints by forward kinematics, metres, at any noise."""


class MotionLoss(nn.Module):
    """Compares predicted with true normalised motions."""

    offsets: Tensor
    parents: Tensor
    feet: Tensor

    def __init__(self, layout: MotionFeatures, weights: LossWeights) -> None:
        """Take the layout of the features and what each part counts."""
        super().__init__()
        self.layout = layout
        self.weights = weights
        skeleton = layout.skeleton
        self.register_buffer("offsets", torch.from_numpy(skeleton.offsets[1:].copy()))
        self.register_buffer("parents", torch.from_numpy(skeleton.parents[1:].copy()))
        self.register_buffer("feet", torch.tensor(skeleton.foot_joints))
        self.tree = skeleton.parents.tolist()

    def forward(
        self,
        model: Kimodo,
        predicted: Tensor,
        target: Tensor,
        frame_mask: Tensor,
        signal: Tensor,
        motion_mask: Tensor,
    ) -> dict[str, Tensor]:
        """Give each part of the loss, unweighted, and the weighted "total".

        predicted and target are (B, T, D) normalised, frame_mask (B, T); signal (B,) is the share
        of signal in the noisy input: what needs sharp predictions counts by it. motion_mask
        (B, T, D) is 1 for what a constraint holds: that is known however noisy the input is.
        """
        slices, mask = self.layout.slices, frame_mask.unsqueeze(-1).to(predicted.dtype)
        squared = (predicted - target).square() * mask
        held = motion_mask * mask
        frames = mask.sum()

        def mean(part: Tensor) -> Tensor:
            return part.sum() / (frames * part.shape[-1])

        parts = {
            "root": mean(squared[..., :5]),
            "positions": mean(squared[..., slices["local_joints_positions"]]),
            "rotations": mean(squared[..., slices["global_rot_data"]]),
            "velocities": mean(squared[..., slices["velocities"]]),
            "contacts": mean(squared[..., slices["foot_contacts"]]),
        }
        # Of the body alone: the model keeps a held root.
        body = held[..., ROOT_WIDTH:]
        parts["held"] = (squared[..., ROOT_WIDTH:] * body).sum() / (body.sum() + 1e-6)
        local = model.to_local_root(predicted[..., :5], frame_mask)
        with torch.no_grad():
            true_local = model.to_local_root(target[..., :5], frame_mask)
        clarity = signal[:, None, None]
        parts["local_root"] = mean((local - true_local).square() * mask * clarity)

        motion = unnormalize(model, predicted)
        with torch.no_grad():
            truth = unnormalize(model, target)
            true_joints = self.joints(truth)
            contacts = truth[..., slices["foot_contacts"]] > 0.5
        joints = self.joints(motion)
        weight = mask * clarity
        parts["joints"] = mean(((joints - true_joints).square().flatten(2)) * weight)
        parts["held_joints"] = _mean_distance(joints - true_joints, self.held_joints(held))
        velocity, true_velocity = (
            _rates(joints, self.layout.fps),
            _rates(true_joints, self.layout.fps),
        )
        pairs = weight[:, 1:] * mask[:, :-1]
        difference = (velocity - true_velocity).square().flatten(2) * pairs
        parts["joint_velocities"] = difference.sum() / (pairs.sum() * difference.shape[-1] + 1e-6)
        feet = velocity[:, :, self.feet].square().sum(-1)
        standing = (contacts[:, 1:] & contacts[:, :-1]) * pairs
        parts["standing_feet"] = (feet * standing).sum() / (standing.sum() + 1e-6)
        total = sum(getattr(self.weights, name) * part for name, part in parts.items())
        return {**parts, "total": torch.as_tensor(total)}

    def held_joints(self, motion_mask: Tensor) -> Tensor:
        """Find which joints are held in place: (B, T, D) to (B, T, J)."""
        slices = self.layout.slices
        path = motion_mask[..., slices["smooth_root_pos"].start]
        positions = motion_mask[..., slices["local_joints_positions"]][..., ::3]
        # Positions are relative to the root on the floor: a place needs its path held as well.
        return positions * path.unsqueeze(-1)

    def joints(self, motion: Tensor) -> Tensor:
        """Pose the skeleton: motion features (B, T, D) in their units to joints (B, T, J, 3)."""
        slices = self.layout.slices
        num_joints = self.layout.skeleton.num_joints
        rot6d = motion[..., slices["global_rot_data"]].reshape(*motion.shape[:2], num_joints, 6)
        rotations = rot6d_to_matrix(rot6d)
        start = slices["local_joints_positions"].start
        x, y, z = motion[..., start : start + 3].unbind(-1)
        steps = torch.einsum("btjik,jk->btji", rotations[:, :, self.parents], self.offsets)
        posed = [torch.stack((x + motion[..., 0], y, z + motion[..., 2]), dim=-1)]
        for joint in range(1, num_joints):
            posed.append(posed[self.tree[joint]] + steps[:, :, joint - 1])
        return torch.stack(posed, dim=2)


def unnormalize(model: Kimodo, motion: Tensor) -> Tensor:
    """Bring normalised motion (B, T, D) back to its units."""
    root = model.global_root.unnormalize(motion[..., :5])
    return torch.cat((root, model.body.unnormalize(motion[..., 5:])), dim=-1)


def normalize(model: Kimodo, motion: Tensor) -> Tensor:
    """Standardise motion (B, T, D)."""
    root = model.global_root.normalize(motion[..., :5])
    return torch.cat((root, model.body.normalize(motion[..., 5:])), dim=-1)


def rot6d_to_matrix(rot6d: Tensor) -> Tensor:
    """Turn (..., 6) into (..., 3, 3) as the runtime does, but safe to differentiate anywhere."""
    x = torch.nn.functional.normalize(rot6d[..., :3], dim=-1, eps=1e-4)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, rot6d[..., 3:]), dim=-1, eps=1e-4)
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=-1)


def _mean_distance(difference: Tensor, weight: Tensor) -> Tensor:
    """Average the lengths of (..., N) where the weight (...) is 1; smooth at zero."""
    distance = (difference.square().sum(-1) + 1e-6).sqrt() - 1e-3
    return (distance * weight).sum() / (weight.sum() + 1e-6)


def _rates(values: Tensor, fps: float) -> Tensor:
    return (values[:, 1:] - values[:, :-1]) * fps
