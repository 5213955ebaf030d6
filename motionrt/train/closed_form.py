"""Projectors that are solved, not trained: ridge regression, its relatives, and RBF kernel ridge.

All in float64 and deterministic. X are inputs (N, I), Y targets (N, O); both are centred, so the
intercept is not penalised. Scaling of the columns of X is folded into the result, which applies to
raw inputs. A penalty is absolute in the golden sense: |XW' - Y|² + penalty |W|².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from motionrt.models.projector import (
    KernelProjector,
    LinearProjector,
    ProjectorConfig,
)

Floats = NDArray[np.float64]
STD_FLOOR = 1e-6
GRID = tuple(10 ** (half / 2) for half in range(-12, 7))
"""Penalties as multiples of the mean eigenvalue: 1e-6 to 1e3, half decades."""
KERNEL_GRID = tuple(10 ** (half / 2) for half in range(-10, 3))
KERNEL_WIDTHS = (0.1, 0.25, 0.5, 1.0)
"""Values of gamma as multiples of 1 / the median squared distance between inputs."""


@dataclass(frozen=True)
class LinearFit:
    """An affine map of raw inputs, and how its penalty was chosen."""

    weight: Floats
    """(O, I)."""
    bias: Floats
    """(O,)."""
    penalty: float
    penalties: Floats
    validation_mse: Floats
    """Of each penalty; leave-one-out errors where there were no validation rows."""

    def predict(self, x: NDArray[np.floating]) -> Floats:
        """Map (N, I) to (N, O)."""
        out: Floats = x.astype(np.float64) @ self.weight.T + self.bias
        return out

    def module(self) -> LinearProjector:
        """Return the projector, float32."""
        made = LinearProjector(ProjectorConfig("linear", *reversed(self.weight.shape)))
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(self.weight))
            made.bias.copy_(torch.from_numpy(self.bias))
        return made.eval()


@dataclass(frozen=True)
class KernelFit:
    """An RBF kernel ridge regression: out = bias + K(z, centres) weight', z = x · scale + shift."""

    centres: Floats
    weight: Floats
    bias: Floats
    scale: Floats
    shift: Floats
    gamma: float
    penalty: float
    validation_mse: float

    def predict(self, x: NDArray[np.floating]) -> Floats:
        """Map (N, I) to (N, O)."""
        z = x.astype(np.float64) * self.scale + self.shift
        kernel = np.exp(-self.gamma * _squared_distances(z, self.centres))
        out: Floats = kernel @ self.weight.T + self.bias
        return out

    def module(self) -> KernelProjector:
        """Return the projector, float32."""
        count, width = self.centres.shape
        made = KernelProjector(
            ProjectorConfig("kernel", width, len(self.weight), num_centres=count)
        )
        state = {
            name: torch.from_numpy(np.asarray(getattr(self, name), np.float32))
            for name in ("centres", "weight", "bias", "scale", "shift", "gamma")
        }
        made.load_state_dict(state)
        return made.eval()


def fit_ridge(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating] | None = None,
    y_validation: NDArray[np.floating] | None = None,
    penalties: Sequence[float] | Floats | None = None,
    standardise: bool = True,
    refit: bool = False,
) -> LinearFit:
    """Solve ridge regression for every penalty; keep the one with least validation error.

    Without validation rows the leave-one-out error decides. penalties None takes ``GRID`` times the
    mean eigenvalue. refit solves once more on training and validation rows together.
    """
    scaled, mean, scale = _standardised(x, standardise)
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    solve = _Ridge(scaled, targets - y_mean)
    grid = np.asarray(
        penalties if penalties is not None else [g * solve.mean_eigenvalue for g in GRID],
        np.float64,
    )
    if x_validation is not None and y_validation is not None:
        xv = (x_validation.astype(np.float64) - mean) * scale
        errors = solve.validation_errors(grid, xv, y_validation.astype(np.float64) - y_mean)
    else:
        errors = solve.leave_one_out_errors(grid)
    best = float(grid[int(np.argmin(errors))])
    if refit and x_validation is not None and y_validation is not None:
        # The eigenvalues grow with the rows, and the penalty with them.
        grown = best * (len(x) + len(x_validation)) / len(x)
        whole = fit_ridge(
            np.concatenate((x, x_validation)),
            np.concatenate((y, y_validation)),
            penalties=[grown],
            standardise=standardise,
        )
        return LinearFit(whole.weight, whole.bias, best, grid, errors)
    weight = solve.weight(best) * scale
    return LinearFit(weight, y_mean - weight @ mean, best, grid, errors)


