"""Noise schedules and solvers as tables: one row a denoising step, made on the host.

Every deterministic solver here is linear in what a step knows,

    x' = a x + b x0 + c x0_previous,

so a compiled sampling loop takes (timestep, a, b, c) a row and a new solver needs no new export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

LOWEST_HALF_LOG_SNR = -4.5
"""Where ``log_snr_timesteps`` begins to denoise: signal is 1 % of the noise's size."""


@dataclass(frozen=True)
class Schedule:
    """The table of one sampling run, in the order in which the steps are taken."""

    timesteps: NDArray[np.int64]
    """(N,) steps of the base schedule, falling."""
    coefficients: NDArray[np.float32]
    """(N, C): what each step weighs its terms by. Here C is 3 (a, b, c); a head that predicts noise
    takes 6 (``motiongpt3.schedule``)."""


def cosine_betas(num_base_steps: int) -> NDArray[np.float32]:
    """Return the (num_base_steps,) variances of the cosine schedule.

    Source: Nichol 2021, arXiv:2102.09672, equation 17, each at most 0.999.
    """
    edges = np.arange(num_base_steps + 1, dtype=np.float64) / num_base_steps
    signal = np.cos((edges + 0.008) / 1.008 * np.pi / 2) ** 2
    betas: NDArray[np.float64] = np.minimum(1 - signal[1:] / signal[:-1], 0.999)
    return betas.astype(np.float32)


