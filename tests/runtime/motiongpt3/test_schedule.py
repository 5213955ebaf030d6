import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.motiongpt3.schedule import (
    SOLVER_NAMES,
    latent_schedule,
    linear_alphas_cumprod,
)


@pytest.mark.parametrize("solver", SOLVER_NAMES)
@pytest.mark.parametrize("num_steps", [1, 2, 10, 1000])
def test_a_perfect_prediction_arrives(solver: str, num_steps: int) -> None:
    table = latent_schedule(num_steps, solver)
    clean, noise = 0.7, -1.3
    signal = linear_alphas_cumprod()[table.timesteps[0]]
    x, x0 = np.sqrt(signal) * clean + np.sqrt(1 - signal) * noise, 0.0
    for timestep, c in zip(table.timesteps, table.coefficients.astype(np.float64), strict=True):
        signal = linear_alphas_cumprod()[timestep]
        predicted = (x - np.sqrt(signal) * clean) / np.sqrt(1 - signal)
        x0, previous = c[0] * x + c[1] * predicted, x0
        assert x0 == pytest.approx(clean, abs=1e-4)
        x = c[2] * x + c[3] * x0 + c[4] * previous
    assert x == pytest.approx(clean, abs=1e-4)


def test_the_ancestral_solver_keeps_the_variance_of_each_step() -> None:
    table = latent_schedule(20)
    alphas = linear_alphas_cumprod()[table.timesteps]
    c = table.coefficients.astype(np.float64)
    for i in range(19):
        # Of pure noise, its prediction known: the share of noise at the next step.
        spread = np.sqrt(1 - alphas[i])
        variance = (c[i, 2] * spread) ** 2 + c[i, 5] ** 2
        assert variance == pytest.approx(1 - alphas[i + 1], rel=1e-4)
    assert c[19, 5] == 0


def test_temperature_scales_the_added_noise_only() -> None:
    plain, cool = latent_schedule(10), latent_schedule(10, temperature=0.5)
    np.testing.assert_array_equal(cool.coefficients[:, :5], plain.coefficients[:, :5])
    np.testing.assert_allclose(cool.coefficients[:, 5], plain.coefficients[:, 5] * 0.5)
    assert not latent_schedule(10, "ddim").coefficients[:, 5].any()


@pytest.mark.parametrize(
    "arguments", [(0,), (1001,), (10, "euler"), (10, "ancestral", -1.0), (10, "ddim", float("nan"))]
)
def test_what_there_is_not_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(InputError):
        latent_schedule(*arguments)  # type: ignore[arg-type]
