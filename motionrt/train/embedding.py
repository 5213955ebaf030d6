"""Embed texts with an encoder's checkpoint, each text once: results are kept in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from motionrt.export.streaming import LARGE_BYTES, weights_bytes
from motionrt.export.text_encoder import TextEncoderSource, text_encoder_graph
from motionrt.runtime.errors import InputError
from motionrt.runtime.text.prompt_book import PromptBook

Progress = Callable[[int, int], None]


class CachedEncoder:
    """A text encoder in float32 whose embeddings are stored in a prompt book beside others."""

    def __init__(
        self, source: TextEncoderSource, folder: Path | None, progress: Progress | None = None
    ) -> None:
        """Take an encoder and the folder of its cache; None keeps nothing.

        progress is told texts done and texts in all.
        """
        self.source = source
        self.progress = progress
        self.identity = {
            "fingerprint": source.fingerprint,
            "rules": source.rules.to_dict(),
            "pooling": source.options.pooling,
            "output_layer": source.options.output_layer,
            "normalise": source.options.normalise,
            "projector": dict(source.projector_metadata) if source.projector else None,
        }
        key = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]
        self.path = None if folder is None else folder / f"{source.name}-{key}.safetensors"
        self._known: dict[str, NDArray[np.float32]] = {}
        if self.path is not None and self.path.exists():
            book = PromptBook.load(self.path)
            if book.width != source.text_width or book.encoder != self.identity:
                raise InputError(f"{self.path}: belongs to another encoder; remove it")
            self._known = dict(zip(book.prompts, book.embeddings, strict=True))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (N, W) of cleaned texts."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            # A large encoder reads all its weights for every batch, so it takes large ones.
            size = 16 if weights_bytes(self.source.weights) < LARGE_BYTES else 1024
            module = text_encoder_graph(self.source).module
            for start in range(0, len(missing), size):
                batch = missing[start : start + size]
                ids = (torch.from_numpy(array) for array in self.source.tokenizer.encode(batch))
                with torch.no_grad():
                    rows = module(*ids).numpy()
                self._known.update(zip(batch, rows, strict=True))
                if self.progress is not None:
                    self.progress(min(start + size, len(missing)), len(missing))
            self._save()
        return np.stack([self._known[text] for text in texts])

    def _save(self) -> None:
        if self.path is not None:
            rows = np.stack(list(self._known.values()))
            PromptBook(list(self._known), rows, self.identity).save(self.path)