def alphas_cumprod(betas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of signal variance left after each step: the running product of 1 - beta."""
    kept = np.float32(1) - betas
    return np.cumprod(kept.astype(np.float64)).astype(np.float32)


def respaced_timesteps(num_base_steps: int, num_steps: int) -> NDArray[np.int64]:
    """Return num_steps base steps, rising, evenly spaced over the whole base schedule."""
    stride = np.float32((num_base_steps - 1) / max(1, num_steps - 1))
    steps = np.rint(np.arange(num_steps, dtype=np.float32) * stride).astype(np.int64)
    within: NDArray[np.int64] = np.minimum(steps, num_base_steps - 1)
    return within


def respaced_alphas_cumprod(
    base: NDArray[np.float32], timesteps: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the signal shares at the given rising base steps, by way of respaced betas."""
    kept = base[timesteps]
    before = np.concatenate((np.ones(1, np.float32), kept[:-1]))
    betas = np.float32(1) - kept / before
    product = np.cumprod((np.float32(1) - betas).astype(np.float64)).astype(np.float32)
    return np.maximum(product, np.float32(1e-9))


def ddim(alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return DDIM's rows (N, 3) for rising signal shares (N,); the first row is the last step.

    Source: Song 2021, arXiv:2010.02502, equation 12 with eta 0, and x0 as the prediction.
    """
    signal = alphas.astype(np.float64)
    before = np.concatenate((np.ones(1), signal[:-1]))
    a = np.sqrt((1 - before) / (1 - signal))
    b = np.sqrt(before) - a * np.sqrt(signal)
    return np.stack((a, b, np.zeros_like(a)), axis=1).astype(np.float32)


def dpmpp_2m(alphas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows (N, 3) of DPM-Solver++(2M) for rising signal shares (N,).

    Second-order multistep in the data-prediction form, with h the steps of the half log-SNR:

        x' = (sigma' / sigma) x - alpha' (e^-h - 1) ((1 + 1/2r) x0 - (1/2r) x0_previous),

    r = h_previous / h; first order in the first and the last step. Source: Lu 2022,
    arXiv:2211.01095, algorithm 2.
    """
    signal = alphas.astype(np.float64)
    before = np.concatenate((np.ones(1), signal[:-1]))
    rows = np.zeros((len(signal), 3))
    with np.errstate(divide="ignore"):
        half_log_snr = 0.5 * (np.log(signal) - np.log1p(-signal))
        next_half_log_snr = 0.5 * (np.log(before) - np.log1p(-before))
    step = next_half_log_snr - half_log_snr
    rows[:, 0] = np.sqrt((1 - before) / (1 - signal))
    rows[:, 1] = -np.sqrt(before) * np.expm1(-step)
    inner = slice(1, len(signal) - 1)  # rows rise; sampling runs from the last to the first
    half_over_r = 0.5 * step[inner] / step[2:]
    rows[inner, 2] = -rows[inner, 1] * half_over_r
    rows[inner, 1] *= 1 + half_over_r
    return rows.astype(np.float32)


def log_snr_timesteps(num_base_steps: int, num_steps: int) -> NDArray[np.int64]:
    """Return num_steps base steps of the cosine schedule, rising.

    The first that is taken is the noisiest, which brings x from pure noise to where the others,
    chosen by ``spaced_in_log_snr``, begin: without it the motion's faint beginnings are missing,
    and it ends elsewhere however many steps follow (10.7 cm of the default's joints).
    """
    alphas = alphas_cumprod(cosine_betas(num_base_steps))
    if num_steps < 3 or num_steps >= num_base_steps:
        return spaced_in_log_snr(alphas, num_steps)
    chosen = spaced_in_log_snr(alphas[:-1], num_steps - 1)
    return np.append(chosen, np.int64(num_base_steps - 1))


def spaced_in_log_snr(alphas: NDArray[np.floating[Any]], num_steps: int) -> NDArray[np.int64]:
    """Return num_steps base steps, rising, evenly spaced in the log of signal over noise.

    alphas are the signal shares of all base steps. The chosen ones begin at the clean end and stop
    at ``LOWEST_HALF_LOG_SNR``. A multistep solver's error goes with its steps in log-SNR, and the
    cosine schedule spends a third of its range on the last 1 % of the base steps: evenly spaced in
    time, the first step would be half of the whole way.
    """
    signal, num_base_steps = alphas.astype(np.float64), len(alphas)
    half_log_snr = 0.5 * (np.log(signal) - np.log1p(-signal))
    lowest = max(LOWEST_HALF_LOG_SNR, half_log_snr[-1])
    wanted = np.linspace(half_log_snr[0], lowest, num_steps)
    found = np.interp(-wanted, -half_log_snr, np.arange(num_base_steps))
    steps = np.rint(found).astype(np.int64)
    # Near the clean end base steps are far apart in log-SNR: no step is taken twice.
    index = np.arange(num_steps)
    steps = np.maximum.accumulate(steps - index) + index
    within: NDArray[np.int64] = np.minimum(steps, num_base_steps - num_steps + index)
    return within


@dataclass(frozen=True)
class Solver:
    """How a table is made: which base steps are taken, and their rows."""

    timesteps: Callable[[int, int], NDArray[np.int64]]
    """(num_base_steps, num_steps) -> rising base steps."""
    rows: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Rising signal shares (N,) -> (N, 3)."""


SOLVERS = {
    "ddim": Solver(respaced_timesteps, ddim),
    "dpmpp-2m": Solver(log_snr_timesteps, dpmpp_2m),
}


def cosine_schedule(num_base_steps: int, num_steps: int, solver: str = "ddim") -> Schedule:
    """Make the table of num_steps steps on the cosine schedule.

    InputError if num_steps is not from 1 to num_base_steps, or the solver is unknown.
    """
    if not 1 <= num_steps <= num_base_steps:
        raise InputError(f"{num_steps} diffusion steps: must be from 1 to {num_base_steps}")
    if solver not in SOLVERS:
        raise InputError(f"solver {solver!r} is unknown; choose {' or '.join(SOLVERS)}")
    timesteps = SOLVERS[solver].timesteps(num_base_steps, num_steps)
    alphas = respaced_alphas_cumprod(alphas_cumprod(cosine_betas(num_base_steps)), timesteps)
    rows = SOLVERS[solver].rows(alphas)
    return Schedule(timesteps[::-1].copy(), rows[::-1].copy())
