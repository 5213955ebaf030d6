"""The motion VAE of MLD: one clip of features <-> one latent vector.

Architecture only; parameter names are those of the released checkpoints. Both halves are stacks of
post-norm transformer layers with skip connections from the first half to the second. Source: Chen
2023, "Executing your commands via motion diffusion in latent space", arXiv:2212.04048.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionrt.models.layers import EncoderLayer, SelfAttention

MAX_POSITIONS = 500
"""Rows of the learned position tables: what the decoder can make, and two more than is encoded."""


@dataclass(frozen=True)
class MotionVaeConfig:
    """The sizes that a checkpoint's config states."""

    num_features: int
    """Features of one frame."""
    latent_dim: int
    ff_size: int
    num_layers: int
    """Layers of either half; odd: pairs joined by skips, and one in the middle."""
    num_heads: int


class LearnedPositions(nn.Module):
    """A learned row for each position; stored with an axis of 1 in the middle."""

    def __init__(self, width: int, num_positions: int = MAX_POSITIONS) -> None:
        """Make a table of num_positions rows."""
        super().__init__()
        self.pe = nn.Parameter(torch.empty(num_positions, 1, width))
        nn.init.uniform_(self.pe)

    def forward(self, length: int) -> Tensor:
        """Return the first rows as (length, width)."""
        return self.pe[:length, 0]


class SingleKeyAttention(nn.Module):
    """Cross-attention to one key: the softmax over it is 1, so the value goes to every query.

    Holds the packed maps of ``torch.nn.MultiheadAttention``, of which only the value's is used.
    """

    def __init__(self, width: int) -> None:
        """Make an attention over width features."""
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, memory: Tensor) -> Tensor:
        """Return what every query receives from memory (B, 1, width), in the same shape."""
        width = memory.shape[-1]
        value = F.linear(memory, self.in_proj_weight[2 * width :], self.in_proj_bias[2 * width :])
        attended: Tensor = self.out_proj(value)
        return attended


class DecoderLayer(nn.Module):
    """A post-norm transformer decoder layer whose memory is one row."""

    def __init__(self, width: int, num_heads: int, feedforward_width: int) -> None:
        """Make a layer."""
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads)
        self.multihead_attn = SingleKeyAttention(width)
        self.linear1 = nn.Linear(width, feedforward_width)
        self.linear2 = nn.Linear(feedforward_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, attention_bias: Tensor | None, memory: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape; memory is (B, 1, width)."""
        x = self.norm1(x + self.self_attn(x, attention_bias))
        x = self.norm2(x + self.multihead_attn(memory))
        hidden: Tensor = self.norm3(x + self.linear2(F.gelu(self.linear1(x))))
        return hidden


class SkipStack(nn.Module):
    """An odd number of layers; those of the second half see the outputs of the first half."""

    def __init__(self, layers: list[nn.Module], width: int) -> None:
        """Take the layers in order; ValueError if their number is even."""
        super().__init__()
        if len(layers) % 2 == 0:
            raise ValueError(f"{len(layers)} layers: a skip stack needs an odd number")
        half = len(layers) // 2
        self.input_blocks = nn.ModuleList(layers[:half])
        self.middle_block = layers[half]
        self.output_blocks = nn.ModuleList(layers[half + 1 :])
        self.linear_blocks = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(half))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """Map (B, S, width) to the same shape; conditions go to every layer."""
        skipped = []
        for layer in self.input_blocks:
            x = layer(x, *conditions)
            skipped.append(x)
        x = self.middle_block(x, *conditions)
        for layer, merge in zip(self.output_blocks, self.linear_blocks, strict=True):
            x = layer(merge(torch.cat((x, skipped.pop()), dim=-1)), *conditions)
        normalized: Tensor = self.norm(x)
        return normalized


class MotionVae(nn.Module):
    """Encoder from normalised features to a normal distribution, decoder from a sample of it."""

    def __init__(self, config: MotionVaeConfig) -> None:
        """Make a VAE with fresh weights."""
        super().__init__()
        self.config = config
        width, sizes = config.latent_dim, (config.latent_dim, config.num_heads, config.ff_size)
        self.global_motion_token = nn.Parameter(torch.randn(2, width))
        self.query_pos_encoder = LearnedPositions(width)
        self.query_pos_decoder = LearnedPositions(width)
        self.encoder = SkipStack([EncoderLayer(*sizes) for _ in range(config.num_layers)], width)
        self.decoder = SkipStack([DecoderLayer(*sizes) for _ in range(config.num_layers)], width)
        self.skel_embedding = nn.Linear(config.num_features, width)
        self.final_layer = nn.Linear(width, config.num_features)

    def encode(self, features: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, latent_dim) of the latent of features (B, T, D).

        frame_mask is (B, T) bool, True for a frame of the sample, False for padding.
        """
        motion = self.skel_embedding(features)
        tokens = self.global_motion_token.expand(motion.shape[0], -1, -1)
        sequence = torch.cat((tokens, motion), dim=1)
        attended = torch.cat((torch.ones_like(frame_mask[:, :1]).expand(-1, 2), frame_mask), dim=1)
        positions = self.query_pos_encoder(sequence.shape[1])
        encoded = self.encoder(sequence + positions, key_bias(attended, sequence))
        return encoded[:, 0], encoded[:, 1]

    def decode(self, latents: Tensor, frame_mask: Tensor) -> Tensor:
        """Return the normalised features (B, T, D) of latents (B, latent_dim); padding is 0."""
        positions = self.query_pos_decoder(frame_mask.shape[1])
        queries = positions.expand(latents.shape[0], -1, -1)
        decoded = self.decoder(queries, key_bias(frame_mask, queries), latents.unsqueeze(1))
        features: Tensor = self.final_layer(decoded) * frame_mask.unsqueeze(-1)
        return features


def key_bias(attended: Tensor, like: Tensor) -> Tensor:
    """Turn a mask of keys (B, S), True: may be attended to, into an additive (B, 1, 1, S) bias."""
    bias = torch.zeros_like(attended, dtype=like.dtype)
    return bias.masked_fill(~attended, -torch.inf)[:, None, None]
