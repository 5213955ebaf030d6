"""Projectors that are solved, not trained: ridge regression, its relatives, and RBF kernel ridge.

All in float64 and deterministic. X are inputs (N, I), Y targets (N, O); both are centred, so the
intercept is not penalised. Scaling of the columns of X is folded into the result, which applies to
raw inputs. A penalty is absolute in the golden sense: |XW' - Y|² + penalty |W|².

Weights (O,) weigh the squared error of each target feature: Σⱼ wⱼ|XWⱼ' - Yⱼ|² + penalty |W|², so
feature j is solved with the penalty divided by wⱼ, and the weighted error chooses the penalty.
They count relative to their mean. Without a penalty they would change nothing: every feature has a
regression of its own.
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
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float64]
STD_FLOOR = 1e-6
GRID = tuple(10 ** (half / 2) for half in range(-12, 7))
"""Penalties as multiples of the mean eigenvalue: 1e-6 to 1e3, half decades."""
KERNEL_GRID = tuple(10 ** (half / 2) for half in range(-10, 3))
KERNEL_SEARCH_ROWS = 2000
"""Rows that a kernel's width and penalty are looked for on, at most: some seconds a width."""
SHRINKAGES = (0.02, 0.1, 0.5, 1.0)
"""Of covariances, towards their diagonals."""
MAX_SOLVED = 16
"""Different weights that are solved with one by one."""
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
    weights: NDArray[np.floating] | None = None,
) -> LinearFit:
    """Solve ridge regression for every penalty; keep the one with least validation error.

    Without validation rows the leave-one-out error decides. penalties None takes ``GRID`` times the
    mean eigenvalue. refit solves once more on training and validation rows together. weights (O,)
    are those of the target features.
    """
    scaled, mean, scale = _standardised(x, standardise)
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    solve = _Ridge(scaled, targets - y_mean, _relative(weights, y.shape[1]))
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
            weights=weights,
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
    weights: NDArray[np.floating] | None = None,
) -> LinearFit:
    """Solve ridge regression on the leading principal components of the standardised inputs."""
    scaled, mean, scale = _standardised(x, True)
    basis = _principal(scaled, num_components)
    xv = (x_validation.astype(np.float64) - mean) * scale
    inner = fit_ridge(
        scaled @ basis, y, xv @ basis, y_validation, standardise=False, weights=weights
    )
    weight = (inner.weight @ basis.T) * scale
    bias = inner.bias - weight @ mean
    return LinearFit(weight, bias, inner.penalty, inner.penalties, inner.validation_mse)


def fit_procrustes(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    num_components: int = 400,
    weights: NDArray[np.floating] | None = None,
) -> LinearFit:
    """Rotate the inputs' principal components onto the targets', with one common scale.

    With weights it rotates onto targets scaled by their square roots, whose plain error is the
    weighted one, and scales back.
    """
    scaled, mean, scale = _standardised(x, True)
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    importance = _relative(weights, y.shape[1])
    stretch = np.sqrt(importance)
    centred = (targets - y_mean) * stretch
    count = min(num_components, len(x) - 1, x.shape[1], y.shape[1])
    inputs, outputs = _principal(scaled, count), _principal(centred, count)
    a, b = scaled @ inputs, centred @ outputs
    left, singular, right = np.linalg.svd(a.T @ b)
    rotation = left @ right * (singular.sum() / max(float(np.square(a).sum()), 1e-30))
    weight = (inputs @ rotation @ outputs.T / stretch).T * scale
    fit = LinearFit(weight, y_mean - weight @ mean, 0.0, np.zeros(1), np.zeros(1))
    error = weighted_error(fit.predict(x_validation), y_validation, importance)
    return LinearFit(weight, fit.bias, 0.0, np.zeros(1), np.array([error]))


