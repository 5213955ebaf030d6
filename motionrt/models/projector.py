"""Projectors: from one text encoder's embedding space to the one a motion model was trained on.

Four kinds, by the state dict they are stored as:

- ``linear``: ``weight``, ``bias``;
- ``mlp``: ``proj.0.*``, exact GELU, ``proj.2.*``;
- ``attention``: learned ``query`` rows over the tokens, ``attn.*`` packed as torch does, ``out.*``;
- ``kernel``: an RBF kernel ridge regression, two matrix products with an exponential between.

An empty prompt must never pass through one: it has the zero vector, and its image is no zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("linear", "mlp", "attention", "kernel")


@dataclass(frozen=True)
class ProjectorConfig:
    """Sizes of a projector; those that its kind does not have are 0."""

    kind: str
    in_dim: int
    out_dim: int
    hidden_dim: int = 0
    """mlp: width between its two maps."""
    num_queries: int = 0
    """attention: rows of its output."""
    num_heads: int = 0
    """attention: heads."""
    num_centres: int = 0
    """kernel: pairs it was fitted on."""

    @property
    def num_parameters(self) -> int:
        """Numbers in the state dict."""
        i, o, h, q, n = (
            self.in_dim,
            self.out_dim,
            self.hidden_dim,
            self.num_queries,
            self.num_centres,
        )
        return {
            "linear": i * o + o,
            "mlp": i * h + h + h * o + o,
            "attention": q * i + 4 * (i * i + i) + i * o + o,
            "kernel": n * i + 2 * i + 1 + n * o + o,
        }[self.kind]


class LinearProjector(nn.Linear):
    """An affine map of the last axis."""

    def __init__(self, config: ProjectorConfig) -> None:
        """Make the map from in_dim to out_dim."""
        super().__init__(config.in_dim, config.out_dim)
        self.config = config


class MLPProjector(nn.Module):
    """Two affine maps with the exact (erf) GELU between them."""

    def __init__(self, config: ProjectorConfig) -> None:
        """Make the maps in_dim → hidden_dim → out_dim."""
        super().__init__()
        self.config = config
        self.proj = nn.Sequential(
            nn.Linear(config.in_dim, config.hidden_dim),
            nn.GELU(),
            nn.Linear(config.hidden_dim, config.out_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_dim) to (..., out_dim)."""
        out: Tensor = self.proj(x)
        return out


class QueryAttention(nn.Module):
    """Multi-head attention of given queries over tokens, parameters named as torch names them."""

    def __init__(self, width: int, num_heads: int) -> None:
        """Make an attention; ValueError if num_heads does not divide width."""
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"width {width} is no multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, tokens: Tensor, key_mask: Tensor | None) -> Tensor:
        """Attend from query (B, Q, W) to tokens (B, S, W); key_mask (B, S) is 1 where allowed."""
        batch, num_queries, width = query.shape
        head_dim = width // self.num_heads
        maps = zip(
            (query, tokens, tokens),
            self.in_proj_weight.chunk(3),
            self.in_proj_bias.chunk(3),
            strict=True,
        )
        q, k, v = (
            F.linear(x, weight, bias).view(batch, -1, self.num_heads, head_dim).transpose(1, 2)
            for x, weight, bias in maps
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(head_dim)
        if key_mask is not None:
            lowest = torch.finfo(torch.float32).min
            scores = scores + torch.where((key_mask > 0)[:, None, None, :], 0.0, lowest)
        attended = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2)
        out: Tensor = self.out_proj(attended.reshape(batch, num_queries, width))
        return out


class AttentionProjector(nn.Module):
    """Learned queries gather from the tokens; one affine map follows. No norm, no residual."""

    def __init__(self, config: ProjectorConfig) -> None:
        """Make num_queries queries of in_dim features."""
        super().__init__()
        self.config = config
        self.query = nn.Parameter(torch.randn(config.num_queries, config.in_dim) * 0.02)
        self.attn = QueryAttention(config.in_dim, config.num_heads)
        self.out = nn.Linear(config.in_dim, config.out_dim)

    def forward(self, tokens: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, S, in_dim) to (B, num_queries, out_dim); masked keys are not seen."""
        query = self.query.expand(tokens.shape[0], -1, -1)
        out: Tensor = self.out(self.attn(query, tokens, key_mask))
        return out


class KernelProjector(nn.Module):
    """RBF kernel ridge: nearness to the pairs it was fitted on weighs what each contributes.

    out = bias + Σᵢ exp(-gamma · |z - centresᵢ|²) weightᵢ with z = x · scale + shift.
    """

    scale: Tensor
    shift: Tensor
    gamma: Tensor

    def __init__(self, config: ProjectorConfig) -> None:
        """Make an empty regression over num_centres pairs."""
        super().__init__()
        self.config = config
        self.centres = nn.Parameter(torch.zeros(config.num_centres, config.in_dim))
        self.weight = nn.Parameter(torch.zeros(config.out_dim, config.num_centres))
        self.bias = nn.Parameter(torch.zeros(config.out_dim))
        self.register_buffer("scale", torch.ones(config.in_dim))
        self.register_buffer("shift", torch.zeros(config.in_dim))
        self.register_buffer("gamma", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_dim) to (..., out_dim)."""
        z = x * self.scale + self.shift
        squared = (
            z.square().sum(-1, keepdim=True)
            - 2 * F.linear(z, self.centres)
            + self.centres.square().sum(-1)
        )
        return F.linear(torch.exp(-self.gamma * squared.clamp(min=0)), self.weight, self.bias)


Projector = LinearProjector | MLPProjector | AttentionProjector | KernelProjector


def make_projector(config: ProjectorConfig) -> Projector:
    """Make the module of a config, with fresh parameters; ValueError for an unknown kind."""
    if config.kind == "linear":
        return LinearProjector(config)
    if config.kind == "mlp":
        return MLPProjector(config)
    if config.kind == "attention":
        return AttentionProjector(config)
    if config.kind == "kernel":
        return KernelProjector(config)
    raise ValueError(f"projector kind {config.kind!r}: none of {', '.join(KINDS)}")
