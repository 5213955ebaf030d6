"""BERT as a text encoder, such as MiniLM: token ids to hidden states.

Parameter names are those of Hugging Face checkpoints, without a leading ``bert.``.
Source: Devlin 2018, arXiv:1810.04805.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class BertConfig:
    """The sizes that a checkpoint's config.json states; the activation is the exact GELU."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    max_positions: int
    type_vocab_size: int
    layer_norm_eps: float


class BertEmbeddings(nn.Module):
    """Sum of what a token is, where it stands and (always the first) which sentence it is of."""

    def __init__(self, config: BertConfig) -> None:
        """Make the three tables and their norm."""
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_positions, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Map ids (B, S) to (B, S, width)."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        places = self.position_embeddings(positions) + self.token_type_embeddings.weight[0]
        out: Tensor = self.LayerNorm(self.word_embeddings(input_ids) + places)
        return out


class BertSelfAttention(nn.Module):
    """Multi-head attention over all real tokens."""

    def __init__(self, config: BertConfig) -> None:
        """Make the three maps."""
        super().__init__()
        self.num_heads = config.num_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, attention_bias: Tensor) -> Tensor:
        """Attend within x (B, S, width); the bias (B, 1, 1, S) is added to the scores."""
        batch, length, width = x.shape
        head_dim = width // self.num_heads
        query, key, value = (
            part(x).view(batch, length, self.num_heads, head_dim).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(head_dim)
        attended: Tensor = torch.softmax(scores + attention_bias, dim=-1) @ value
        return attended.transpose(1, 2).reshape(batch, length, width)


class BertOutput(nn.Module):
    """A map whose result is added to what went in, then a norm."""

    def __init__(self, in_width: int, width: int, eps: float) -> None:
        """Make the map from in_width to width."""
        super().__init__()
        self.dense = nn.Linear(in_width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Map (..., in_width) to (..., width)."""
        out: Tensor = self.LayerNorm(self.dense(x) + residual)
        return out


class BertAttention(nn.Module):
    """Self-attention with its output map."""

    def __init__(self, config: BertConfig) -> None:
        """Make both; ``self`` is the checkpoint's own name for the first."""
        super().__init__()
        width = config.hidden_size
        self.self = BertSelfAttention(config)
        self.output = BertOutput(width, width, config.layer_norm_eps)

    def forward(self, x: Tensor, attention_bias: Tensor) -> Tensor:
        """Map (B, S, width) to the same shape."""
        out: Tensor = self.output(self.self(x, attention_bias), x)
        return out


class BertIntermediate(nn.Module):
    """The widening half of the feed-forward."""

    def __init__(self, config: BertConfig) -> None:
        """Make the map."""
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., intermediate)."""
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    """Attention and feed-forward, each followed by a norm."""

    def __init__(self, config: BertConfig) -> None:
        """Make a layer."""
        super().__init__()
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(
            config.intermediate_size, config.hidden_size, config.layer_norm_eps
        )

    def forward(self, x: Tensor, attention_bias: Tensor) -> Tensor:
        """Map (B, S, width) to the same shape."""
        x = self.attention(x, attention_bias)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class BertStack(nn.Module):
    """The layers, under the checkpoint's name for them."""

    def __init__(self, config: BertConfig) -> None:
        """Make num_layers layers."""
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_layers))


class Bert(nn.Module):
    """Token ids to hidden states. Positions count from the first column: pad rows at their end."""

    def __init__(self, config: BertConfig) -> None:
        """Make the model."""
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertStack(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode ids (B, S) as (B, S, hidden_size); the mask (B, S) is 1 where a token is real."""
        allowed = (attention_mask > 0)[:, None, None, :]
        bias = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
        x: Tensor = self.embeddings(input_ids)
        for layer in self.encoder.layer:
            x = layer(x, bias)
        return x