def fit_kernel(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    widths: Sequence[float] = KERNEL_WIDTHS,
    grid: Sequence[float] = KERNEL_GRID,
    refit: bool = False,
    weights: NDArray[np.floating] | None = None,
) -> KernelFit:
    """Solve RBF kernel ridge regression; width and penalty are those of least validation error.

    They are looked for on at most ``KERNEL_SEARCH_ROWS`` rows, evenly taken: the penalty then grows
    with the rows. All rows are solved with.
    """
    importance = _relative(weights, y.shape[1])
    every = -(-len(x) // KERNEL_SEARCH_ROWS)
    gamma, penalty, error = _kernel_search(
        x[::every], y[::every], x_validation, y_validation, widths, grid, importance
    )
    penalty *= len(x) / len(x[::every])
    if refit:
        x, y = np.concatenate((x, x_validation)), np.concatenate((y, y_validation))
    scaled, mean, scale = _standardised(x, True)
    targets = y.astype(np.float64)
    y_mean = targets.mean(0)
    kernel = np.exp(-gamma * _squared_distances(scaled, scaled))
    weight = _solve_each(kernel, targets - y_mean, penalty, importance).T
    return KernelFit(scaled, weight, y_mean, scale, -mean * scale, gamma, penalty, error)


def _kernel_search(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    widths: Sequence[float],
    grid: Sequence[float],
    importance: Floats,
) -> tuple[float, float, float]:
    """Return gamma and penalty of least validation error, and that error."""
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
        errors = _errors_of(
            values, reach, turned, wanted, [g * mean_value for g in grid], importance
        )
        best = int(np.argmin(errors))
        if found is None or errors[best] < found[0]:
            found = float(errors[best]), gamma, grid[best] * mean_value
    assert found is not None
    return found[1], found[2], found[0]


def fit_moments(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_validation: NDArray[np.floating],
    y_validation: NDArray[np.floating],
    shrinkages: Sequence[float] = SHRINKAGES,
) -> LinearFit:
    """Map inputs so that their mean and covariance become the targets'; both have one width.

    Pairs are used for nothing but to choose the shrinkage s, the share to which covariances are
    drawn to their diagonals: at 1 every feature is brought to its target's mean and spread alone.
    The map is the optimal transport between two Gaussians, x → Cx^-½ (Cx^½ Cy Cx^½)^½ Cx^-½ x: of
    all that do it, the one that moves rows least (Peyré & Cuturi 2019, arXiv:1803.00567, 2.31).
    InputError if the widths differ.
    """
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"moments bring each of {x.shape[1]} features to its own target, of which there are "
            f"{y.shape[1]}; take the linear kind"
        )
    rows, targets = x.astype(np.float64), y.astype(np.float64)
    mean, y_mean = rows.mean(0), targets.mean(0)
    covariances = [np.atleast_2d(np.cov(side, rowvar=False)) for side in (rows, targets)]
    found: tuple[float, float, Floats] | None = None
    errors = []
    for share in shrinkages:
        weight = _transport(*(_shrunk(covariance, share) for covariance in covariances))
        out = (x_validation.astype(np.float64) - mean) @ weight.T + y_mean
        errors.append(float(np.square(out - y_validation).mean()))
        if found is None or errors[-1] < found[0]:
            found = errors[-1], share, weight
    assert found is not None
    _, share, weight = found
    return LinearFit(
        weight, y_mean - weight @ mean, share, np.asarray(shrinkages), np.asarray(errors)
    )


def _shrunk(covariance: Floats, share: float) -> Floats:
    """Draw a covariance to its diagonal, whose variances are no less than ``STD_FLOOR`` squared."""
    drawn = (1 - share) * covariance
    np.fill_diagonal(drawn, np.maximum(np.diag(covariance), STD_FLOOR**2))
    return drawn


def _transport(source: Floats, target: Floats) -> Floats:
    """Return the symmetric matrix that takes one covariance to the other."""
    root, inverse = _roots(source)
    return inverse @ _roots(root @ target @ root)[0] @ inverse


