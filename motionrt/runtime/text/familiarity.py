"""Does a model know what a prompt asks for? Small models know little, and should say so."""

from __future__ import annotations

import re
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


_WORD = re.compile(r"[^\W\d_]+|\d+")
_ENDINGS = ("ing", "ed", "es", "s")
NUMBER = "#"
"""Stands for every number written in digits."""


def stems(prompt: str) -> list[str]:
    """List the words of a prompt without their usual English endings: walks, walking give walk.

    Crude, and enough to know a verb again: what it makes need be no word (dances gives danc).
    """
    result = []
    for word in _WORD.findall(prompt.lower()):
        if word.isdecimal():
            result.append(NUMBER)
            continue
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) >= len(ending) + 3:
                word = word.removesuffix(ending)
                if len(word) > 3 and word[-1] == word[-2]:
                    word = word[:-1]
                break
        result.append(word.removesuffix("e") if len(word) > 3 else word)
    return result


@dataclass(frozen=True)
class Judge:
    """Says whether a model can show what a prompt asks for, from its vector and its words.

    Two layers over the text vector and the share and number of words never seen, plus a weight
    for every word that was. It was fitted to prompts whose motions were measured.
    """

    words: Mapping[str, float]
    """Weight of each known word, by its stem."""
    hidden: NDArray[np.float32]
    """(H, W + 2), for the vector, the share of unknown words, and their number."""
    hidden_bias: NDArray[np.float32]
    """(H,)."""
    output: NDArray[np.float32]
    """(H,)."""
    bias: float

    def inputs(self, vector: ArrayLike, prompt: str) -> NDArray[np.float32]:
        """Join a text vector (W,) or (1, W) with what its words tell: (W + 2,)."""
        found = stems(prompt)
        unknown = sum(word not in self.words for word in found)
        told = (unknown / max(1, len(found)), min(unknown, 4))
        return np.append(np.asarray(vector, np.float32).reshape(-1), np.array(told, np.float32))

    def can(self, vector: ArrayLike, prompt: str) -> float:
        """Give the log odds that the model can: a hint is due below 0."""
        hidden = np.maximum(self.hidden @ self.inputs(vector, prompt) + self.hidden_bias, 0)
        words = sum(self.words.get(word, 0.0) for word in set(stems(prompt)))
        return float(self.output @ hidden + self.bias + words)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give it as arrays for a file."""
        text = "\n".join(self.words).encode()
        return {
            "judge.words": np.frombuffer(text, np.uint8),
            "judge.word_weights": np.array(list(self.words.values()), np.float32),
            "judge.hidden": self.hidden,
            "judge.hidden_bias": self.hidden_bias,
            "judge.output": self.output,
            "judge.bias": np.array([self.bias], np.float32),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]], width: int) -> Judge | None:
        """Read what `arrays` gave for text vectors of a width; None if there is none.

        ValueError if the arrays do not fit.
        """
        if not any(name.startswith("judge.") for name in arrays):
            return None
        try:
            words = arrays["judge.words"].tobytes().decode().split("\n")
            parts = {
                name: arrays[f"judge.{name}"]
                for name in ("word_weights", "hidden", "hidden_bias", "output", "bias")
            }
        except (KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"judge: {error}") from error
        rows = parts["hidden_bias"].size
        shapes = {
            "word_weights": (len(words),),
            "hidden": (rows, width + 2),
            "hidden_bias": (rows,),
            "output": (rows,),
            "bias": (1,),
        }
        for name, shape in shapes.items():
            part = parts[name]
            if part.shape != shape or not is_finite(part):
                raise ValueError(
                    f"judge.{name} is {part.dtype} {part.shape}, should be finite numbers {shape}"
                )
            parts[name] = part.astype(np.float32)
        return Judge(
            dict(zip(words, parts["word_weights"].tolist(), strict=True)),
            parts["hidden"],
            parts["hidden_bias"],
            parts["output"],
            float(parts["bias"][0]),
        )


@dataclass(frozen=True)
class KnownPrompts:
    """Text vectors of prompts that a model was trained on, thinned out."""

    centres: NDArray[np.float32]
    """(K, W) text vectors."""
    radius: float
    """A text vector farther than this from every centre is foreign to the model."""
    actions: tuple[str, ...]
    """What the model knows, in words."""
    judge: Judge | None = None
    """Decides instead of the radius, where a bundle has one."""

    def distance(self, vector: ArrayLike) -> float:
        """Measure how far a text vector (W,) or (1, W) is from the nearest centre."""
        value = np.asarray(vector, np.float32).reshape(-1)
        with np.errstate(over="ignore"):  # then it is infinitely far
            return float(np.sqrt(np.square(self.centres - value).sum(-1).min()))

    def hint(self, vector: ArrayLike, prompt: str) -> str | None:
        """Give one line for a prompt that the model hardly knows; None if it does know it."""
        if self.judge is not None:
            known = self.judge.can(vector, prompt) >= 0
        else:
            known = self.distance(vector) <= self.radius
        if known:
            return None
        *others, last = self.actions
        told = f"{', '.join(others)} and {last}" if others else last
        return f"hint: this model hardly knows what {prompt!r} asks for; it knows {told}"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays of its file; vectors and weights are rounded to half precision."""
        judge = {} if self.judge is None else self.judge.arrays()
        return {
            name: array.astype(np.float16) if array.dtype == np.float32 else array
            for name, array in {"centres": self.centres, **judge}.items()
        }

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
        try:
            judge = Judge.from_arrays(arrays, centres.shape[1])
        except ValueError as error:
            raise BundleError(f"{described.file}: {error}; export the bundle again") from error
        floats = centres.astype(np.float32)
        return KnownPrompts(floats, described.radius, described.actions, judge)


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
