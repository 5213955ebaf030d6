"""A guided denoising step as a graph: what it is made of, whatever its network."""

from __future__ import annotations

import torch
from torch import Tensor

from motionrt.export.graphs import TensorSpec
from motionrt.runtime.bundle.manifest import AxisInfo

STEP_ATOL, STEP_RTOL = 2e-4, 2e-4
"""Rounding through two stacks of layers; recorded fused and unfused runs differ as much."""
LOOP_ATOL, LOOP_RTOL = 3e-3, 1e-3
"""The same after several steps, each of which passes on what the last one left."""
MAX_POSITIONS = 5000
"""Rows of the positional table that checkpoints were trained with, tokens of text included."""
CARRIED = {"x": "x_next", "x0_previous": "x0"}
"""A step's state, as in ``LoopSpec``: what is denoised, and the prediction of the step before."""
BRANCHES = (
    TensorSpec("branch_text", ("branches",)),
    TensorSpec("branch_constraints", ("branches",)),
    TensorSpec("branch_weights", ("branches",)),
)
"""Inputs that say what ``Branches`` there are."""
BRANCHES_AXIS = AxisInfo(typical=2, largest=3)


def solver_update(coefficients: Tensor, x: Tensor, x0: Tensor, x0_previous: Tensor) -> Tensor:
    """Return x for the next step: what each is weighed by is a row (3,) of ``Schedule``."""
    a, b, c = coefficients.unbind()
    updated: Tensor = a * x + b * x0 + c * x0_previous
    return updated


def separated_branches() -> dict[str, Tensor]:
    """Return the branches of separated guidance (text, constraints, neither), for checks."""
    return {
        "branch_text": torch.tensor([1.0, 0.0, 0.0]),
        "branch_constraints": torch.tensor([0.0, 1.0, 0.0]),
        "branch_weights": torch.tensor([2.0, 2.0, 0.0]),
    }
