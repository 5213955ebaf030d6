from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionrt.train.closed_form import (
    fit_kernel,
    fit_pca_ridge,
    fit_procrustes,
    fit_ridge,
    matching_gain,
)

Rows = NDArray[np.float64]


def _data(count: int, width: int, out: int = 12, seed: int = 0) -> tuple[Rows, Rows]:
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(count, 8))
    maps = np.random.default_rng(99)
    x = hidden @ maps.normal(size=(8, width)) + 0.1 * generator.normal(size=(count, width))
    y = hidden @ maps.normal(size=(8, out)) + 3 + 0.2 * generator.normal(size=(count, out))
    x[:, 3] *= 200  # an outlier feature
    return x, y


def _error(predicted: Rows, target: Rows) -> float:
    return float(np.square(predicted - target).mean())


@pytest.mark.parametrize("width", [20, 150])
def test_ridge_solves_its_normal_equations(width: int) -> None:
    x, y = _data(60, width)
    fit = fit_ridge(x, y, x[:10], y[:10], [2.5], standardise=False)
    centred = x - x.mean(0)
    left = centred.T @ centred + 2.5 * np.eye(width)
    wanted = np.linalg.solve(left, centred.T @ (y - y.mean(0))).T
    np.testing.assert_allclose(fit.weight, wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fit.bias, y.mean(0) - wanted @ x.mean(0), rtol=1e-9)


@pytest.mark.parametrize("width", [20, 150])
def test_validation_errors_are_those_of_the_solutions(width: int) -> None:
    x, y = _data(60, width)
    xv, yv = _data(30, width, seed=1)
    grid = [1e-2, 1.0, 100.0]
    fit = fit_ridge(x, y, xv, yv, grid)
    for penalty, error in zip(grid, fit.validation_mse, strict=True):
        alone = fit_ridge(x, y, xv, yv, [penalty])
        assert _error(alone.predict(xv), yv) == pytest.approx(error, rel=1e-8)
    assert fit.penalty == grid[int(np.argmin(fit.validation_mse))]


@pytest.mark.parametrize("width", [20, 150])
def test_leave_one_out_errors_are_exact(width: int) -> None:
    x, y = _data(25, width)
    grid = [0.5, 50.0]
    fit = fit_ridge(x, y, penalties=grid, standardise=False)
    for penalty, error in zip(grid, fit.validation_mse, strict=True):
        left_out = []
        for row in range(25):
            keep = np.arange(25) != row
            one = fit_ridge(x[keep], y[keep], penalties=[penalty], standardise=False)
            left_out.append(np.square(one.predict(x[row : row + 1]) - y[row]).mean())
        # Leaving a row out also moves the mean: the formula is exact up to that, of order 1/n.
        assert error == pytest.approx(float(np.mean(left_out)), rel=0.02)


def test_refitting_uses_all_rows() -> None:
    x, y = _data(40, 60)
    xv, yv = _data(40, 60, seed=1)
    xt, yt = _data(200, 60, seed=2)
    first = fit_ridge(x, y, xv, yv)
    again = fit_ridge(x, y, xv, yv, refit=True)
    assert again.penalty == first.penalty
    assert _error(again.predict(xt), yt) < _error(first.predict(xt), yt)


def test_modules_predict_what_their_fits_do() -> None:
    x, y = _data(50, 30)
    xv, yv = _data(20, 30, seed=1)
    fits: list[Any] = [
        fit_ridge(x, y, xv, yv),
        fit_kernel(x, y, xv, yv),
        fit_pca_ridge(x, y, xv, yv, 8),
        fit_procrustes(x, y, xv, yv, 8),
    ]
    rows = torch.from_numpy(xv).float()
    for fit in fits:
        with torch.no_grad():
            found = fit.module()(rows).numpy()
        np.testing.assert_allclose(found, fit.predict(rows.numpy()), rtol=0, atol=2e-4)
        assert _error(fit.predict(xv), yv) < 0.5 * np.square(yv - y.mean(0)).mean()


def test_a_kernel_follows_a_bend_that_no_line_does() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 3))
    y = np.abs(x) @ generator.normal(size=(3, 4))
    parts = x[:250], y[:250], x[250:300], y[250:300]
    line, bend = fit_ridge(*parts), fit_kernel(*parts, refit=True)
    errors = [_error(fit.predict(x[300:]), y[300:]) for fit in (line, bend)]
    assert errors[1] < 0.2 * errors[0]


def test_gain_matches_the_norms() -> None:
    target = np.random.default_rng(0).normal(size=(50, 6))
    mean = target.mean(0)
    shrunk = mean + 0.5 * (target - mean)
    assert matching_gain(shrunk, target, mean) == pytest.approx(2)


def test_solving_is_deterministic() -> None:
    x, y = _data(60, 90)
    first, second = (fit_ridge(x, y) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)
