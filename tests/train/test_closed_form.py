from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError
from motionrt.train import closed_form
from motionrt.train.closed_form import (
    SHRINKAGES,
    fit_kernel,
    fit_moments,
    fit_pca_ridge,
    fit_procrustes,
    fit_ridge,
    matching_gain,
    weighted_error,
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


WEIGHTS = np.array([1.0] * 8 + [9.0, 0.25, 30.0, 2.0])


@pytest.mark.parametrize("width", [20, 150])
def test_ridge_weighs_the_error_of_each_feature(width: int) -> None:
    x, y = _data(60, width)
    centred, wanted = x - x.mean(0), y - y.mean(0)
    fit = fit_ridge(x, y, x[:10], y[:10], [2.5], standardise=False, weights=WEIGHTS)
    own = WEIGHTS / WEIGHTS.mean()
    # No change of the weights lowers Σ w |XW - Y|² + penalty |W|²: its gradient is nothing there.
    gradient = own[:, None] * ((centred @ fit.weight.T - wanted).T @ centred) + 2.5 * fit.weight
    assert np.abs(gradient).max() < 1e-6 * np.abs(centred.T @ wanted).max()
    many = np.linspace(1, 9, 40)
    x, y = _data(60, width, out=40)
    fits = [
        fit_ridge(x, y, x[:10], y[:10], [2.5], standardise=False, weights=weights)
        for weights in (many, many[:1].repeat(40))
    ]
    column = fit_ridge(
        x, y[:, 7:8], x[:10], y[:10, 7:8], [2.5 / many[7] * many.mean()], standardise=False
    )
    np.testing.assert_allclose(fits[0].weight[7], column.weight[0], rtol=1e-6, atol=1e-9)
    assert not np.allclose(fits[0].weight, fits[1].weight)


def test_equal_weights_change_nothing() -> None:
    parts = (*_data(60, 90), *_data(30, 90, seed=1))
    plain, equal = fit_ridge(*parts), fit_ridge(*parts, weights=np.full(12, 7.0))
    np.testing.assert_array_equal(plain.weight, equal.weight)
    kernels = fit_kernel(*parts), fit_kernel(*parts, weights=np.full(12, 7.0))
    np.testing.assert_array_equal(kernels[0].weight, kernels[1].weight)


@pytest.mark.parametrize("solve", [fit_ridge, fit_kernel, fit_pca_ridge])
def test_weights_lower_the_error_of_what_weighs_most(solve: Any) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 80, 40))
    y = y[:, :12] + 0.2 * x[:, :12]
    y[:, 3] = x[:, :5].sum(1)  # the one feature that much can be known of
    weights = np.ones(12)
    weights[3] = 1000.0
    parts = x[:60], y[:60], x[60:], y[60:]
    errors = [
        _error(solve(*parts, weights=given).predict(x[60:])[:, 3], y[60:, 3])
        for given in (None, weights)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_weights_turn_a_rotation_to_what_weighs_most() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 12))
    turned, _ = np.linalg.qr(generator.normal(size=(12, 12)))
    y = x @ turned / np.sqrt(WEIGHTS)
    errors = [
        weighted_error(fit_procrustes(x, y, x, y, weights=given).predict(x), y, WEIGHTS)
        for given in (None, WEIGHTS)
    ]
    assert errors[1] < 0.2 * errors[0]


def test_validation_errors_are_weighted() -> None:
    x, y = _data(60, 20)
    xv, yv = _data(30, 20, seed=1)
    fit = fit_ridge(x, y, xv, yv, [1e-2, 100.0], weights=WEIGHTS)
    for penalty, error in zip((1e-2, 100.0), fit.validation_mse, strict=True):
        alone = fit_ridge(x, y, xv, yv, [penalty], weights=WEIGHTS)
        assert weighted_error(alone.predict(xv), yv, WEIGHTS) == pytest.approx(error, rel=1e-8)
    kernel = fit_kernel(x, y, xv, yv, weights=WEIGHTS)
    assert weighted_error(kernel.predict(xv), yv, WEIGHTS) == pytest.approx(
        kernel.validation_mse, rel=1e-5
    )


def test_moments_bring_mean_and_covariance() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 6)) @ generator.normal(size=(6, 6)) + 4
    y = generator.normal(size=(400, 6)) @ generator.normal(size=(6, 6)) - 1
    fit = fit_moments(x, y, x[:50], y[:50], shrinkages=(0.0,))
    out = fit.predict(x)
    np.testing.assert_allclose(out.mean(0), y.mean(0), atol=1e-9)
    np.testing.assert_allclose(np.cov(out.T), np.cov(y.T), atol=1e-8)
    np.testing.assert_allclose(fit.weight, fit.weight.T, atol=1e-9)
    alone = fit_moments(x, y, x[:50], y[:50], shrinkages=(1.0,))
    np.testing.assert_allclose(alone.predict(x).std(0), y.std(0), rtol=1e-9)
    assert np.count_nonzero(np.round(alone.weight, 12)) == 6
    with pytest.raises(InputError, match="take the linear kind"):
        fit_moments(x, y[:, :4], x, y[:, :4])


def test_moments_of_fewer_rows_than_features_are_finite() -> None:
    x, y = _data(20, 40, out=40)
    x[:, 7] = 3.0  # never changes
    fit = fit_moments(x, y, x[:5], y[:5])
    assert np.isfinite(fit.weight).all()
    assert fit.penalty in SHRINKAGES


def test_a_kernel_of_many_rows_is_searched_on_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_form, "KERNEL_SEARCH_ROWS", 100)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 3))
    y = np.abs(x) @ generator.normal(size=(3, 4))
    fit = fit_kernel(x[:250], y[:250], x[250:300], y[250:300])
    assert len(fit.centres) == 250
    assert _error(fit.predict(x[300:]), y[300:]) < 0.1 * y.var()
