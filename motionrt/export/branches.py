"""Guidance inside a graph: branches of a batch with text and constraints on or off, and their mix.

A branch is a batch of its own; the last is the one that the others are guided away from. Source: Ho
2022, arXiv:2207.12598.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Branches:
    """The branches of one step."""

    def __init__(self, text: Tensor, constraints: Tensor, weights: Tensor) -> None:
        """Take (G,) each: 1 where text and constraints are on, and what a branch weighs.

        The last weight has no effect.
        """
        self.text, self.constraints, self.weights = text, constraints, weights
        self.count = text.shape[0]

    def repeat(self, tensor: Tensor) -> Tensor:
        """Give every branch the same (B, ...); the result is (G * B, ...)."""
        return tensor.unsqueeze(0).expand(self.count, *tensor.shape).flatten(0, 1)

    def with_text(self, tensor: Tensor) -> Tensor:
        """Give (B, ...) to the branches that have the text, zeros to the others."""
        return self._switched(tensor, self.text)

    def with_constraints(self, tensor: Tensor) -> Tensor:
        """Give (B, ...) to the branches that have the constraints, zeros to the others."""
        return self._switched(tensor, self.constraints)

    def guided(self, predicted: Tensor) -> Tensor:
        """Mix the predictions (G * B, ...) of all branches to one, (B, ...)."""
        batch = predicted.shape[0] // self.count
        apart = torch.unflatten(predicted, 0, (self.count, batch))
        weights = self.weights.view(self.count, *(1 for _ in apart.shape[1:]))
        mixed: Tensor = apart[-1] + (weights * (apart - apart[-1:])).sum(0)
        return mixed

    def _switched(self, tensor: Tensor, on: Tensor) -> Tensor:
        shape = (self.count, *(1 for _ in tensor.shape))
        return (tensor.unsqueeze(0) * on.view(shape)).flatten(0, 1)
