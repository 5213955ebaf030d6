"""The step table of a diffusion head that predicts noise, for its own sampler and for faster ones.

A step of the compiled loop is linear in what it knows,

    x0 = c0 x + c1 predicted_noise,   x' = c2 x + c3 x0 + c4 x0_previous + c5 noise,

so a solver is a table, made here in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.schedule import (
    Schedule,
    ddim,
    dpmpp_2m,
    respaced_timesteps,
    spaced_in_log_snr,
)

NUM_BASE_STEPS = 1000
FIRST_BETA, LAST_BETA = 0.00085, 0.012
SOLVER_NAMES = ("ancestral", "ddim", "dpmpp-2m")
"""``ancestral`` adds noise at every step, as in training and upstream; the others add none."""


def linear_alphas_cumprod() -> NDArray[np.float64]:
    """Return the share of signal variance left at each base step: variances rise linearly.

    The training code calls this schedule scaled_linear, and means another by it than others do.
    """
    betas = np.linspace(FIRST_BETA, LAST_BETA, NUM_BASE_STEPS)
    return np.cumprod(1 - betas, dtype=np.float64)


def ancestral_rows(alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return c2 to c5 (N, 4) for rising signal shares (N,): the posterior's mean and deviation.

    Source: Ho 2020, arXiv:2006.11239, equations 6 and 7; the last step adds no noise.
    """
    before = np.concatenate((np.ones(1), alphas[:-1]))
    betas = 1 - alphas / before
    rows = np.zeros((len(alphas), 4))
    rows[:, 0] = (1 - before) * np.sqrt(1 - betas) / (1 - alphas)
    rows[:, 1] = betas * np.sqrt(before) / (1 - alphas)
    rows[1:, 3] = np.sqrt(betas * (1 - before) / (1 - alphas))[1:]
    return rows


def latent_schedule(
    num_steps: int, solver: str = "ancestral", temperature: float = 1.0
) -> Schedule:
    """Make the table of num_steps steps, coefficients (N, 6).

    temperature scales the noise that ``ancestral`` adds: 1 is as trained, lower varies less.
    InputError for a solver or a number that there is not.
    """
    if not 1 <= num_steps <= NUM_BASE_STEPS:
        raise InputError(f"{num_steps} diffusion steps: must be from 1 to {NUM_BASE_STEPS}")
    if solver not in SOLVER_NAMES:
        raise InputError(f"solver {solver!r} is unknown; choose {', '.join(SOLVER_NAMES)}")
    if not (np.isfinite(temperature) and temperature >= 0):
        raise InputError(f"temperature {temperature}: must be 0 or more")
    signal = linear_alphas_cumprod()
    if solver == "dpmpp-2m":
        timesteps = spaced_in_log_snr(signal, num_steps)
    else:
        timesteps = respaced_timesteps(NUM_BASE_STEPS, num_steps)
    alphas = signal[timesteps]
    rows = np.zeros((num_steps, 6))
    rows[:, 0], rows[:, 1] = np.sqrt(1 / alphas), -np.sqrt(1 / alphas - 1)
    if solver == "ancestral":
        rows[:, 2:] = ancestral_rows(alphas)
        rows[:, 5] *= temperature
    else:
        make_rows = ddim if solver == "ddim" else dpmpp_2m
        rows[:, 2:5] = make_rows(alphas.astype(np.float32))
    return Schedule(timesteps[::-1].copy(), rows[::-1].astype(np.float32))
