"""Kimodo's denoiser: a root stage, then a body stage that is told where the root goes.

Architecture only. A motion is a row of features a frame, normalised (``MotionStats``): the root
(x, y, z, cos heading, sin heading), then joint positions, 6D rotations, velocities and four foot
contacts. Source: docs of the Kimodo release, sections "motion representation" and "denoiser".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionrt.models.layers import (
    EncoderLayer,
    Normalizer,
    TimestepEmbedding,
    local_root_rates,
    sinusoid,
    sinusoid_frequencies,
)

ROOT_WIDTH = 5
"""Features of the global root: x, y, z (metres), cos and sin of the heading."""
LOCAL_ROOT_WIDTH = 4
"""Features of the local root: yaw rate (rad/s), x and z velocity (m/s), height (m)."""
_IS_LED = (1.0, 0.0, 1.0, 0.0, 0.0)
"""Which features of the global root are its path."""
_NO_FRAME = 1e4
"""A number beyond every frame's, and within half precision."""


@dataclass(frozen=True)
class KimodoConfig:
    """The sizes and switches that a checkpoint's config states."""

    num_joints: int
    fps: float
    text_width: int
    num_text_tokens: int
    """Text rows after zero-padding; the padding is attended to unless ``use_text_mask``."""
    latent_dim: int
    ff_size: int
    num_layers: int
    num_heads: int
    activation: str = "gelu"
    norm_first: bool = False
    use_text_mask: bool = False
    input_first_heading_angle: bool = True
    keep_held_root: bool = False
    """Whether the predicted root gives way to the observed one where that is held, and its path is
    led through held places. The released checkpoints predict all anew; a small model does so by
    decimetres beside."""

    @property
    def num_features(self) -> int:
        """Features of one frame: 12 a joint, root and contacts."""
        return 12 * self.num_joints + 9


@dataclass(frozen=True)
class MotionStats:
    """Mean and standard deviation of the features, float32.

    global_root is (5,), local_root (4,), body (num_features - 5,), each as (mean, std).
    """

    global_root: tuple[Tensor, Tensor]
    local_root: tuple[Tensor, Tensor]
    body: tuple[Tensor, Tensor]

    @staticmethod
    def identity(config: KimodoConfig) -> MotionStats:
        """Return statistics that leave features (nearly) as they are: for random weights."""
        widths = (ROOT_WIDTH, LOCAL_ROOT_WIDTH, config.num_features - ROOT_WIDTH)
        root, local, body = ((torch.zeros(n), torch.ones(n)) for n in widths)
        return MotionStats(root, local, body)


