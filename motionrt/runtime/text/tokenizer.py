"""Text to token ids, by a tokenizer.json and the rules that a bundle's manifest states."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from motionrt.runtime.errors import BundleError, one_line
from motionrt.runtime.files import refuse_lfs_pointer

_LARGEST_RULE = 1 << 30
"""Of a number in the rules."""


@dataclass(frozen=True)
class TextRules:
    """How a text becomes one row of ids, and which of its tokens are pooled."""

    prefix: str = ""
    """Put in front of the text; seen, not pooled (unless ``pool`` is "all")."""
    suffix: str = ""
    """Put behind the text; pooled with it."""
    trim_end: bool = False
    """Cut whitespace at the end of the text before the suffix."""
    special_tokens: bool = False
    """Let the tokenizer add its own, such as one that begins every text."""
    max_tokens: int = 512
    """Whole row, special tokens included; what is beyond is cut."""
    text_tokens: int | None = None
    """A text alone of more tokens is first cut to fewer words."""
    separator: str | None = None
    """A marker that LLM2Vec puts between prefix and text: a text that holds it is split there."""
    pool: str = "all"
    """"all": every real token; "text": as many last tokens as text and suffix alone have."""
    pool_skip: int = 0
    """Leave out so many of the first pooled tokens, where more than that are pooled."""
    repeat: bool = False
    """Write the text twice; with ``pool`` "text" the second, which has seen it all, is pooled."""
    pad_id: int = 0
    """Fills shorter rows at their end; masked, so its value does not matter."""

    @staticmethod
    def from_dict(rules: Mapping[str, Any]) -> TextRules:
        """Read the rules of a manifest; BundleError if a key is unknown or of another type."""
        known = {field.name: getattr(TextRules, field.name) for field in fields(TextRules)}
        for name, value in rules.items():
            if name not in known:
                raise BundleError(f"text rule {name!r} is unknown to this runtime; update motionrt")
            kinds = {"text_tokens": (int, type(None)), "separator": (str, type(None))}.get(
                name, (type(known[name]),)
            )
            whole = not isinstance(value, bool) or bool in kinds
            small = not isinstance(value, int) or abs(value) <= _LARGEST_RULE
            if not isinstance(value, kinds) or not whole or not small:
                raise BundleError(f"text rule {name} is {one_line(repr(value), 80)}")
        made = TextRules(**rules)
        counts = made.max_tokens, made.pool_skip + 1, made.pad_id + 1
        if made.pool not in ("all", "text") or min(counts) < 1:
            raise BundleError(f"text rules do not fit: {asdict(made)}")
        if made.repeat and made.pool != "text":
            raise BundleError("text rule repeat needs the pool rule text")
        if made.text_tokens is not None and made.text_tokens < 1:
            raise BundleError(f"text rule text_tokens is {made.text_tokens}")
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as a manifest states them, all of them."""
        return asdict(self)


class TextTokenizer:
    """A tokenizer file with the rules that go with it."""

    def __init__(
        self,
        tokenizer_json: str | os.PathLike[str] | bytes,
        rules: TextRules | Mapping[str, Any],
    ) -> None:
        """Load a tokenizer.json, or take its bytes; BundleError if it is none."""
        self.rules = rules if isinstance(rules, TextRules) else TextRules.from_dict(rules)
        place = "tokenizer.json" if isinstance(tokenizer_json, bytes) else str(tokenizer_json)
        if not isinstance(tokenizer_json, bytes):
            refuse_lfs_pointer(tokenizer_json, BundleError)
        try:
            data = (
                tokenizer_json
                if isinstance(tokenizer_json, bytes)
                else Path(tokenizer_json).read_bytes()
            )
        except OSError as error:
            raise BundleError(f"{place}: cannot be read ({error.strerror})") from None
        try:
            self._tokenizer = Tokenizer.from_str(data.decode("utf-8"))
        except Exception as error:  # the package raises Exception itself
            raise BundleError(f"{place}: no tokenizer ({_short(error)})") from None
        self._place = place
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.rules.max_tokens)

    @property
    def vocab_size(self) -> int:
        """One more than the highest id that can come out."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def token_id(self, token: str) -> int | None:
        """Return the id of a token by its text, None if there is none."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Return the text of token ids, special tokens written out or left out."""
        try:
            text: str = self._tokenizer.decode(
                [int(i) for i in ids], skip_special_tokens=skip_special
            )
        except Exception as error:
            raise BundleError(f"{self._place}: decodes no tokens ({_short(error)})") from None
        return text

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text alone: none of the rules, no tokens that it does not hold."""
        return self._ids(text, special_tokens=False)

    def encode(
        self, texts: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return input_ids, attention_mask and pool_mask, each (B, S) int64.

        Rows are padded at their end to the longest, S is at least 1. attention_mask is 1 where a
        token is real, pool_mask where it is pooled.
        """
        rows = [self._row(text) for text in texts]
        length = max([1, *(len(ids) for ids, _ in rows)])
        input_ids = np.full((len(rows), length), self.rules.pad_id, np.int64)
        attention_mask = np.zeros((len(rows), length), np.int64)
        pool_mask = np.zeros((len(rows), length), np.int64)
        for row, (ids, first_pooled) in enumerate(rows):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
            pool_mask[row, first_pooled : len(ids)] = 1
        return input_ids, attention_mask, pool_mask

    def _row(self, text: str) -> tuple[list[int], int]:
        """Return the ids of a text and the index of the first that is pooled."""
        rules = self.rules
        if rules.text_tokens is not None:
            text = self._shortened(text, rules.text_tokens)
        if rules.trim_end:
            text = text.rstrip()
        counted = text + rules.suffix
        if rules.separator and rules.separator in text:
            counted = text.split(rules.separator)[0]
            text = text.replace(rules.separator, "")
        if rules.repeat:
            text = f"{text} {text}"
        ids = self._ids(rules.prefix + text + rules.suffix, rules.special_tokens)
        start = 0
        if rules.pool == "text":
            num_pooled = min(len(self._ids(counted, False)), len(ids))
            # Nothing to pool means everything: what the reference's slice [-0:] takes.
            start = len(ids) - num_pooled if num_pooled else 0
        if len(ids) - start > rules.pool_skip:
            start += rules.pool_skip
        return ids, start

    def _shortened(self, text: str, max_tokens: int) -> str:
        """Keep as many words as the share of allowed tokens, until the text alone fits."""
        while (num_tokens := len(self._ids(text, False))) > max_tokens:
            words = text.split()
            text = " ".join(words[: int(len(words) * (max_tokens / num_tokens))])
        return text

    def _ids(self, text: str, special_tokens: bool) -> list[int]:
        try:
            found = self._tokenizer.encode(text, add_special_tokens=special_tokens)
        except Exception as error:  # the package raises Exception itself
            raise BundleError(f"{self._place}: encodes no text ({_short(error)})") from None
        ids: list[int] = found.ids
        return ids


def _short(error: Exception) -> str:
    return one_line(error, 120)
