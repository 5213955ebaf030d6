"""Finite scalar quantisation: each number of a latent has a few levels.

Source: Mentzer 2024, arXiv:2309.15505. Done on the host: a graph that rounded could not be compared
with another, since what lies between two levels may fall to either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.ardy.features import standard_scale
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
_WIDENED = 1.001
"""The range of the outermost levels is a little wider, so that they can be reached."""


class Quantizer:
    """The levels of latents (..., C), and how the denoiser sees them."""

    def __init__(
        self,
        levels: Sequence[int],
        mean: ArrayLike,
        std: ArrayLike,
        quantises: bool = True,
        normalises: bool = True,
    ) -> None:
        """Take (C,) levels and statistics; without quantises or normalises that is left out."""
        counts = np.asarray(levels, np.float32)
        self._half: Floats = (counts - 1) * np.float32(_WIDENED) / np.float32(2)
        self._offset = np.where(np.asarray(levels) % 2 == 0, 0.5, 0.0).astype(np.float32)
        self._shift: Floats = np.arctanh(self._offset / self._half)
        self._steps: Floats = np.floor(counts / np.float32(2))
        self._mean = np.asarray(mean).astype(np.float32)
        self._scale = standard_scale(np.asarray(std).astype(np.float32))
        self._quantises, self._normalises = quantises, normalises

    @classmethod
    def from_tables(
        cls, tables: Mapping[str, NDArray[Any]], quantises: bool, normalises: bool
    ) -> Quantizer:
        """Make the quantizer of a bundle's tables."""
        levels, mean, std = (tables[name] for name in ("levels", "latent_mean", "latent_std"))
        if levels.ndim != 1 or mean.shape != levels.shape or std.shape != levels.shape:
            raise InputError("levels and statistics of latents must be as many")
        if (levels < 2).any():
            raise InputError("a number of a latent must have 2 levels or more")
        return cls(levels.tolist(), mean, std, quantises, normalises)

    def quantize(self, encoded: ArrayLike) -> Floats:
        """Round what the encoder gives to its levels, from -1 to nearly or wholly 1."""
        bounded = np.tanh(np.asarray(encoded, np.float32) + self._shift) * self._half
        codes: Floats = np.rint(bounded - self._offset)
        result: Floats = codes / self._steps
        return result

    def latents(self, encoded: ArrayLike) -> Floats:
        """Turn what the encoder gives into latents as the denoiser sees them."""
        values = self.quantize(encoded) if self._quantises else np.asarray(encoded, np.float32)
        return self._normalized(values)

    def requantized(self, latents: ArrayLike) -> Floats:
        """Bring latents that the denoiser gave onto the grid of levels."""
        if not self._quantises:
            return np.asarray(latents, np.float32)
        return self._normalized(self._on_grid(self._unnormalized(latents)))

    def codes(self, latents: ArrayLike) -> Floats:
        """Turn latents into what the decoder takes: values on the grid of levels."""
        values = self._unnormalized(latents)
        return self._on_grid(values) if self._quantises else self.quantize(values)

    def _on_grid(self, values: Floats) -> Floats:
        # 1 is allowed here, though an even number of levels ends below it.
        result: Floats = np.rint(np.clip(values, -1, 1) * self._steps) / self._steps
        return result

    def _normalized(self, values: Floats) -> Floats:
        return (values - self._mean) / self._scale if self._normalises else values

    def _unnormalized(self, latents: ArrayLike) -> Floats:
        values = np.asarray(latents, np.float32)
        return values * self._scale + self._mean if self._normalises else values