def _roots(matrix: Floats) -> tuple[Floats, Floats]:
    """Return the square root of a symmetric positive matrix, and that root's inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.sqrt(np.maximum(values, float(values[-1]) * 1e-12))
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


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

    def __init__(self, x: Floats, y: Floats, importance: Floats) -> None:
        self.x, self.y, self.importance = x, y, importance
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
        return _errors_of(values, reach, turned, yv, penalties, self.importance)

    def leave_one_out_errors(self, penalties: Floats) -> Floats:
        if len(penalties) == 1:
            return np.zeros(1)
        values, vectors = self.eigen()
        errors = []
        own = vectors if self.wide else self.x @ vectors
        turned = vectors.T @ self.y if self.wide else vectors.T @ (self.x.T @ self.y)
        for penalty in penalties:
            total = 0.0
            for weight, columns in _alike(self.importance):
                shrunk = 1 / (values + penalty / weight)
                gain = values * shrunk if self.wide else shrunk
                residual = self.y[:, columns] - own @ (gain[:, None] * turned[:, columns])
                # The intercept takes 1/n of every row; without it the penalty collapses to 0.
                left = np.maximum(1 - 1 / len(self.x) - np.square(own) @ gain, 1e-9)
                total += weight * float(np.square(residual / left[:, None]).sum())
            errors.append(total / self.y.size)
        return np.asarray(errors)

    def weight(self, penalty: float) -> Floats:
        """Return W (O, I) for one penalty, solved directly: exact where eigenvalues spread."""
        right = self.y if self.wide else self.x.T @ self.y
        found = _solve_each(self.gram, right, penalty, self.importance)
        return np.asarray((found.T @ self.x) if self.wide else found.T, np.float64)


def weighted_error(
    predicted: NDArray[np.floating],
    target: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> float:
    """Return the mean of squared errors (N, O), weighed by weights (O,) relative to their mean."""
    errors = np.square(predicted.astype(np.float64) - target)
    return float((errors * _relative(weights, target.shape[1])).mean())


def _relative(weights: NDArray[np.floating] | None, width: int) -> Floats:
    """Return weights (O,) of mean 1; ones where there are none."""
    if weights is None:
        return np.ones(width)
    wide = weights.astype(np.float64)
    return np.asarray(wide / wide.mean())


def _alike(importance: Floats) -> list[tuple[float, NDArray[np.int64]]]:
    """Return each weight that there is, with the features that have it."""
    values, group = np.unique(importance, return_inverse=True)
    return [(float(value), np.flatnonzero(group == i)) for i, value in enumerate(values)]


def _solve_each(gram: Floats, right: Floats, penalty: float, importance: Floats) -> Floats:
    """Solve (gram + penalty / weight) found = right, by columns, refined once.

    A few weights are solved each with a matrix of its own, many from one decomposition.
    """
    found = np.empty_like(right)
    groups = _alike(importance)
    if len(groups) <= MAX_SOLVED:
        for weight, columns in groups:
            matrix = gram.copy()
            matrix[np.diag_indices_from(matrix)] += penalty / weight
            part = np.linalg.solve(matrix, right[:, columns])
            part += np.linalg.solve(matrix, right[:, columns] - matrix @ part)
            found[:, columns] = part
        return found
    values, vectors = np.linalg.eigh(gram)
    own = penalty / importance
    divided = np.maximum(np.maximum(values, 0.0)[:, None] + own, 1e-300)
    found = vectors @ ((vectors.T @ right) / divided)
    left = right - gram @ found - own * found
    return np.asarray(found + vectors @ ((vectors.T @ left) / divided), np.float64)


def _errors_of(
    values: Floats,
    reach: Floats,
    turned: Floats,
    wanted: Floats,
    penalties: Sequence[float] | Floats,
    importance: Floats,
) -> Floats:
    """Return the validation error of each penalty: reach · diag(1 / (values + p)) · turned."""
    # |wanted - R D T|² = |wanted|² - 2 <R' wanted T', D> + D' (R'R ∘ TT') D: no product a penalty.
    met, own = reach.T @ wanted, reach.T @ reach
    errors = np.zeros(len(penalties))
    for weight, columns in _alike(importance):
        part = turned[:, columns]
        cross = np.einsum("ij,ij->i", met[:, columns], part)
        square = own * (part @ part.T)
        constant = float(np.square(wanted[:, columns]).sum())
        for i, penalty in enumerate(penalties):
            d = 1 / np.maximum(values + penalty / weight, 1e-300)
            error = constant - 2 * float(cross @ d) + float(d @ square @ d)
            errors[i] += weight * error / wanted.size
    return errors


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
