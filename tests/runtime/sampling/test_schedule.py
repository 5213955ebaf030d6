from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.schedule import (
    SOLVERS,
    alphas_cumprod,
    cosine_betas,
    cosine_schedule,
)


@given(st.integers(1, 1000), st.sampled_from(sorted(SOLVERS)))
def test_any_number_of_steps_ends_on_the_clean_prediction(num_steps: int, solver: str) -> None:
    schedule = cosine_schedule(1000, num_steps, solver)
    assert schedule.timesteps.shape == (num_steps,)
    assert schedule.coefficients.shape == (num_steps, 3)
    assert np.isfinite(schedule.coefficients).all()
    assert np.all(np.diff(schedule.timesteps) < 0)
    assert schedule.timesteps[-1] == 0
    np.testing.assert_allclose(schedule.coefficients[-1], [0, 1, 0], atol=1e-7)


@given(st.integers(2, 300), st.sampled_from(sorted(SOLVERS)))
def test_a_motion_that_is_predicted_right_is_reached_exactly(num_steps: int, solver: str) -> None:
    """With a constant x0, x stays alpha x0 + sigma eps for one eps, whatever the solver."""
    schedule = cosine_schedule(1000, num_steps, solver)
    x, x0, previous = 5.0, 2.0, 2.0
    for a, b, c in schedule.coefficients.astype(np.float64):
        x = a * x + b * x0 + c * previous
        assert abs(x) < 10
    np.testing.assert_allclose(x, x0, atol=1e-5)


@pytest.mark.parametrize(("num_steps", "solver"), [(0, "ddim"), (1001, "ddim"), (10, "euler")])
def test_refuses_what_no_schedule_has(num_steps: int, solver: str) -> None:
    with pytest.raises(InputError):
        cosine_schedule(1000, num_steps, solver)


def test_multistep_solver_is_evenly_spaced_in_log_snr() -> None:
    timesteps = cosine_schedule(1000, 20, "dpmpp-2m").timesteps
    signal = alphas_cumprod(cosine_betas(1000)).astype(np.float64)[timesteps]
    assert timesteps[0] == 999
    gaps = np.diff(0.5 * np.log(signal / (1 - signal))[1:])
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=0.45)


def _sample_mixture(num_steps: int, solver: str) -> np.ndarray:
    """Sample a mixture of two Gaussians, whose best prediction of x0 is known in closed form."""
    signal = alphas_cumprod(cosine_betas(1000)).astype(np.float64)
    x = np.random.default_rng(0).standard_normal(500)
    previous = np.zeros_like(x)
    schedule = cosine_schedule(1000, num_steps, solver)
    for timestep, (a, b, c) in zip(schedule.timesteps, schedule.coefficients, strict=True):
        alpha, noise, spread = np.sqrt(signal[timestep]), 1 - signal[timestep], 0.05
        total = alpha**2 * spread + noise
        means = np.array([-1.0, 1.5])
        error = x[:, None] - alpha * means
        share = np.exp(-0.5 * error**2 / total - (-0.5 * error**2 / total).max(1, keepdims=True))
        x0 = ((means + alpha * spread / total * error) * share).sum(1) / share.sum(1)
        x, previous = a * x + b * x0 + c * previous, x0
    return x


def test_multistep_solver_is_close_to_all_steps_where_ddim_needs_many_more() -> None:
    exact = _sample_mixture(1000, "ddim")

    def distance(num_steps: int, solver: str) -> float:
        return float(np.abs(_sample_mixture(num_steps, solver) - exact).mean())

    assert distance(20, "dpmpp-2m") < 0.8 * distance(20, "ddim")
    assert distance(40, "dpmpp-2m") < distance(60, "ddim")
    assert distance(25, "dpmpp-2m") < distance(12, "dpmpp-2m")