def fit_pca_ridge(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    num_components: int = 400,
) -> LinearFit:
    """Solve ridge regression on the leading principal components of the standardised inputs."""
    scaled, mean, scale = _standardised(x, True)
    basis = _principal(scaled, num_components)
    xv = (x_validation.astype(np.float64) - mean) * scale
    inner = fit_ridge(scaled @ basis, y, xv @ basis, y_validation, standardise=False)
    weight = (inner.weight @ basis.T) * scale
    bias = inner.bias - weight @ mean
    return LinearFit(weight, bias, inner.penalty, inner.penalties, inner.validation_mse)


def fit_procrustes(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    num_components: int = 400,
) -> LinearFit:
    """Rotate the inputs' principal components onto the targets', with one common scale."""
    scaled, mean, scale = _standardised(x, True)
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    centred = targets - y_mean
    count = min(num_components, len(x) - 1, x.shape[1], y.shape[1])
    inputs, outputs = _principal(scaled, count), _principal(centred, count)
    a, b = scaled @ inputs, centred @ outputs
    left, singular, right = np.linalg.svd(a.T @ b)
    rotation = left @ right * (singular.sum() / max(float(np.square(a).sum()), 1e-30))
    weight = (inputs @ rotation @ outputs.T).T * scale
    fit = LinearFit(weight, y_mean - weight @ mean, 0.0, np.zeros(1), np.zeros(1))
    error = float(np.square(fit.predict(x_validation) - y_validation).mean())
    return LinearFit(weight, fit.bias, 0.0, np.zeros(1), np.array([error]))


def fit_kernel(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    widths: Sequence[float] = KERNEL_WIDTHS,
    grid: Sequence[float] = KERNEL_GRID,
    refit: bool = False,
) -> KernelFit:
    """Solve RBF kernel ridge regression; width and penalty are those of least validation error."""
    scaled, mean, scale = _standardised(x, True)
    xv = (x_validation.astype(np.float64) - mean) * scale
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    centred, wanted = targets - y_mean, y_validation.astype(np.float64) - y_mean
    near, across = _squared_distances(scaled, scaled), _squared_distances(xv, scaled)
    typical = float(np.median(near[np.triu_indices(len(near), 1)]))
    found: tuple[float, float, float] | None = None
    for width in widths:
        gamma = width / max(typical, 1e-30)
        values, vectors = np.linalg.eigh(np.exp(-gamma * near))
        turned, reach = vectors.T @ centred, np.exp(-gamma * across) @ vectors
        mean_value = float(values.mean())
        errors = _errors_of(values, reach, turned, wanted, [g * mean_value for g in grid])
        best = int(np.argmin(errors))
        if found is None or errors[best] < found[0]:
            found = float(errors[best]), gamma, grid[best] * mean_value
    assert found is not None
    error, gamma, penalty = found
    if refit:
        both = np.concatenate((x, x_validation))
        scaled, mean, scale = _standardised(both, True)
        targets = np.concatenate((y, y_validation)).astype(np.float64)
        y_mean = targets.mean(0)
        centred = targets - y_mean
        near = _squared_distances(scaled, scaled)
    kernel = np.exp(-gamma * near)
    kernel[np.diag_indices_from(kernel)] += penalty
    weight = np.linalg.solve(kernel, centred).T
    return KernelFit(scaled, weight, y_mean, scale, -mean * scale, gamma, penalty, error)


def matching_gain(
    predicted: NDArray[np.floating], target: NDArray[np.floating], mean: NDArray[np.floating]
) -> float:
    """Return the factor that brings the mean centred norm of predictions to the targets'.

    Ridge shrinks towards the mean, and a denoiser then sees a weaker text signal.
    """
    ours = np.linalg.norm(predicted - mean, axis=1).mean()
    theirs = np.linalg.norm(target - mean, axis=1).mean()
    return float(theirs / max(float(ours), 1e-30))


