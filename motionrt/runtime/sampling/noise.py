"""Noise from a seed: the numbers that torch's CPU generator gives for the same seed and shapes.

Mersenne Twister with the plain initialisation, then Box-Muller as torch arranges it. The same
recipe is simple in C, so one seed is one motion everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

MAX_SEED = 2**32 - 1
"""Largest seed; upstream tools accept 0 to this."""
_BLOCK = 16


class TorchGenerator:
    """A stream of normal draws; consecutive calls continue it, as with ``torch.manual_seed``."""

    def __init__(self, seed: int) -> None:
        """Start the stream of a seed from 0 to ``MAX_SEED``; InputError outside."""
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed {seed}: must be from 0 to {MAX_SEED}")
        state = np.random.RandomState(seed).get_state(legacy=False)
        self._words = np.random.MT19937()
        self._words.state = cast(Any, state)
        self._spare: float | None = None

    def randn(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Draw standard normal values of a shape: what ``torch.randn(shape)`` gives on a CPU.

        Equal to torch's to 2e-6, which is how far torch's own vector units differ.
        """
        count = int(np.prod(shape, dtype=np.int64))
        if count < _BLOCK:
            values = np.array([self._single() for _ in range(count)], dtype=np.float32)
            return values.reshape(shape)
        uniform = self._uniform(count)
        blocks = count // _BLOCK * _BLOCK
        values = np.empty(count, dtype=np.float32)
        values[:blocks] = _box_muller(uniform[:blocks])
        if blocks != count:
            # torch draws the last block anew when the size is no multiple of it.
            values[-_BLOCK:] = _box_muller(self._uniform(_BLOCK))
        return values.reshape(shape)

    def _uniform(self, count: int) -> NDArray[np.float32]:
        """Draw values in [0, 1) with 24 random bits, a word each."""
        low_bits = self._words.random_raw(count) & 0xFFFFFF
        return low_bits.astype(np.float32) * np.float32(2.0**-24)

    def _single(self) -> float:
        """Draw one value by torch's path for fewer than 16: doubles, and a spare for next time."""
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        high_1, low_1, high_2, low_2 = (int(word) for word in self._words.random_raw(4))
        u1, u2 = (
            ((high << 32 | low) & (2**53 - 1)) * 2.0**-53
            for high, low in ((high_1, low_1), (high_2, low_2))
        )
        radius = np.sqrt(-2.0 * np.log1p(-u2))
        self._spare = float(radius * np.sin(2.0 * np.pi * u1))
        return float(radius * np.cos(2.0 * np.pi * u1))


def _box_muller(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn uniform values, whole blocks of 16, into normal ones, block by block.

    Functions are those of doubles, rounded: the nearest float32 on every machine, as in C and in
    the browser. NumPy's own for float32 differ in the last place between processors.
    """
    blocks = uniform.reshape(-1, 2, _BLOCK // 2)
    logarithm = np.log(1.0 - blocks[:, 0].astype(np.float64)).astype(np.float32)
    radius = np.sqrt(np.float32(-2.0) * logarithm)
    angle = (np.float32(2.0 * np.pi) * blocks[:, 1]).astype(np.float64)
    sides = [radius * function(angle).astype(np.float32) for function in (np.cos, np.sin)]
    return np.stack(sides, axis=1).reshape(-1)