class Stage(nn.Module):
    """One transformer over [text, timestep, heading, motion] tokens; predicts per motion token."""

    frequencies: Tensor

    def __init__(self, config: KimodoConfig, in_width: int, out_width: int, dropout: float) -> None:
        """Make a stage from in_width features a frame to out_width."""
        super().__init__()
        width = config.latent_dim
        self.config = config
        self.input_linear = nn.Linear(in_width, width)
        self.output_linear = nn.Linear(width, out_width)
        self.embed_text = nn.Linear(config.text_width, width)
        self.embed_timestep = TimestepEmbedding(width)
        # Released checkpoints carry this map whether or not the heading token is used.
        self.linear_first_heading_angle = nn.Linear(2, width)
        self.seqTransEncoder = nn.Module()
        self.seqTransEncoder.layers = nn.ModuleList(
            EncoderLayer(
                width,
                config.num_heads,
                config.ff_size,
                config.activation,
                config.norm_first,
                dropout,
            )
            for _ in range(config.num_layers)
        )
        self.register_buffer("frequencies", sinusoid_frequencies(width), persistent=False)

    def forward(
        self,
        motion: Tensor,
        frame_mask: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        timesteps: Tensor,
        first_heading_rad: Tensor,
    ) -> Tensor:
        """Predict (B, T, out_width) from motion (B, T, in_width); the rest as in ``Kimodo``."""
        tokens, attention_bias = self.embed(
            motion, frame_mask, text_features, text_mask, timesteps, first_heading_rad
        )
        for layer in self.seqTransEncoder.layers:  # type: ignore[union-attr]
            tokens = layer(tokens, attention_bias)
        num_frames = motion.shape[1]
        predicted: Tensor = self.output_linear(tokens[:, -num_frames:])
        return predicted

    def embed(
        self,
        motion: Tensor,
        frame_mask: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        timesteps: Tensor,
        first_heading_rad: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the token sequence (B, S, latent_dim) with positions, and its attention bias."""
        batch = motion.shape[0]
        num_padding = self.config.num_text_tokens - text_features.shape[1]
        # A padding row is zero, so its embedding is the bias: no product is spent on it.
        padding = self.embed_text.bias.expand(batch, num_padding, -1)
        time = self.embed_timestep(sinusoid(timesteps.unsqueeze(-1), self.frequencies))
        tokens = [self.embed_text(text_features), padding, time]
        if self.config.input_first_heading_angle:
            heading = torch.stack((first_heading_rad.cos(), first_heading_rad.sin()), dim=-1)
            tokens.append(self.linear_first_heading_angle(heading).unsqueeze(1))
        num_conditions = len(tokens) - 2
        tokens.append(self.input_linear(motion))
        sequence = torch.cat(tokens, dim=1)
        positions = torch.arange(sequence.shape[1], device=sequence.device)

        if not self.config.use_text_mask:
            text_mask = torch.ones_like(text_mask)
        # Put together, not padded: onnxruntime has long had no CUDA kernel of this opset's Pad.
        attends_padding = not self.config.use_text_mask
        rest = torch.full((batch, num_padding), attends_padding, device=sequence.device)
        conditions = torch.ones(batch, num_conditions, dtype=torch.bool, device=sequence.device)
        attended = torch.cat((text_mask, rest, conditions, frame_mask), dim=1)
        attention_bias = torch.zeros_like(attended, dtype=sequence.dtype)
        attention_bias = attention_bias.masked_fill(~attended, -torch.inf)[:, None, None]
        return sequence + sinusoid(positions, self.frequencies), attention_bias


class Kimodo(nn.Module):
    """The two-stage denoiser: predicts the clean motion from a noisy one.

    Parameter names are those of the released checkpoints (``root_model.…``, ``body_model.…``).
    """

    def __init__(self, config: KimodoConfig, stats: MotionStats, dropout: float = 0.0) -> None:
        """Make a denoiser with fresh weights; dropout is for training."""
        super().__init__()
        self.config = config
        width = config.num_features
        body_width = width - ROOT_WIDTH
        self.root_model = Stage(config, 2 * width, ROOT_WIDTH, dropout)
        self.body_model = Stage(config, LOCAL_ROOT_WIDTH + body_width + width, body_width, dropout)
        self.global_root = Normalizer(*stats.global_root)
        self.local_root = Normalizer(*stats.local_root)
        self.body = Normalizer(*stats.body)

    def forward(
        self,
        x: Tensor,
        frame_mask: Tensor,
        text_features: Tensor,
        text_mask: Tensor,
        timesteps: Tensor,
        first_heading_rad: Tensor,
        motion_mask: Tensor,
        observed_motion: Tensor,
    ) -> Tensor:
        """Predict the clean normalised motion (B, T, D).

        Args:
            x: noisy normalised motion (B, T, D).
            frame_mask: (B, T) bool, True for a frame of the sample, False for padding.
            text_features: (B, L, text_width), L at most ``num_text_tokens``.
            text_mask: (B, L) bool, True for a text token; read only with ``use_text_mask``.
            timesteps: (B,) int64, steps of the base schedule.
            first_heading_rad: (B,) heading of the first frame.
            motion_mask: (B, T, D), 1 where ``observed_motion`` replaces x at the input, else 0.
            observed_motion: (B, T, D) normalised.
        """
        conditions = (text_features, text_mask, timesteps, first_heading_rad)
        x = x * (1 - motion_mask) + observed_motion * motion_mask
        root = self.root_model(torch.cat((x, motion_mask), dim=-1), frame_mask, *conditions)
        if self.config.keep_held_root:
            root = with_held_root(root, x[..., :ROOT_WIDTH], motion_mask[..., :ROOT_WIDTH])
        local_root = self.to_local_root(root, frame_mask)
        body_input = torch.cat((local_root, x[..., ROOT_WIDTH:], motion_mask), dim=-1)
        body = self.body_model(body_input, frame_mask, *conditions)
        return torch.cat((root, body), dim=-1)

    def to_local_root(self, root: Tensor, frame_mask: Tensor) -> Tensor:
        """Turn the normalised global root (B, T, 5) into the normalised local root (B, T, 4).

        Rates are forward differences; the last frame of each sample repeats the one before.
        """
        unnormalized = self.global_root.unnormalize(root)
        local = local_root_rates(unnormalized, frame_mask.sum(dim=1, keepdim=True), self.config.fps)
        return self.local_root.normalize(local)


def with_held_root(root: Tensor, observed: Tensor, held: Tensor) -> Tensor:
    """Put what is held into a root (B, T, 5), and lead its path through the held places.

    observed and held are (B, T, 5), held is 1 or 0. x and z of the frames between held ones move
    by what these are off, interpolated; before the first and after the last by what that is off.
    A path that was replaced at held frames alone would leap there, and the body stage, which is
    told its speed, would break.
    """
    off = (observed - root).transpose(1, 2).unsqueeze(-1)
    moved = (_between(held.transpose(1, 2)) @ off).squeeze(-1).transpose(1, 2)
    root = root + moved * moved.new_tensor(_IS_LED)
    return root * (1 - held) + observed * held


def _between(held: Tensor) -> Tensor:
    """Interpolate between held frames: held (..., T) to weights (..., T, T) of these.

    A frame beyond the outermost held one takes that alone; rows are zero where nothing is held.
    """
    frames = torch.arange(held.shape[-1], device=held.device, dtype=held.dtype)
    column = frames.unsqueeze(-1)
    anchors = held.unsqueeze(-2) > 0
    behind = torch.where(anchors & (frames <= column), frames, -1.0).amax(-1, keepdim=True)
    ahead = torch.where(anchors & (frames >= column), frames, _NO_FRAME).amin(-1, keepdim=True)
    before = torch.where(behind < 0, ahead, behind)
    after = torch.where(ahead == _NO_FRAME, behind, ahead)
    share = (column - before) / (after - before).clamp(min=1)
    first, second = (frames == before).to(held.dtype), (frames == after).to(held.dtype)
    return first * (1 - share) + second * share
