"""A dance of the robot G1, and how NumPy's other major version would pickle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import g1_hinges, motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton


@dataclass(frozen=True)
class Dance:
    """A motion of G1 at 50 frames a second."""

    rows: NDArray[np.float64]
    """(40, 36), MuJoCo's qpos with w x y z."""
    motion: Motion


@lru_cache
def dance() -> Dance:
    rng = np.random.default_rng(0)
    time = np.linspace(0, 0.78, 40)[:, None]
    low, high = g1_hinges().limits_rad.T * 0.6
    swing = np.sin(6 * time + rng.uniform(0, 6, 29))
    angles = (low + high) / 2 + (high - low) / 2 * swing
    half = 1.2 * time
    turns = np.concatenate([np.cos(half), 0.03 * time, 0.02 * time, np.sin(half)], axis=1)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    root = np.concatenate([time, 0.3 * time**2, 0.78 + 0.02 * np.sin(9 * time)], axis=1)
    rows = np.concatenate([root, turns, angles], axis=1)
    local, places = motion_arrays_from_qpos(rows)
    return Dance(rows, Motion.from_local(local, places, load_skeleton("g1"), 50))


def other_numpy(data: bytes) -> bytes:
    """Name NumPy's modules in a pickle of protocol 0 to 2 as its other major version does."""
    if b"cnumpy._core." in data:
        return data.replace(b"cnumpy._core.", b"cnumpy.core.")
    return data.replace(b"cnumpy.core.", b"cnumpy._core.")
