"""The optimisers of a training."""

from __future__ import annotations

import torch
from torch import nn

from motionrt.runtime.errors import CheckpointError
from motionrt.train.muon import Float32Muon


def make_optimizers(
    model: nn.Module, kind: str, rate: float, decay: float, bfloat16: bool
) -> list[torch.optim.Optimizer]:
    """Make AdamW for everything, or Muon for the layers' matrices and AdamW for the rest.

    kind is ``adamw`` or ``muon``, CheckpointError else; bfloat16 is for Muon's own products.
    """
    parameters = dict(model.named_parameters())
    matrices = [p for name, p in parameters.items() if ".layers." in name and p.ndim == 2]
    chosen = {id(p) for p in matrices} if kind == "muon" else set()
    rest = [p for p in parameters.values() if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim == 2]
    groups = [
        {"params": decayed, "weight_decay": decay},
        {"params": [p for p in rest if p.ndim != 2], "weight_decay": 0.0},
    ]
    result: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=True)
    ]
    if kind == "muon":
        result.append(
            torch.optim.Muon(matrices, rate, decay, adjust_lr_fn="match_rms_adamw")
            if bfloat16
            else Float32Muon(matrices, rate, decay)
        )
    elif kind != "adamw":
        raise CheckpointError(f"optimizer {kind!r}: there are adamw and muon")
    return result
