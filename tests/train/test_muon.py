from __future__ import annotations

import torch

from motionrt.train.muon import Float32Muon, orthogonalized


def test_singular_values_come_near_one() -> None:
    for shape in ((24, 40), (40, 24)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonalized(matrix))
        assert values.min() > 0.4 and values.max() < 1.3
        # What it is turned by stays: the result leans on the matrix as its polar factor does.
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        assert (orthogonalized(matrix) * (u @ v)).sum() > 0.9 * min(shape) * 0.9


def test_steps_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(32, 48, generator=generator)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimizers: tuple[torch.optim.Optimizer, ...] = (
        Float32Muon([ours], lr=1e-2, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(5):
        gradient = torch.randn(32, 48, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = (theirs - start).detach()
    # torch's rounds to bfloat16, which has three digits.
    assert (ours - theirs).detach().norm() < 0.02 * moved.norm()


def test_matrices_together_move_as_each_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    starts = [torch.randn(shape, generator=generator) for shape in ((24, 40), (40, 24), (24, 40))]
    gradients = [torch.randn(start.shape, generator=generator) for start in starts]
    together = [start.clone().requires_grad_() for start in starts]
    alone = [start.clone().requires_grad_() for start in starts]
    optimizers = [Float32Muon(together, lr=1e-2, weight_decay=0.1)]
    optimizers += [Float32Muon([matrix], lr=1e-2, weight_decay=0.1) for matrix in alone]
    for _ in range(3):
        for matrices in (together, alone):
            for matrix, gradient in zip(matrices, gradients, strict=True):
                matrix.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for ours, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
