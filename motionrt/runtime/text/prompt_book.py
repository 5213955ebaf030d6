"""Prompt books: stored text embeddings, so that known prompts need no language model.

A safetensors file with one tensor ``embeddings`` float32, (N, W), or (N, L, W) for models that take
several tokens of a text, where a token of zeros is none; its metadata hold the prompts (cleaned, as
JSON) and what made the embeddings.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file, refuse_lfs_pointer
from motionrt.runtime.text.prompt import clean_prompt

FORMAT, VERSION = "motionrt-prompt-book", "1"
NUM_NEAREST = 3
"""Known prompts that a refusal names."""


class PromptBook:
    """Embeddings by cleaned prompt."""

    def __init__(
        self,
        prompts: Sequence[str],
        embeddings: NDArray[np.float32],
        encoder: Mapping[str, Any] | None = None,
        place: str = "prompt book",
    ) -> None:
        """Take cleaned prompts with their embeddings (N, W) or (N, L, W); encoder: what made them.

        InputError if they are not as many, a prompt is there twice or a value is not finite.
        """
        shape = embeddings.shape
        if len(shape) not in (2, 3) or shape[0] != len(prompts) or 0 in shape[1:]:
            raise InputError(
                f"{place}: {len(prompts)} prompts, embeddings of shape {embeddings.shape}"
            )
        if embeddings.dtype != np.float32:
            raise InputError(f"{place}: embeddings are {embeddings.dtype}, expected float32")
        if not np.isfinite(embeddings).all():
            raise InputError(f"{place}: embeddings hold values that are not finite")
        self.prompts = tuple(prompts)
        self.embeddings = embeddings
        self.encoder = dict(encoder or {})
        self.place = place
        self._rows = {prompt: row for row, prompt in enumerate(self.prompts)}
        if len(self._rows) != len(self.prompts):
            twice = next(p for i, p in enumerate(self.prompts) if self._rows[p] != i)
            raise InputError(f"{place}: {twice!r} is there twice")

    @property
    def width(self) -> int:
        """Numbers in an embedding, of a token if there are several."""
        return int(self.embeddings.shape[-1])

    @property
    def num_tokens(self) -> int:
        """The most tokens of a prompt; 1 where an embedding stands for all of it."""
        return int(self.embeddings.shape[1]) if self.embeddings.ndim == 3 else 1

    @staticmethod
    def from_rows(
        rows: Mapping[str, NDArray[np.float32]], encoder: Mapping[str, Any], place: str
    ) -> PromptBook:
        """Make a book of embeddings by prompt: all (W,), or (L, W) of any L, filled with zeros."""
        found = list(rows.values())
        if found and found[0].ndim == 2:
            most = max(len(row) for row in found)
            found = [np.pad(row, ((0, most - len(row)), (0, 0))) for row in found]
        return PromptBook(list(rows), np.stack(found), encoder, place)

    def __len__(self) -> int:
        return len(self.prompts)

    def __contains__(self, prompt: object) -> bool:
        return isinstance(prompt, str) and (
            prompt in self._rows or clean_prompt(prompt) in self._rows
        )

    def lookup(self, prompt: str) -> NDArray[np.float32]:
        """Return a prompt's embedding (W,) or (L, W), cleaned or not.

        InputError names the nearest if it is unknown.
        """
        cleaned = prompt if prompt in self._rows else clean_prompt(prompt)
        if cleaned not in self._rows:
            nearest = ", ".join(repr(known) for known in self.nearest(cleaned))
            raise InputError(f"{self.place}: no prompt {cleaned!r}; nearest are {nearest}")
        row: NDArray[np.float32] = self.embeddings[self._rows[cleaned]]
        return row

    def nearest(self, prompt: str, count: int = NUM_NEAREST) -> list[str]:
        """Return the known prompts most like one: by their words, then by their letters."""
        import difflib

        cleaned = clean_prompt(prompt)
        words = set(cleaned.lower().rstrip(".").split())

        def likeness(known: str) -> tuple[float, float]:
            own = set(known.lower().rstrip(".").split())
            shared = len(words & own) / max(len(words | own), 1)
            return shared, difflib.SequenceMatcher(None, cleaned, known).quick_ratio()

        return sorted(self.prompts, key=likeness, reverse=True)[:count]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "prompts": json.dumps(self.prompts, ensure_ascii=False),
            "encoder": json.dumps(self.encoder, sort_keys=True),
        }
        return save({"embeddings": np.ascontiguousarray(self.embeddings)}, metadata)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the book; InputError if the place cannot be written."""
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.to_bytes())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> PromptBook:
        """Read a book; InputError if the file is none, or damaged."""
        place = str(path)
        refuse_lfs_pointer(path)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT or "embeddings" not in file.keys():
                    raise InputError(f"{place}: is no prompt book; make one with: motionrt embed")
                if metadata.get("version") != VERSION:
                    raise InputError(
                        f"{place}: prompt book of version {metadata.get('version')}, this runtime "
                        f"reads {VERSION}; make it again with: motionrt embed"
                    )
                embeddings = file.get_tensor("embeddings")
        except FileNotFoundError:
            raise InputError(f"{place}: no such file") from None
        except InputError:
            raise
        # The package's own errors, and NumPy's for a type that it does not have.
        except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: cannot be read as a prompt book ({error})") from None
        try:
            prompts = json.loads(metadata.get("prompts", ""))
            encoder = json.loads(metadata.get("encoder", "{}"))
            json.dumps([prompts, encoder], ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # with half a character, too
            raise InputError(f"{place}: its list of prompts is damaged") from None
        listed = isinstance(prompts, list) and all(isinstance(p, str) for p in prompts)
        if not listed or not isinstance(encoder, dict):
            raise InputError(f"{place}: its list of prompts is damaged")
        return PromptBook(prompts, embeddings, encoder, place)


def read_prompts(path: str | os.PathLike[str]) -> list[str]:
    """Read a text file of one prompt a line; return them cleaned, each once, in order.

    Blank lines and lines that begin with ``#`` are left out; ``-`` is standard input. InputError
    if none is left.
    """
    try:
        if str(path) == "-":
            text = sys.stdin.read()
        else:
            text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; prompts are read from a text file, one on each line, or from "
            "standard input (-)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from None
    lines = (line.strip() for line in text.splitlines())
    cleaned = (clean_prompt(line) for line in lines if line and not line.startswith("#"))
    prompts = list(dict.fromkeys(prompt for prompt in cleaned if prompt))
    if not prompts:
        raise InputError(f"{path}: holds no prompts; write one on each line")
    return prompts
