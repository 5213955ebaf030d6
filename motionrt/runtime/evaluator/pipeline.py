"""An evaluator's bundle, loaded: texts and motions to embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.manifest import Bundle, Count
from motionrt.runtime.errors import InputError
from motionrt.runtime.evaluator.words import PARTS, UNKNOWN, Tokens, WordTable
from motionrt.runtime.humanml.features import NUM_FEATURES
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline, Progress
from motionrt.runtime.request import Request

Floats = NDArray[np.float32]
MAX_FRAMES = 196
"""Motions are padded to so many frames, as in training: what is behind a motion's end reaches its
last token."""
FRAMES_A_TOKEN = 4
WORDS_FILE, VECTORS_FILE = "words.txt", "words.safetensors"
_ROWS = 32


class EvaluatorText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text section of an evaluator's bundle."""

    words: str
    """File of words, one a line."""
    vectors: str
    """File of their vectors."""
    width: Count
    """Of an embedding."""


class Evaluator(Pipeline):
    """Networks that say how near a motion is to a text: ``encode_texts`` and ``encode_motions``."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take a checked bundle of an evaluator."""
        super().__init__(bundle, backend)
        text = bundle.section("text", EvaluatorText)
        self.width = text.width
        bundle.require("text_encoder", {"words": (), "parts": (len(PARTS),)}, ("embedding",))
        bundle.require("motion_encoder", {"features": (NUM_FEATURES,)}, ("embedding",))
        bundle.check_hashes([text.words, text.vectors])
        words = bundle.path(text.words).read_text(encoding="utf-8").split("\n")
        vectors = bundle.read_tensors(text.vectors).get("vectors")
        if vectors is None or vectors.ndim != 2 or len(vectors) != len(words):
            raise bundle.unfit(f"{text.vectors} has no vector for each of {len(words)} words")
        self.words = WordTable({word: row for row, word in enumerate(words)}, vectors)
        if UNKNOWN not in self.words.words:
            raise bundle.unfit(f"{text.words} has no {UNKNOWN}, for words that it does not have")

    def encode_texts(self, texts: Sequence[Tokens]) -> Floats:
        """Return the embeddings (B, W) of texts, given as tokens (``walk/VERB``)."""
        words, parts, lengths = self.words.encode(texts)
        return self._embed("text_encoder", {"words": words, "parts": parts, "lengths": lengths})

    def encode_motions(self, clips: Sequence[ArrayLike]) -> Floats:
        """Return the embeddings (B, W) of features (T, 263), T from 4 to 196.

        Frames beyond a multiple of four are not seen.
        """
        batch = np.zeros((len(clips), MAX_FRAMES, NUM_FEATURES), np.float32)
        lengths = np.zeros(len(clips), np.int64)
        for row, clip in enumerate(clips):
            features = np.asarray(clip, np.float32)
            if features.ndim != 2 or features.shape[1] != NUM_FEATURES:
                raise InputError(f"features are {features.shape}, should be (T, {NUM_FEATURES})")
            count = len(features) // FRAMES_A_TOKEN * FRAMES_A_TOKEN
            if not FRAMES_A_TOKEN <= count <= MAX_FRAMES:
                raise InputError(
                    f"{len(features)} frames: the evaluator takes {FRAMES_A_TOKEN} to {MAX_FRAMES}"
                )
            batch[row, :count] = features[:count]
            lengths[row] = count
        return self._embed("motion_encoder", {"features": batch, "lengths": lengths})

    def _embed(self, name: str, inputs: dict[str, NDArray[np.generic]]) -> Floats:
        """Run a graph on some rows at a time; none gives none."""
        graph, made = self.graph(name), [np.zeros((0, self.width), np.float32)]
        count = len(inputs["lengths"])
        for start in range(0, count, _ROWS):
            rows = {key: value[start : start + _ROWS] for key, value in inputs.items()}
            made.append(graph.run(rows)["embedding"])
        return np.concatenate(made)

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        return 0

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        raise InputError(
            f"{self.manifest.name}: an evaluator judges motions and makes none; use it in "
            "motionrt evaluate"
        )

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        self._check(request, frames)
        return []

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        """Refuse: there is no motion to time."""
        raise InputError(f"{self.manifest.name}: an evaluator makes no motions to time")
