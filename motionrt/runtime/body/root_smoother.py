"""Kimodo's root smoother: the smoothest path that stays within 6 cm of the given one.

A coarse-to-fine ADMM over the x, z path: the iterates are float32, the linear solve is float64.
The system matrix is banded and its inverse falls off exponentially (a factor of 0.54 per sample),
so that 64 neighbours hold it to double precision: short levels multiply by the dense inverse, long
ones convolve with its middle row and treat the two ends apart. No factorisation runs in the loop.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

MARGIN_M = 0.06
"""How far the smoothed path may leave the given one."""
OVER_RELAXATION = 1.8
NUM_ITERATIONS = 500
"""Iterations per level."""
MIN_FRAMES = 5
"""Shorter paths have no second differences on the coarse level and stay as they are."""

_REACH = 64
_DENSE_LIMIT = 6 * _REACH


def smooth_root(root_positions: ArrayLike) -> NDArray[np.float32]:
    """Smooth x and z of root positions (..., T, 3) in metres; y stays as it is.

    Clips of one length share the work: leading axes cost little more than one clip. The result is
    shifted by half a frame, as Kimodo's is.
    """
    root = np.asarray(root_positions, np.float32)
    if root.ndim < 2 or root.shape[-1] != 3:
        raise ValueError(f"root positions must be (..., T, 3), the shape is {root.shape}")
    result = root.copy()
    frames = root.shape[-2]
    if frames < MIN_FRAMES or root.size == 0:
        return result
    # (T, clips, 2): frames first, so that a solve is one product for all clips.
    path = np.moveaxis(root[..., 0::2], -2, 0)
    smooth = _smooth_path(np.ascontiguousarray(path.reshape(frames, -1, 2)))
    result[..., 0::2] = np.moveaxis(smooth.reshape(path.shape), 0, -2)
    return result


def _smooth_path(path: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = len(path)
    step = 2 ** max(math.floor(math.log2(frames)) - 4, 1)
    solution = np.empty_like(path)
    solution[:] = path.mean(axis=0, dtype=np.float32)
    while True:
        coarse = _iterate(path[::step], solution[::step])
        solution[::step] = coarse
        half = step // 2
        if half == 0:
            # At the finest level the filling-in of in-between samples meets the samples
            # themselves: the last is extrapolated first, then every other is averaged with its
            # successor.
            solution[-1] = coarse[-1] + (coarse[-1] - coarse[-2]) / 2
            solution[:-1] = (solution[:-1] + solution[1:]) / 2
            return solution
        between = solution[half::step]  # a view
        between[: len(coarse) - 1] = (coarse[:-1] + coarse[1:]) / 2
        if len(between) == len(coarse):
            between[-1] = coarse[-1] + (coarse[-1] - coarse[-2]) / 2
        step = half


def _iterate(target: NDArray[np.float32], start: NDArray[np.float32]) -> NDArray[np.float32]:
    solve = _Solver.of_length(len(target))
    margin = np.float32(MARGIN_M)
    over_relaxation = np.float32(OVER_RELAXATION)
    y = start.copy()
    u = np.zeros_like(target)
    for _ in range(NUM_ITERATIONS):
        z = y + u
        z -= target
        length = np.sqrt(z[..., 0] * z[..., 0] + z[..., 1] * z[..., 1])
        z *= (margin / np.maximum(length, margin))[..., None]
        z += target
        u += over_relaxation * (y - z)
        y = solve(z - u)
    return y


class _Solver:
    """Applies (M + ρI)⁻¹ ρ along the first axis, M being the second differences' normal matrix."""

    def __init__(self, length: int) -> None:
        self.length = length
        size = min(length, _DENSE_LIMIT)
        differences = np.zeros((size, size))
        rows = np.arange(1, size - 1)
        differences[rows, rows - 1] = differences[rows, rows + 1] = -1
        differences[rows, rows] = 2
        normal = differences.T @ differences
        rho = 0.25 * math.sqrt(normal.diagonal().max())
        inverse = rho * np.linalg.inv(normal + rho * np.eye(size))
        if length > _DENSE_LIMIT:
            # The ends reach 2·64 samples in; rows between them are all the middle row, shifted.
            self.head = inverse[: 2 * _REACH, : 3 * _REACH].copy()
            self.tail = inverse[-2 * _REACH :, -3 * _REACH :].copy()
            middle = size // 2
            self.kernel = inverse[middle, middle - _REACH : middle + _REACH + 1].copy()
        self.inverse = inverse if length <= _DENSE_LIMIT else None

    @staticmethod
    @lru_cache(maxsize=64)
    def of_length(length: int) -> _Solver:
        return _Solver(length)

    def __call__(self, right: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = right.reshape(len(right), -1).astype(np.float64)
        if self.inverse is not None:
            return (self.inverse @ flat).astype(np.float32).reshape(right.shape)
        result = np.empty(right.shape, np.float32).reshape(flat.shape)
        ends = 2 * _REACH
        for column in range(flat.shape[1]):
            inner = np.convolve(flat[_REACH:-_REACH, column], self.kernel, mode="valid")
            result[ends:-ends, column] = inner
        result[:ends] = self.head @ flat[: 3 * _REACH]
        result[-ends:] = self.tail @ flat[-3 * _REACH :]
        return result.reshape(right.shape)
