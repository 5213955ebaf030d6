"""Does a model know what a prompt asks for? Small models know little, and should say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.errors import BundleError

FILE_NAME = "known_prompts.safetensors"


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
        return float(np.sqrt(np.square(self.centres - value).sum(-1).min()))

    def hint(self, vector: ArrayLike, prompt: str) -> str | None:
        """Give one line for a prompt that the model hardly knows; None if it does know it."""
        if self.distance(vector) <= self.radius:
            return None
        known = ", ".join(self.actions[:-1]) + f" and {self.actions[-1]}"
        return f"hint: {prompt!r} is far from what this model was trained on; it knows {known}"

    def describe(self) -> dict[str, Any]:
        """Give what a manifest says of it, beside the file of centres."""
        return {"file": FILE_NAME, "radius": self.radius, "actions": list(self.actions)}

    @staticmethod
    def from_manifest(
        described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> KnownPrompts:
        """Join what `describe` gave with the file's arrays; BundleError if they do not fit."""
        try:
            centres = np.asarray(arrays["centres"], np.float32)
            known = KnownPrompts(
                centres, float(described["radius"]), tuple(map(str, described["actions"]))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{FILE_NAME}: does not fit the manifest ({error})") from error
        if centres.ndim != 2 or not len(centres) or not known.actions:
            raise BundleError(f"{FILE_NAME}: centres are {centres.shape}, they must be (K, W)")
        return known


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
