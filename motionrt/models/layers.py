"""Layers that more than one model is built from.

Module and parameter names follow the checkpoints they are loaded from.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}
"""Feed-forward activations by their name in a config; ``gelu`` is the exact erf form."""

VARIANCE_FLOOR = 1e-5
"""Added to every variance before the square root, as in training."""


ARCTANGENT = (
    0.9999999999293016,
    -0.3333333129085777,
    0.1999990110129012,
    -0.14283813245671934,
    0.11091922902426976,
    -0.08974171736743607,
    0.07228277842402048,
    -0.05395667328411947,
    0.03382621230472675,
    -0.015828319131590735,
    0.004732483163631211,
    -0.0006633953501780828,
)
"""atan(t) / t as a polynomial in t^2 on [0, 1], lowest power first: the Chebyshev interpolant of 12
terms."""


def sinusoid_frequencies(width: int) -> Tensor:
    """Return the (width / 2,) float32 angular frequencies of a sinusoidal embedding.

    Source: Vaswani 2017, arXiv:1706.03762, section 3.5.
    """
    return torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))


def sinusoid(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Embed integer positions (...,) as (..., 2 * len(frequencies)): sine, cosine, interleaved.

    Computed instead of looked up, so that no graph carries a table and no length is a limit.
    """
    angles = positions.float().unsqueeze(-1) * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


class SelfAttention(nn.Module):
    """Multi-head self-attention with packed query, key and value maps.

    Parameters carry the names of ``torch.nn.MultiheadAttention``; written out because that module
    takes a fused path in eval mode which an exporter sees as one opaque operator.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        """Make an attention over width features; ValueError if num_heads does not divide it."""
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is no multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, attention_bias: Tensor | None) -> Tensor:
        """Attend from every row of x (B, S, width) to the keys that the bias allows.

        attention_bias is added to the scores: (B, 1, 1, S), 0 where a key may be attended to and
        -inf where not; None attends to all.
        """
        batch, length, width = x.shape
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part.view(batch, length, self.num_heads, width // self.num_heads).transpose(1, 2)
            for part in packed.chunk(3, dim=-1)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_bias)
        merged: Tensor = self.out_proj(attended.transpose(1, 2).reshape(batch, length, width))
        return merged


class EncoderLayer(nn.Module):
    """A transformer encoder layer, post-norm or pre-norm, with torch's parameter names."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        feedforward_width: int,
        activation: str = "gelu",
        norm_first: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """Make a layer; activation is a key of ``ACTIVATIONS``, dropout for training."""
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads)
        self.linear1 = nn.Linear(width, feedforward_width)
        self.linear2 = nn.Linear(feedforward_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.activation = ACTIVATIONS[activation]
        self.norm_first = norm_first

    def forward(self, x: Tensor, attention_bias: Tensor | None) -> Tensor:
        """Map (B, S, width) to the same shape; attention_bias as in ``SelfAttention``."""
        if self.norm_first:
            x = x + self.dropout(self.self_attn(self.norm1(x), attention_bias))
            return x + self._feedforward(self.norm2(x))
        x = self.norm1(x + self.dropout(self.self_attn(x, attention_bias)))
        normed: Tensor = self.norm2(x + self._feedforward(x))
        return normed

    def _feedforward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))
        return out


class Normalizer(nn.Module):
    """Standardise features with statistics that are no parameters."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """Take the (D,) mean and standard deviation."""
        super().__init__()
        self.register_buffer("mean", mean.float(), persistent=False)
        scale = torch.sqrt(std.float() ** 2 + VARIANCE_FLOOR)
        self.register_buffer("scale", scale, persistent=False)

    def normalize(self, x: Tensor) -> Tensor:
        """Map features (..., D) in their units to zero mean and unit variance."""
        return (x - self.mean) / self.scale

    def unnormalize(self, x: Tensor) -> Tensor:
        """Undo ``normalize``."""
        return x * self.scale + self.mean


class TimestepEmbedding(nn.Module):
    """A diffusion timestep as one token: its sinusoid through two linear maps."""

    def __init__(self, width: int) -> None:
        """Make an embedding of the given token width."""
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, sinusoid_of_timestep: Tensor) -> Tensor:
        """Map (B, 1, width) to the same shape."""
        embedded: Tensor = self.time_embed(sinusoid_of_timestep)
        return embedded


def local_root_rates(root: Tensor, lengths: Tensor, fps: float) -> Tensor:
    """Turn a root (B, T, 5) into what it does from frame to frame, (B, T, 4).

    root is x, y, z in metres and the heading's cosine and sine, of any length. The result is the
    yaw rate (rad/s), x and z velocity (m/s) and the height (m): forward differences, of which the
    last frame of each sample, by lengths (B, 1), repeats the one before.
    """
    position, heading = root[..., :3], root[..., 3:]
    turn = turn_angle(heading[:, :-1], heading[:, 1:])
    shift = position[:, 1:] - position[:, :-1]
    rates = fps * torch.stack((turn, shift[..., 0], shift[..., 2]), dim=-1)
    # Put together, not padded: onnxruntime has long had no CUDA kernel of this opset's Pad.
    still = torch.zeros_like(root[:, :1, :3])
    before = torch.cat((still, rates), dim=1)
    rates = torch.cat((rates, still), dim=1)
    is_last = torch.arange(root.shape[1], device=root.device) == lengths - 1
    rates = torch.where(is_last.unsqueeze(-1), before, rates)
    return torch.cat((rates, position[..., 1:2]), dim=-1)


def turn_angle(heading: Tensor, following: Tensor) -> Tensor:
    """Return the angle (rad, -pi to pi) from one heading to the following one.

    Both are (..., 2), cosine and sine times any length; 0 where one has none. Of products, a root
    and powers alone: an arctangent has no CUDA kernel in onnxruntime, and one such node keeps a
    whole step from being recorded. tan(a/2) = sin a / (1 + cos a), on the half where it is at most
    1, and there a polynomial (``ARCTANGENT``): in float64 it is off by 7e-11, in float32 no more
    than the arctangent of a quotient that is rounded.
    """
    cos, sin = heading[..., 0], heading[..., 1]
    cos_next, sin_next = following[..., 0], following[..., 1]
    across = sin_next * cos - cos_next * sin
    along = cos_next * cos + sin_next * sin
    # Above 0: a division follows, and at 0 the root's slope is endless, for who trains.
    squared = (across * across + along * along).clamp(min=torch.finfo(across.dtype).tiny)
    tangent = across / (torch.sqrt(squared) + along.abs())
    powers = (tangent * tangent).unsqueeze(-1) ** across.new_tensor(range(len(ARCTANGENT)))
    angle = 2 * tangent * (powers * powers.new_tensor(ARCTANGENT)).sum(-1)
    half = across.new_tensor(math.pi)
    back = torch.where(across < 0, -half, half)
    return torch.where(along < 0, back - angle, angle)