class _Ridge:
    """Ridge regression of centred data for many penalties from one decomposition."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.x, self.y = x, y
        self.wide = len(x) < x.shape[1]
        gram = x @ x.T if self.wide else x.T @ x
        self.gram = gram
        self.mean_eigenvalue = float(np.trace(gram)) / min(len(x), x.shape[1])
        self._decomposed: tuple[Floats, Floats] | None = None

    def eigen(self) -> tuple[Floats, Floats]:
        """Return eigenvalues and eigenvectors of the smaller Gram matrix."""
        if self._decomposed is None:
            values, vectors = np.linalg.eigh(self.gram)
            self._decomposed = np.maximum(values, 0.0), vectors
        return self._decomposed

    def validation_errors(self, penalties: Floats, xv: Floats, yv: Floats) -> Floats:
        values, vectors = self.eigen()
        if self.wide:
            turned, reach = vectors.T @ self.y, (xv @ self.x.T) @ vectors
        else:
            turned, reach = vectors.T @ (self.x.T @ self.y), xv @ vectors
        return _errors_of(values, reach, turned, yv, penalties)

    def leave_one_out_errors(self, penalties: Floats) -> Floats:
        if len(penalties) == 1:
            return np.zeros(1)
        values, vectors = self.eigen()
        errors = []
        own = vectors if self.wide else self.x @ vectors
        turned = vectors.T @ self.y if self.wide else vectors.T @ (self.x.T @ self.y)
        for penalty in penalties:
            shrunk = 1 / (values + penalty)
            if self.wide:
                residual = self.y - own @ ((values * shrunk)[:, None] * turned)
                leverage = np.square(own) @ (values * shrunk)
            else:
                residual = self.y - own @ (shrunk[:, None] * turned)
                leverage = np.square(own) @ shrunk
            # The intercept takes 1/n of every row; without it the penalty collapses to 0.
            left = np.maximum(1 - 1 / len(self.x) - leverage, 1e-9)
            errors.append(float(np.square(residual / left[:, None]).mean()))
        return np.asarray(errors)

    def weight(self, penalty: float) -> Floats:
        """Return W (O, I) for one penalty, solved directly: exact where eigenvalues spread."""
        matrix = self.gram.copy()
        matrix[np.diag_indices_from(matrix)] += penalty
        if self.wide:
            dual = np.linalg.solve(matrix, self.y)
            dual += np.linalg.solve(matrix, self.y - matrix @ dual)
            found: Floats = dual.T @ self.x
            return found
        right = self.x.T @ self.y
        primal = np.linalg.solve(matrix, right)
        primal += np.linalg.solve(matrix, right - matrix @ primal)
        return np.asarray(primal.T, np.float64)


def _errors_of(
    values: Floats,
    reach: Floats,
    turned: Floats,
    wanted: Floats,
    penalties: Sequence[float] | Floats,
) -> Floats:
    """Return the validation error of each penalty: reach · diag(1 / (values + p)) · turned."""
    # |wanted - R D T|² = |wanted|² - 2 <R' wanted T', D> + D' (R'R ∘ TT') D: no product a penalty.
    cross = np.einsum("ij,ij->i", reach.T @ wanted, turned)
    square = (reach.T @ reach) * (turned @ turned.T)
    constant = float(np.square(wanted).sum())
    errors = []
    for penalty in penalties:
        d = 1 / np.maximum(values + penalty, 1e-300)
        errors.append((constant - 2 * float(cross @ d) + float(d @ square @ d)) / wanted.size)
    return np.asarray(errors)


def _standardised(x: NDArray[np.floating], standardise: bool) -> tuple[Floats, Floats, Floats]:
    """Return (x - mean) · scale, the mean, and the scale (ones unless standardise)."""
    rows = x.astype(np.float64)
    mean = rows.mean(0)
    centred = rows - mean
    if not standardise:
        return centred, mean, np.ones(rows.shape[1])
    std = np.sqrt(np.square(centred).sum(0) / max(len(rows) - 1, 1))
    scale = 1 / np.maximum(std, STD_FLOOR)
    return centred * scale, mean, scale


def _principal(centred: Floats, count: int) -> Floats:
    """Return the leading principal directions (I, count) as columns."""
    count = min(count, len(centred) - 1, centred.shape[1])
    if len(centred) < centred.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        kept = vectors[:, ::-1][:, :count]
        lengths = np.sqrt(np.maximum(values[::-1][:count], 1e-30))
        basis: Floats = centred.T @ kept / lengths
        return basis
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(vectors[:, ::-1][:, :count])


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    return np.asarray(np.maximum(squared, 0.0))


Fit = LinearFit | KernelFit
Solver = Callable[..., Fit]
