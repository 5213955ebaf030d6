"""Batches cut on the device: crops, first headings, words and random constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.dataset import ACTION_WEIGHTS, Dataset
from motionrt.train.default.held import CONSTRAINT_KINDS, constraint_columns, held_frames


@dataclass(frozen=True)
class BatchConfig:
    """How batches are drawn."""

    batch_size: int = 32
    constraint_share: float = 0.3
    """Samples that carry a random constraint."""
    text_dropout: float = 0.1
    """Samples without a constraint whose words are left out."""
    constrained_text_dropout: float = 0.5
    """Samples with a constraint whose words are left out: guidance asks for each alone."""
    turned_share: float = 0.2
    """Samples that start with a random heading; the others face +z."""
    text_noise: float = 0.1
    """Standard deviation of noise on the text vector, whose own entries are about 1."""
    bucket_shares: tuple[float, ...] = (0.1, 0.22, 0.28, 0.28, 0.12)
    """How often each window length of the data set is drawn."""


@dataclass(frozen=True)
class Batch:
    """One training batch; motion is not normalised."""

    motion: Tensor
    """(B, T, D)."""
    frame_mask: Tensor
    """(B, T) bool, True for a frame of the sample."""
    text: Tensor
    """(B, 1, text_width)."""
    first_heading_rad: Tensor
    """(B,)."""
    motion_mask: Tensor
    """(B, T, D), 1 where a constraint holds the feature."""


class BatchSource:
    """Draws batches from a data set that lies on the device."""

    def __init__(
        self,
        dataset: Dataset,
        text_vectors: np.ndarray,
        skeleton: Skeleton,
        config: BatchConfig,
        device: torch.device,
    ) -> None:
        """Take the data set and one text vector for each of its texts, (len(texts), width)."""
        self.config = config
        self.device = device
        self.layout = MotionFeatures(skeleton, dataset.config.fps)
        self.features = torch.from_numpy(dataset.features).to(device)
        self.starts = torch.from_numpy(dataset.starts).to(device)
        self.lengths = torch.from_numpy(dataset.lengths).to(device)
        self.captions = torch.from_numpy(dataset.captions).to(device)
        self.text_vectors = torch.from_numpy(text_vectors).to(device)
        self.columns = constraint_columns(self.layout).to(device)
        kinds = torch.tensor([share for _, share in CONSTRAINT_KINDS], device=device)
        self.kind_shares = kinds / kinds.sum()
        self.buckets = [
            (length, torch.from_numpy(rows).to(device), torch.from_numpy(weights).to(device))
            for length, rows, weights in _buckets(dataset)
        ]
        shares = torch.tensor(config.bucket_shares[: len(self.buckets)], device=device)
        self.bucket_shares = shares / shares.sum()

    def draw(self, generator: torch.Generator, num_samples: int | None = None) -> Batch:
        """Draw one batch; every random number comes from the generator."""
        config, count = self.config, num_samples or self.config.batch_size
        bucket = int(torch.multinomial(self.bucket_shares, 1, generator=generator))
        length, rows, weights = self.buckets[bucket]
        rows = rows[torch.multinomial(weights, count, replacement=True, generator=generator)]
        lengths = self.lengths[rows]
        frames = torch.arange(length, device=self.device)
        # A shorter window repeats its last frame; the mask leaves these out.
        index = self.starts[rows, None] + torch.minimum(frames, lengths[:, None] - 1)
        frame_mask = frames < lengths[:, None]
        uniform = self._uniform(generator, 4, count)
        heading = torch.where(uniform[0] < config.turned_share, (2 * uniform[1] - 1) * math.pi, 0.0)
        motion = place(self.features[index], heading, self.layout)

        constrained = uniform[2] < config.constraint_share
        dropout = torch.where(constrained, config.constrained_text_dropout, config.text_dropout)
        choice = torch.randint(
            self.captions.shape[1], (count,), generator=generator, device=self.device
        )
        text = self.text_vectors[self.captions[rows, choice]]
        noise = torch.randn(text.shape, generator=generator, device=self.device)
        text = (text + config.text_noise * noise) * (uniform[3] >= dropout).unsqueeze(-1)
        frames_held = held_frames(generator, frame_mask) & constrained[:, None]
        kind = torch.multinomial(self.kind_shares, count, replacement=True, generator=generator)
        motion_mask = frames_held.unsqueeze(-1) * self.columns[kind].unsqueeze(1)
        return Batch(motion, frame_mask, text.unsqueeze(1), heading, motion_mask)

    def _uniform(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)


def place(motion: Tensor, heading_rad: Tensor, layout: MotionFeatures) -> Tensor:
    """Turn and move motions (B, T, D) so that frame 0 has the heading (B,) over the origin."""
    slices = layout.slices
    first_cos, first_sin = motion[:, 0, 3], motion[:, 0, 4]
    angle = heading_rad - torch.atan2(first_sin, first_cos)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]

    def turned(vectors: Tensor) -> Tensor:
        shape = vectors.shape
        x, y, z = vectors.reshape(*shape[:2], -1, 3).unbind(-1)
        return torch.stack((cos * x + sin * z, y, cos * z - sin * x), dim=-1).reshape(shape)

    origin = motion[:, :1, :3] * motion.new_tensor([1.0, 0.0, 1.0])
    heading_cos, heading_sin = motion[..., 3:4], motion[..., 4:5]
    # Positions, 6D rotations (two columns each) and velocities are all vectors, side by side.
    vectors = slice(slices["local_joints_positions"].start, slices["velocities"].stop)
    return torch.cat(
        (
            turned(motion[..., :3] - origin),
            heading_cos * cos - heading_sin * sin,
            heading_sin * cos + heading_cos * sin,
            turned(motion[..., vectors]),
            motion[..., slices["foot_contacts"]],
        ),
        dim=-1,
    )


def _buckets(dataset: Dataset) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Group windows by padded length; in each group actions have their shares."""
    result = []
    actions = np.array(dataset.actions)
    lower = 0
    for length in sorted(dataset.config.window_frames):
        rows = np.flatnonzero((dataset.lengths > lower) & (dataset.lengths <= length))
        lower = length
        if len(rows) == 0:
            continue
        weights = dataset.weights[rows].astype(np.float64)
        for action in np.unique(actions[rows]):
            of_action = actions[rows] == action
            scarce = min(1.0, float(of_action.sum()) / 16)
            weights[of_action] *= ACTION_WEIGHTS[action] * scarce / weights[of_action].sum()
        result.append((length, rows, (weights / weights.sum()).astype(np.float32)))
    return result
