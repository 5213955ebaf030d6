"""Token ids to the one vector that a motion model wants: backbone, pooling, projector."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from motionrt.models.pooling import Pooling
from motionrt.models.projector import AttentionProjector, Projector


class TextEncoder(nn.Module):
    """A backbone that maps (ids, mask) to hidden states, and what makes a vector of them."""

    def __init__(
        self,
        backbone: nn.Module,
        pooling: str = "mean",
        projector: Projector | None = None,
        normalise: bool = False,
    ) -> None:
        """Join the parts; pooling is one of ``pooling.POOLINGS``.

        normalise scales the pooled vector to length 1 before the projector. An attention projector
        takes the pooled tokens themselves, and its queries are averaged.
        """
        super().__init__()
        self.backbone = backbone
        self.pooling = Pooling(pooling)
        self.projector = projector
        self.normalise = normalise

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pool_mask: Tensor) -> Tensor:
        """Encode ids (B, S) int64 as (B, W) float32.

        attention_mask (B, S) int64 is 1 where a token is real, pool_mask (B, S) int64 where it
        belongs to the text that is averaged. Rows do not influence each other.
        """
        hidden = self.backbone(input_ids, attention_mask)
        if isinstance(self.projector, AttentionProjector):
            rows: Tensor = self.projector(hidden.float(), pool_mask)
            return rows.mean(1)
        pooled: Tensor = self.pooling(hidden, attention_mask, pool_mask)
        if self.normalise:
            pooled = F.normalize(pooled, dim=-1)
        return pooled if self.projector is None else self.projector(pooled)
