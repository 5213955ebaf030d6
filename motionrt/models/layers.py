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
