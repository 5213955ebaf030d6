"""The text encoder of a bundle: cleaned prompts to embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backends import Backend
from motionrt.runtime.errors import InputError
from motionrt.runtime.manifest import Bundle
from motionrt.runtime.session import Session
from motionrt.runtime.tokenizer import TextTokenizer

GRAPH = "text_encoder"


class Encoder(Protocol):
    """What turns cleaned prompts into embeddings."""

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as kept beside what it made."""

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (B, W)."""


class BundleTextEncoder:
    """A bundle's tokenizer and encoder graph. Safe to use from several threads."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Load both; InputError if the bundle holds none."""
        if GRAPH not in bundle.manifest.graphs:
            raise InputError(f"{bundle.folder}: holds no text encoder; export with --text-encoder")
        name = str(bundle.manifest.text["tokenizer"])
        bundle.check_hashes([name])
        self.tokenizer = TextTokenizer(bundle.path(name), bundle.manifest.text["rules"])
        self._session = Session(bundle, GRAPH, backend)
        self._text = bundle.manifest.text
        self._precision = bundle.manifest.graphs[GRAPH].precision

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as kept beside what it made."""
        keys = ("encoder", "name", "fingerprint", "framing", "pooling", "text_width")
        told = {key: self._text[key] for key in keys if key in self._text}
        return {**told, "precision": self._precision}

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (B, W) of prompts as they are: clean them first."""
        ids, attention_mask, pool_mask = self.tokenizer.encode(prompts)
        feed = {"input_ids": ids, "attention_mask": attention_mask, "pool_mask": pool_mask}
        (embedding,) = self._session.run(feed).values()
        return np.asarray(embedding, np.float32)
