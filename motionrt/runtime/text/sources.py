"""Cleaned prompts to embeddings: by a bundle's encoder, its prompt book, or a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Graph
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import InputError
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.runtime.text.tokenizer import TextTokenizer

GRAPH = "text_encoder"
MAX_PROMPT_WORDS = 1000
"""A longer prompt is refused: the encoders see a few hundred words at most."""
MAX_KNOWN = 256
"""Embeddings that are remembered."""


class EncoderInfo(msgspec.Struct, frozen=True):
    """What a manifest's text section says of an encoder; further keys describe it."""

    tokenizer: str
    rules: dict[str, Any]
    """As ``TextRules.to_dict`` gives them."""


class BookInfo(msgspec.Struct, frozen=True):
    """What a manifest's text section says of a prompt book."""

    prompt_book: str | None = None


class Encoder(Protocol):
    """What turns cleaned prompts into embeddings."""

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as kept beside what it made."""

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (B, W), or (B, L, W) of several tokens."""


class BundleTextEncoder:
    """A bundle's tokenizer and encoder graph. Safe to use from several threads."""

    def __init__(self, bundle: Bundle, graph: Graph | Backend) -> None:
        """Take the encoder's graph, or a backend to load it on; InputError if there is none."""
        if GRAPH not in bundle.manifest.graphs:
            raise InputError(
                f"{bundle.folder}: this {bundle.manifest.family} bundle holds no text encoder; "
                "take one that was exported with --text-encoder"
            )
        text = bundle.section("text", EncoderInfo)
        bundle.check_hashes([text.tokenizer])
        self.tokenizer = TextTokenizer(bundle.path(text.tokenizer), text.rules)
        self._graph = open_graph(bundle, GRAPH, graph) if isinstance(graph, Backend) else graph
        self._text = bundle.manifest.text
        self._precision = bundle.manifest.graphs[GRAPH].precision

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as kept beside what it made."""
        keys = ("encoder", "name", "fingerprint", "framing", "pooling", "text_width")
        told = {key: self._text[key] for key in keys if key in self._text}
        return {**told, "precision": self._precision}

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (B, W) of prompts as they are: clean them first.

        (B, L, W) from a graph that gives those of its tokens.
        """
        ids, attention_mask, pool_mask = self.tokenizer.encode(prompts)
        feed = {"input_ids": ids, "attention_mask": attention_mask, "pool_mask": pool_mask}
        (embedding,) = self._graph.run(feed).values()
        return np.asarray(embedding, np.float32)


class TextSources:
    """Where a bundle's text embeddings come from, one cleaned prompt at a time.

    A server, if one is given, is asked for all. Else the bundle's prompt book is looked into, then
    its encoder runs; a bundle with a book alone refuses what the book does not know.
    """

    def __init__(self, bundle: Bundle, graph: Callable[[], Graph]) -> None:
        """Take a bundle, and what loads its encoder's graph when that is first needed."""
        self.bundle = bundle
        self._book_name = bundle.section("text", BookInfo).prompt_book
        self.server: Encoder | None = None
        self._graph = graph
        self._encoder: BundleTextEncoder | None = None
        self._book: PromptBook | None = None
        self._known: dict[str, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    @property
    def book(self) -> PromptBook | None:
        """The bundle's prompt book, loaded at first use."""
        name = self._book_name
        if self._book is None and name is not None:
            self.bundle.check_hashes([name])
            book = PromptBook.load(self.bundle.path(name))
            book.place = str(self.bundle.folder / name)  # as its owner knows it
            self._book = book
        return self._book

    def encode(self, prompt: str) -> NDArray[np.float32]:
        """Return the embedding, (W,) or (L, W), of one cleaned prompt; the last are remembered.

        One at a time: a batch would only be faster with a GPU, and alone is how models were
        trained.
        """
        with self._lock:
            if prompt not in self._known:
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[prompt] = self._encode(prompt)
            return self._known[prompt]

    def encode_all(
        self, texts: Sequence[str], width: int, clean: Callable[[str], str], most_tokens: int = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Clean and encode prompts.

        Returns text features (B, L, W) and a mask (B, L); a blank prompt is all zero and False. L
        is 1 but where embeddings are of several tokens: then as many as the longest prompt has,
        and a token of zeros is none. InputError if a prompt is too long or the bundle holds no
        text encoder, BundleError if embeddings are not width numbers, or of more than most_tokens.
        """
        found = [np.zeros((0, width), np.float32)] * len(texts)
        for row, text in enumerate(texts):
            _check_words(text)
            cleaned = clean(text)
            if cleaned:
                embedding = self.encode(cleaned)
                tokens = embedding.reshape(-1, width) if embedding.shape == (width,) else embedding
                if tokens.ndim != 2 or tokens.shape[1] != width or len(tokens) > most_tokens:
                    several = f" or (1 to {most_tokens}, {width})" if most_tokens > 1 else ""
                    raise self.bundle.unfit(
                        f"embeddings of texts have the shape {embedding.shape}, not "
                        f"({width},){several}"
                    )
                found[row] = tokens
        features = np.zeros((len(texts), max([1, *map(len, found)]), width), np.float32)
        mask = np.zeros(features.shape[:2], np.bool_)
        for row, tokens in enumerate(found):
            features[row, : len(tokens)] = tokens
            # One that stands for the whole prompt is a token whatever it is.
            mask[row, : len(tokens)] = len(tokens) == 1 or np.any(tokens != 0, -1)
        return features, mask

    def check(self, texts: Sequence[str], clean: Callable[[str], str]) -> None:
        """Raise InputError for a prompt that `encode_all` would refuse; nothing is encoded."""
        for text in texts:
            _check_words(text)
            cleaned = clean(text)
            if cleaned and self.server is None:
                self._stored(cleaned)

    def _stored(self, prompt: str) -> NDArray[np.float32] | None:
        """Return the book's embedding, None if the encoder is to make it.

        InputError if there is neither.
        """
        book, encodes = self.book, GRAPH in self.bundle.manifest.graphs
        if book is not None and (prompt in book or not encodes):
            return book.lookup(prompt)
        if not encodes:
            raise InputError(
                f"{self.bundle.folder}: holds neither text encoder nor prompt book; use a server "
                "(--text-encoder-url), give text embeddings (Pipeline.sample), or export with "
                "--text-encoder"
            )
        return None

    def _encode(self, prompt: str) -> NDArray[np.float32]:
        if self.server is not None:
            served: NDArray[np.float32] = self.server.encode([prompt])[0]
            return served
        stored = self._stored(prompt)
        if stored is not None:
            return stored
        if self._encoder is None:
            self._encoder = BundleTextEncoder(self.bundle, self._graph())
        encoded: NDArray[np.float32] = self._encoder.encode([prompt])[0]
        return encoded


def _check_words(text: object) -> None:
    if not isinstance(text, str):
        raise InputError("a prompt must be a text")
    words = len(text.split())
    if words > MAX_PROMPT_WORDS:
        raise InputError(
            f"prompt of {words} words: at most {MAX_PROMPT_WORDS}; describe one short motion"
        )
