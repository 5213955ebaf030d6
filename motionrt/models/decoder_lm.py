"""Llama and Qwen3: token ids to hidden states, as text encoders and as what predicts tokens.

One module serves both: they differ in sizes, in Qwen3's normalised queries and keys, and in what a
token may attend to. Parameter names are those of Hugging Face checkpoints, without their leading
``model.``. Sources: Touvron 2023, arXiv:2302.13971; Qwen team 2025, arXiv:2505.09388; rotary
embedding: Su 2021, arXiv:2104.09864.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3.1's stretching of the rotary wavelengths for long contexts."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_positions: int


@dataclass(frozen=True)
class DecoderConfig:
    """The sizes and switches that a checkpoint's config.json states."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    """Normalise each head's queries and keys before they are rotated (Qwen3)."""
    causal: bool = True
    """A token attends to itself and those before it; otherwise to every real token."""
    output_layer: int = -1
    """Which hidden state is the output, counted as a list that starts with the embeddings.

    -1, the last, has passed the final norm; all others are as they leave their layer.
    """

    @property
    def num_run_layers(self) -> int:
        """Layers that must run to reach the output; ValueError if output_layer does not exist."""
        index = self.output_layer
        if index < 0:
            index += self.num_layers + 1
        if not 0 <= index <= self.num_layers:
            raise ValueError(
                f"output_layer {self.output_layer}: the model has {self.num_layers} layers"
            )
        return index


class RMSNorm(nn.Module):
    """Scale the last axis to a root mean square of 1. Source: Zhang 2019, arXiv:1910.07467."""

    def __init__(self, width: int, eps: float) -> None:
        """Make a norm over width features; eps is added to the mean square."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weight


class Cache(Protocol):
    """Keys and values of the tokens before, of one layer."""

    def write(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put new ones (B, heads, S, head_dim) in; return all, of the same heads."""


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: DecoderConfig) -> None:
        """Make the four maps, and the two norms if the config asks for them."""
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        self.head_dim = config.head_dim
        width, bias = config.hidden_size, config.attention_bias
        self.q_proj = nn.Linear(width, config.num_heads * config.head_dim, bias=bias)
        self.k_proj = nn.Linear(width, config.num_kv_heads * config.head_dim, bias=bias)
        self.v_proj = nn.Linear(width, config.num_kv_heads * config.head_dim, bias=bias)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, width, bias=bias)
        if config.qk_norm:
            self.q_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps)
            self.k_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        attention_bias: Tensor,
        cache: Cache | None = None,
    ) -> Tensor:
        """Attend within x (B, S, width), and to what the cache holds.

        cos and sin are (S, head_dim), or (B, 1, S, head_dim) of rows at positions of their own; the
        bias is (B, 1, S, K) for K keys, without a cache S.
        """
        batch, length, _ = x.shape
        query = self._heads(self.q_norm, self.q_proj(x), self.num_heads)
        key = self._heads(self.k_norm, self.k_proj(x), self.num_kv_heads)
        value = self.v_proj(x).view(batch, length, self.num_kv_heads, -1).transpose(1, 2)
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        if cache is not None:
            key, value = cache.write(key, value)
        # Queries of one group share a key and value head: the group is an axis of its own.
        groups = self.num_heads // self.num_kv_heads
        query = query.reshape(batch, self.num_kv_heads, groups, length, self.head_dim)
        scores = query @ key.unsqueeze(2).transpose(-1, -2) / math.sqrt(self.head_dim)
        weights = torch.softmax(scores + attention_bias.unsqueeze(1), dim=-1)
        attended = weights @ value.unsqueeze(2)
        attended = attended.reshape(batch, self.num_heads, length, self.head_dim).transpose(1, 2)
        mixed: Tensor = self.o_proj(attended.reshape(batch, length, self.num_heads * self.head_dim))
        return mixed

    def _heads(self, norm: nn.Module, x: Tensor, num_heads: int) -> Tensor:
        batch, length, _ = x.shape
        heads: Tensor = norm(x.view(batch, length, num_heads, self.head_dim))
        return heads.transpose(1, 2)


class FeedForward(nn.Module):
    """The gated feed-forward of Llama, with SiLU. Source: Shazeer 2020, arXiv:2002.05202."""

    def __init__(self, config: DecoderConfig) -> None:
        """Make the three maps."""
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj = nn.Linear(width, inner, bias=bias)
        self.up_proj = nn.Linear(width, inner, bias=bias)
        self.down_proj = nn.Linear(inner, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input."""

    def __init__(self, config: DecoderConfig) -> None:
        """Make a layer."""
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        attention_bias: Tensor,
        cache: Cache | None = None,
    ) -> Tensor:
        """Map (B, S, width) to the same shape; the other arguments as in ``Attention``."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, attention_bias, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class DecoderLM(nn.Module):
    """Token ids to hidden states, without a head.

    Positions count from the first column, padding included: rotary positions are relative, so
    padding on either side changes nothing but rounding.
    """

    frequencies: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        """Make the layers that the wanted output needs."""
        super().__init__()
        self.config = config
        num_run = config.num_run_layers
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(num_run))
        self.norm: nn.Module = (
            RMSNorm(config.hidden_size, config.rms_norm_eps)
            if num_run == config.num_layers
            else nn.Identity()
        )
        self.register_buffer("frequencies", rotary_frequencies(config), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode ids (B, S) as (B, S, hidden_size); the mask (B, S) is 1 where a token is real."""
        length = input_ids.shape[1]
        x = self.embed_tokens(input_ids).to(self.frequencies.dtype)
        positions = torch.arange(length, device=input_ids.device)
        angles = positions.unsqueeze(-1).to(self.frequencies.dtype) * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos(), angles.sin()
        allowed = (attention_mask > 0)[:, None, None, :]
        if self.config.causal:
            allowed = allowed & (positions.unsqueeze(0) <= positions.unsqueeze(1))
        # The lowest finite value, not -inf: a padded row may attend to nothing real, and -inf
        # everywhere would make it NaN.
        bias = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
        for layer in self.layers:
            x = layer(x, cos, sin, bias)
        out: Tensor = self.norm(x)
        return out


def rotary_frequencies(config: DecoderConfig) -> Tensor:
    """Return the (head_dim / 2,) float32 angular frequencies, on the CPU whatever the context."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.int64, device="cpu").float()
    frequencies = 1.0 / (config.rope_theta ** (exponents / config.head_dim))
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    wavelengths = 2 * math.pi / frequencies
    longest = scaling.original_max_positions / scaling.low_freq_factor
    shortest = scaling.original_max_positions / scaling.high_freq_factor
    smooth = (scaling.original_max_positions / wavelengths - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    blended = (1 - smooth) * frequencies / scaling.factor + smooth * frequencies
    stretched = torch.where(wavelengths > longest, frequencies / scaling.factor, blended)
    return torch.where(wavelengths < shortest, frequencies, stretched)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of x (B, H, S, head_dim) by their angles."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
