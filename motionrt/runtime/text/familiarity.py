"""Does a model know what a prompt asks for? Small models know little, and should say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.errors import BundleError

FILE_NAME = "known_prompts.safetensors"


class KnownInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a manifest's text section says of known prompts."""

    file: str
    radius: float
    actions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class KnownPrompts:
    """Text vectors of prompts that a model was trained on, thinned out."""

    centres: NDArray[np.float32]
    """(K, W) text vectors."""
    radius: float
    """A text vector farther than this from every centre is foreign to the model."""
    actions: tuple[str, ...]
    """What the model knows, in words."""

    def distance(self, vector: ArrayLike) -> float:
        """Measure how far a text vector (W,) or (1, W) is from the nearest centre."""
        value = np.asarray(vector, np.float32).reshape(-1)
        with np.errstate(over="ignore"):  # then it is infinitely far
            return float(np.sqrt(np.square(self.centres - value).sum(-1).min()))

    def hint(self, vector: ArrayLike, prompt: str) -> str | None:
        """Give one line for a prompt that the model hardly knows; None if it does know it."""
        if self.distance(vector) <= self.radius:
            return None
        *others, last = self.actions
        known = f"{', '.join(others)} and {last}" if others else last
        return f"hint: {prompt!r} is far from what this model was trained on; it knows {known}"

    def describe(self) -> KnownInfo:
        """Give what a manifest says of it, beside the file of centres."""
        return KnownInfo(FILE_NAME, self.radius, self.actions)

    @staticmethod
    def from_manifest(
        described: KnownInfo, arrays: Mapping[str, NDArray[Any]], width: int | None = None
    ) -> KnownPrompts:
        """Join what `describe` gave with the file's arrays.

        BundleError if they do not fit, or are not of a width that text vectors have.
        """
        if "centres" not in arrays:
            raise BundleError(f"{described.file}: holds no centres; export the bundle again")
        centres = arrays["centres"]
        fits = centres.ndim == 2 and len(centres) and width in (None, centres.shape[1])
        if not fits or not is_finite(centres):
            raise BundleError(
                f"{described.file}: centres are {centres.dtype} {centres.shape}, not finite "
                f"numbers (K, {width or 'W'}); export the bundle again"
            )
        return KnownPrompts(centres.astype(np.float32), described.radius, described.actions)


def is_finite(array: NDArray[Any]) -> bool:
    """Say whether an array holds floats that all are finite as float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.dtype.kind == "f" and bool(np.isfinite(array.astype(np.float32)).all())


def thin_out(vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
    """Choose count rows of vectors (N, W) that lie far apart, by farthest-point selection.

    Returns their indices and how far the farthest row is from them.
    """
    chosen = [int(np.square(vectors - vectors.mean(0)).sum(-1).argmin())]
    distance = np.full(len(vectors), np.inf, np.float32)
    while True:
        distance = np.minimum(distance, np.square(vectors - vectors[chosen[-1]]).sum(-1))
        if len(chosen) >= min(count, len(vectors)):
            break
        chosen.append(int(distance.argmax()))
    return np.array(chosen, np.int64), float(np.sqrt(distance.max()))
