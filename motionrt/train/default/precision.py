"""What is computed in which precision, and how, while training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class Float32Linear(nn.Linear):
    """A linear map that keeps full precision under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def attention_backend(device: torch.device) -> AbstractContextManager[None]:
    """Choose how attention is computed while training.

    On CPUs plain products: torch's fused kernel takes three times as long backwards.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Say whether products in bfloat16 are computed as such there, not bit by bit."""
    if device.type != "cpu":
        return True
    return any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))
