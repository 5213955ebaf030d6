"""Hidden states of tokens to one vector, and sequences to a fixed length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

POOLINGS = ("mean", "weighted_mean", "last_token", "first_token")
"""What ``Pooling`` knows; weighted_mean weighs the n pooled tokens with 1, 2 … n."""


class Pooling(nn.Module):
    """One vector per row: a weighted sum over its tokens."""

    def __init__(self, mode: str = "mean") -> None:
        """Take one of ``POOLINGS``; ValueError if it is none."""
        super().__init__()
        if mode not in POOLINGS:
            raise ValueError(f"pooling {mode!r}: none of {', '.join(POOLINGS)}")
        self.mode = mode

    def forward(self, hidden: Tensor, attention_mask: Tensor, pool_mask: Tensor) -> Tensor:
        """Map (B, S, W) to (B, W) float32.

        attention_mask (B, S) is 1 where a token is real, pool_mask where it belongs to the text
        that is averaged. The means take the pooled tokens, last_token and first_token the outermost
        real ones.
        """
        if self.mode in ("mean", "weighted_mean"):
            weights = (pool_mask > 0).to(torch.float32)
            if self.mode == "weighted_mean":
                weights = weights * torch.cumsum(weights, dim=1)
        else:
            weights = (attention_mask > 0).to(torch.float32)
            rank = torch.cumsum(weights, dim=1)
            chosen = weights.sum(1, keepdim=True) if self.mode == "last_token" else 1.0
            weights = weights * (rank == chosen).to(torch.float32)
        total = weights.sum(1, keepdim=True).clamp(min=1.0)
        return ((weights / total).unsqueeze(1) @ hidden.float()).squeeze(1)


def pool_to_length(rows: Tensor, length: int = 64) -> Tensor:
    """Bring a sequence (n, D) to (length, D).

    Shorter ones are padded with zero rows; longer ones are interpolated linearly between two
    neighbours, at half-pixel centres. Far longer sequences are therefore sampled, not averaged.
    """
    n = rows.shape[0]
    if n <= length:
        return torch.cat((rows, rows.new_zeros(length - n, rows.shape[1])))
    steps = torch.arange(length, dtype=torch.float64, device=rows.device)
    centres = ((steps + 0.5) * n / length - 0.5).clamp(min=0)
    low = centres.floor().long()
    high = (low + 1).clamp(max=n - 1)
    fraction = (centres - low).to(rows.dtype).unsqueeze(1)
    return (1 - fraction) * rows[low] + fraction * rows[high]
