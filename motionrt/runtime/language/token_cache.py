"""What a language model has read: rows of token ids, their keys and values with the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.graph import Graph
from motionrt.runtime.errors import InputError
from motionrt.runtime.language.cached_graph import CachedGraph

_PAST, _PRESENT = "past_", "present_"
_PAST_AXIS = "past_tokens"
_STEP = 128
"""Memory for keys and values is taken for so many tokens more at a time, or for half as many again
as there are."""


@dataclass(frozen=True)
class ShortHead:
    """A part of the vocabulary that a graph can give alone, in less time."""

    rows: str
    """The input that says for which columns."""
    logits: str
    """The output."""
    first_id: int
    count: int


class TokenCache:
    """Rows of tokens that are read once and kept. Not for several threads at once.

    The graph takes input_ids, lengths, logit_rows and the short head's rows, gives the logits of
    both heads, and writes its keys and values over those that it is given.
    """

    def __init__(self, graph: Graph, batch: int, max_tokens: int, short_head: ShortHead) -> None:
        """Begin with rows of nothing; max_tokens is how many a row may have."""
        carried = {
            tensor.name: _PRESENT + tensor.name.removeprefix(_PAST)
            for tensor in graph.info.inputs
            if tensor.name.startswith(_PAST)
        }
        sizes = {"batch": batch, _PAST_AXIS: 0}
        self._graph = CachedGraph(graph, carried, sizes, in_place=True)
        self._max_tokens = max_tokens
        self._short = short_head
        self._vocab_size = next(int(t.axes[-1]) for t in graph.info.outputs if t.name == "logits")
        self.rows: list[list[int]] = [[] for _ in range(batch)]
        """The ids that were read."""

    def read(self, rows: Sequence[Sequence[int]], *, short: bool = False) -> NDArray[np.float32]:
        """Read on, and return the logits (B, V) of the token that follows each row.

        The first rows may be of any lengths, those that follow of one. short: those of the short
        head alone are wanted, the others are -inf. InputError for too many tokens, or none.
        """
        counts = [len(row) for row in rows]
        if min(counts) < 1:
            raise InputError("a text of no tokens")
        lengths = [len(old) + count for old, count in zip(self.rows, counts, strict=True)]
        if max(lengths) > self._max_tokens:
            raise InputError(
                f"{max(lengths)} tokens: this model takes {self._max_tokens}; "
                "ask for less, or begin anew"
            )
        if any(self.rows) and len(set(counts)) > 1:
            raise ValueError("rows that go on must have as many new tokens each")
        self._make_room(max(lengths))
        input_ids = np.zeros((len(rows), max(counts)), np.int64)
        for row, ids in enumerate(rows):
            input_ids[row, : len(ids)] = ids
        last = np.array(counts, np.int64)[:, None] - 1
        nothing = np.zeros((len(rows), 0), np.int64)
        short = short and any(self.rows)
        inputs = {
            "input_ids": input_ids,
            "lengths": np.array(lengths, np.int64),
            "logit_rows": nothing if short else last,
            self._short.rows: last if short else nothing,
        }
        wanted = self._short.logits if short else "logits"
        found: NDArray[np.float32] = self._graph.run(inputs, [wanted])[wanted][:, 0]
        for old, new in zip(self.rows, rows, strict=True):
            old.extend(new)
        if not short:
            return found
        whole = np.full((len(rows), self._vocab_size), -np.inf, np.float32)
        whole[:, self._short.first_id : self._short.first_id + self._short.count] = found
        return whole

    def read_anew(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Read whole texts; of one that begins as the last one did, only what is new is read."""
        if len(rows) != 1:
            self.forget([0] * len(rows))
            return self.read(rows)
        (row,), (old,) = rows, self.rows
        same = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, row, strict=False))
        )
        self.forget([min(same, len(row) - 1)])  # the last token is read for its logits
        return self.read([row[len(old) :]])

    def forget(self, lengths: Sequence[int]) -> None:
        """Keep so many tokens of each row; what is read next takes the others' places."""
        for row, length in zip(self.rows, lengths, strict=True):
            del row[length:]

    def _make_room(self, count: int) -> None:
        have = self._graph.size(_PAST_AXIS)
        if count > have:
            wanted = max(count + _STEP, have * 3 // 2) // _STEP * _STEP
            self._graph.resize(_PAST_AXIS, min(max(wanted, count), self._max_tokens))
