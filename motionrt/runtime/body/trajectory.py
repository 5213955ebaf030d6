"""Move a few frames of a trajectory where they must be and let the others follow smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FREE, PINNED = -1.0, 0.0
"""Margins of a frame that may go anywhere and of one that must meet its target."""

NUM_MARGIN_ITERATIONS = 100
_MAX_DENSE = 1 << 22


@dataclass(frozen=True)
class Weights:
    """What a correction should keep of the reference: unitless, higher keeps more of it."""

    position: float
    velocity: float
    acceleration: float

    def scaled(self, position: float = 1.0, acceleration: float = 1.0) -> Weights:
        """Multiply the position and the acceleration weight."""
        return Weights(self.position * position, self.velocity, self.acceleration * acceleration)


class _Pentadiagonal:
    """A symmetric positive definite matrix with two side diagonals, factored as L·D·Lᵀ."""

    def __init__(
        self, diagonal: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
    ) -> None:
        count = len(diagonal)
        a, b, c = diagonal.tolist(), first.tolist(), second.tolist()
        d, l1, l2 = [0.0] * count, [0.0] * count, [0.0] * count
        for i in range(count):
            value = a[i]
            if i > 1:
                l2[i] = c[i - 2] / d[i - 2]
                value -= l2[i] * l2[i] * d[i - 2]
            if i > 0:
                side = b[i - 1] - (l2[i] * l1[i - 1] * d[i - 2] if i > 1 else 0.0)
                l1[i] = side / d[i - 1]
                value -= l1[i] * side
            d[i] = value
        self._d, self._l1, self._l2 = np.asarray(d)[:, None], l1, l2

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve for every column of right, (N, C)."""
        x = right.copy()
        rows, l1, l2 = list(x), self._l1, self._l2  # views: writing a row writes x
        count = len(rows)
        for i in range(1, count):
            rows[i] -= l1[i] * rows[i - 1]
            if i > 1:
                rows[i] -= l2[i] * rows[i - 2]
        x /= self._d
        for i in range(count - 2, -1, -1):
            rows[i] -= l1[i + 1] * rows[i + 1]
            if i + 2 < count:
                rows[i] -= l2[i + 2] * rows[i + 2]
        return x


def correct_trajectory(
    reference: NDArray[np.float64],
    targets: NDArray[np.float64],
    margins: NDArray[np.float64],
    weights: Weights,
) -> NDArray[np.float64]:
    """Find the trajectory that meets the targets and keeps the reference's shape.

    reference and targets are (N, C); margins is (N,): below zero the frame is free (`FREE`), zero
    is `PINNED`, above zero the frame must come within that distance of its target. Minimises
    kp·|x - r|² + kv·|V(x - r)|² + ka·|A(x - r)|², V and A the first and second differences.
    Without pins and margins the result is the reference.
    """
    pinned, bounded = margins == 0, margins > 0
    if not (pinned.any() or bounded.any()):
        return reference.copy()
    diagonal, first, second = _hessian(len(reference), weights)
    # H·(r - o on pinned rows); a pinned row becomes x = o, and its column leaves the others.
    shifted = np.where(pinned[:, None], reference - targets, reference)
    right = _multiply(diagonal, first, second, shifted)
    right[pinned] = targets[pinned]
    free = ~pinned
    matrix = (
        np.where(free, diagonal, 1.0),
        np.where(free[1:] & free[:-1], first, 0.0),
        np.where(free[2:] & free[:-2], second, 0.0),
    )
    if not bounded.any():
        return _Pentadiagonal(*matrix).solve(right)
    rho = 0.5 * float(np.sqrt(diagonal.max()))
    factor = _Pentadiagonal(matrix[0] + rho * bounded, *matrix[1:])
    return _meet_margins(factor, right, reference, targets, margins, rho)


def _meet_margins(
    factor: _Pentadiagonal,
    right: NDArray[np.float64],
    reference: NDArray[np.float64],
    targets: NDArray[np.float64],
    margins: NDArray[np.float64],
    rho: float,
) -> NDArray[np.float64]:
    """Alternate between the trajectory and its projection into the balls (ADMM)."""
    rows = np.flatnonzero(margins > 0)
    radius, centre = margins[rows, None], targets[rows]
    z, u = reference[rows].copy(), np.zeros((len(rows), reference.shape[1]))
    # Only the bounded rows change the right side, so the solution is affine in them.
    dense = len(rows) * len(reference) <= _MAX_DENSE
    if dense:
        base = factor.solve(right)
        columns = np.zeros((len(reference), len(rows)))
        columns[rows, np.arange(len(rows))] = rho
        columns = factor.solve(columns)
        at_rows = columns[rows]
    for _ in range(NUM_MARGIN_ITERATIONS):
        pull = z - u
        if dense:
            x_rows = base[rows] + at_rows @ pull
        else:
            pulled = right.copy()
            pulled[rows] += rho * pull
            x = factor.solve(pulled)
            x_rows = x[rows]
        away = x_rows + u - centre
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        z = centre + away * np.where(distance > radius, radius / np.maximum(distance, 1e-30), 1.0)
        u += x_rows - z
    result: NDArray[np.float64] = base + columns @ pull if dense else x
    return result


def smooth_mask_edges(
    reference: NDArray[np.float64], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Replace each masked frame beside an unmasked one by the mean of its two neighbours.

    Goes forward in time, in place: the second frame of a run sees the first one's new value. A
    neighbour beyond the ends is the frame itself.
    """
    result = reference.copy()
    last = len(result) - 1
    for i in np.flatnonzero(mask).tolist():
        before, after = max(i - 1, 0), min(i + 1, last)
        if not (mask[before] and mask[after]):
            result[i] = 0.5 * (result[before] + result[after])
    return result


def _hessian(
    count: int, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The diagonals of kp·I + kv·VᵀV + ka·AᵀA."""
    diagonal = np.full(count, weights.position)
    first, second = np.zeros(max(count - 1, 0)), np.zeros(max(count - 2, 0))
    if count > 1:
        diagonal[:-1] += weights.velocity
        diagonal[1:] += weights.velocity
        first -= weights.velocity
    if count > 2:
        ka = weights.acceleration
        diagonal[:-2] += ka
        diagonal[1:-1] += 4 * ka
        diagonal[2:] += ka
        first[:-1] -= 2 * ka
        first[1:] -= 2 * ka
        second += ka
    return diagonal, first, second


def _multiply(
    diagonal: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    x: NDArray[np.float64],
) -> NDArray[np.float64]:
    result = diagonal[:, None] * x
    result[:-1] += first[:, None] * x[1:]
    result[1:] += first[:, None] * x[:-1]
    result[:-2] += second[:, None] * x[2:]
    result[2:] += second[:, None] * x[:-2]
    return result
