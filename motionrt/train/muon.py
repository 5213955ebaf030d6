"""Muon in the precision of its weights, for processors that are slow in bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic that pulls singular values towards 1. Source: Jordan 2024, "Muon"."""
NUM_ITERATIONS = 5
RMS_OF_ADAMW = 0.2
"""An update's typical size under AdamW, which Muon's is matched to. Source: Liu 2025,
arXiv:2502.16982."""


class Float32Muon(torch.optim.Muon):
    """torch's Muon with ``match_rms_adamw``, its matrices orthogonalised in float32.

    torch's own does this in bfloat16, which a processor without instructions for it computes bit by
    bit.
    """

    def __init__(self, params: Any, lr: float, weight_decay: float) -> None:
        """Take matrices, the rate and the decay; all else is torch's default."""
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step along the orthogonalised momentum (Nesterov's)."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            decay = 1 - group["lr"] * group["weight_decay"]
            # Those of one shape together: a GPU is hardly awake for one of them.
            for parameters in by_shape(group["params"]):
                updates = []
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None
                    state = self.state[parameter]
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = torch.zeros_like(gradient)
                    momentum = state["momentum_buffer"]
                    momentum.lerp_(gradient, 1 - group["momentum"])
                    updates.append(gradient.lerp(momentum, group["momentum"]))
                rate = group["lr"] * RMS_OF_ADAMW * math.sqrt(max(parameters[0].shape))
                torch._foreach_mul_(parameters, decay)
                turned = orthogonalized(torch.stack(updates)).unbind()
                torch._foreach_add_(parameters, turned, alpha=-rate)
        return loss


def by_shape(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Group those that have a gradient by their shape."""
    groups: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            groups.setdefault(parameter.shape, []).append(parameter)
    return list(groups.values())


def orthogonalized(matrix: Tensor) -> Tensor:
    """Bring the singular values of matrices (..., M, N) near to 1, between about 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    wide = matrix.mT if matrix.shape[-2] > matrix.shape[-1] else matrix
    x: Tensor = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if matrix.shape[-2] > matrix.shape[-1] else x
