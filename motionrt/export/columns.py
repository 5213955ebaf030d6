"""Transformer layers for products of few rows on a CPU: tokens lie in columns.

A window of a stream has 28 rows (two branches of 14 tokens). onnxruntime computes ``x @ w`` with w
packed: it reads every weight from memory once for the first 12 rows, and the rows that are left
over do not fill its registers. As ``w @ x`` the weight is what is walked through and the tokens
are what is packed: 0.66 ms instead of 0.94 for 28 rows and a weight of 1024 x 2048, 1.0 instead of
1.2 for 46; from about 64 rows on both are the same, and below 4 it is slower. Nor is there a packed
copy of the weights, so that a graph takes half the memory. The numbers differ by rounding.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from motionrt.models.layers import EncoderLayer

_Module = TypeVar("_Module", bound=nn.Module)


def in_columns(module: _Module) -> _Module:
    """Return a module whose encoder layers multiply with tokens in columns; weights are shared.

    What holds no such layer is the module itself.
    """
    if not any(isinstance(part, EncoderLayer) for part in module.modules()):
        return module
    made = copy.copy(module)
    made._modules = {
        name: ColumnLayer(child) if isinstance(child, EncoderLayer) else child and in_columns(child)
        for name, child in module._modules.items()
    }
    return made


class ColumnLayer(nn.Module):
    """An ``EncoderLayer`` as it is in use, without dropout, under the same names."""

    def __init__(self, layer: EncoderLayer) -> None:
        """Share the weights of a layer."""
        super().__init__()
        self.self_attn = layer.self_attn
        self.linear1, self.linear2 = layer.linear1, layer.linear2
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        self.activation = layer.activation
        self.norm_first = layer.norm_first

    def forward(self, x: Tensor, attention_bias: Tensor | None) -> Tensor:
        """Map (B, S, width) to the same shape; attention_bias as in ``SelfAttention``."""
        batch, length, width = x.shape
        rows = x.reshape(batch * length, width)
        if self.norm_first:
            rows = rows + self._attend(self.norm1(rows), batch, attention_bias)
            rows = rows + self._feedforward(self.norm2(rows))
        else:
            rows = self.norm1(rows + self._attend(rows, batch, attention_bias))
            rows = self.norm2(rows + self._feedforward(rows))
        return rows.reshape(batch, length, width)

    def _attend(self, rows: Tensor, batch: int, attention_bias: Tensor | None) -> Tensor:
        attention = self.self_attn
        count, width = rows.shape
        heads, size = attention.num_heads, width // attention.num_heads
        packed = attention.in_proj_weight @ rows.T + attention.in_proj_bias.unsqueeze(1)
        # Each (batch, heads, size, length): tokens stay in columns.
        query, key, value = (
            part.view(heads, size, batch, count // batch).permute(2, 0, 1, 3)
            for part in torch.split(packed, width)
        )
        scores = query.transpose(-1, -2) @ key * size**-0.5
        if attention_bias is not None:
            scores = scores + attention_bias
        attended = value @ torch.softmax(scores, dim=-1).transpose(-1, -2)
        columns = attended.permute(1, 2, 0, 3).reshape(width, count)
        # The bias comes behind the transpose, which onnxruntime would otherwise undo by turning
        # the product round.
        return (attention.out_proj.weight @ columns).T + attention.out_proj.bias

    def _feedforward(self, rows: Tensor) -> Tensor:
        hidden = self.linear1.weight @ rows.T + self.linear1.bias.unsqueeze(1)
        out: Tensor = (self.linear2.weight @ self.activation(hidden)).T + self.linear2.bias
        return out
