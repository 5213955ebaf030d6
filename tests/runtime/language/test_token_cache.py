from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.graph import Arrays
from motionrt.runtime.bundle.manifest import GraphInfo, TensorInfo
from motionrt.runtime.errors import InputError
from motionrt.runtime.language.token_cache import ShortHead, TokenCache

SIZE = 11
SHORT = ShortHead("short_rows", "short_logits", 6, 4)
KEPT = ("batch", 1, "past_tokens", 1)


class Adder:
    """A graph of no runtime: the likeliest next token is the sum of all that a row holds."""

    name = "language_model"
    runs_on = "numpy"
    info = GraphInfo(
        files={},
        inputs=(
            TensorInfo("input_ids", ("batch", "tokens"), "int64"),
            TensorInfo("lengths", ("batch",), "int64"),
            TensorInfo("logit_rows", ("batch", "rows"), "int64"),
            TensorInfo("short_rows", ("batch", "short_rows"), "int64"),
            TensorInfo("past_key_0", KEPT, "float32"),
        ),
        outputs=(
            TensorInfo("logits", ("batch", "rows", SIZE), "float32"),
            TensorInfo("short_logits", ("batch", "short_rows", 4), "float32"),
            TensorInfo("present_key_0", ("batch", 1, "all_tokens", 1), "float32"),
        ),
        atol=0,
    )

    def __init__(self) -> None:
        self.read: list[list[list[int]]] = []
        """The new tokens of each call."""
        self.heads: list[tuple[int, int]] = []
        """How many rows of logits were asked of each head."""
        self.room: list[int] = []

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        given = {name: np.asarray(value) for name, value in inputs.items()}
        ids, lengths, past = given["input_ids"], given["lengths"], given["past_key_0"].copy()
        tokens = ids.shape[1]
        first = tokens == lengths.max()
        likeliest = np.zeros((len(ids), tokens), np.int64)
        for row, length in enumerate(lengths):
            start = 0 if first else length - tokens
            count = length if first else tokens
            past[row, 0, start : start + count, 0] = ids[row, :count]
            for place in range(count):
                likeliest[row, place] = past[row, 0, : start + place + 1, 0].sum() % SIZE
        logits = np.eye(SIZE, dtype=np.float32)[likeliest]

        def head(name: str) -> NDArray[np.float32]:
            return np.take_along_axis(logits, given[name][..., None], axis=1)

        self.read.append(ids.tolist())
        self.heads.append((given["logit_rows"].shape[1], given["short_rows"].shape[1]))
        self.room.append(past.shape[2])
        return {
            "logits": head("logit_rows"),
            "short_logits": head("short_rows")[..., 6:10],
            "present_key_0": past,
        }


def next_of(logits: NDArray[np.float32]) -> list[int]:
    return [int(i) for i in logits.argmax(axis=-1)]


def test_rows_of_any_lengths_are_read_on_together() -> None:
    graph = Adder()
    cache = TokenCache(graph, 2, 100, SHORT)
    assert next_of(cache.read([[1, 2, 3], [5]])) == [6, 5]
    assert next_of(cache.read([[1], [4]])) == [7, 9]
    assert cache.rows == [[1, 2, 3, 1], [5, 4]]
    assert graph.read[1] == [[1], [4]]
    with pytest.raises(ValueError, match="as many new tokens"):
        cache.read([[1], [2, 3]])


def test_of_a_text_that_was_begun_only_the_rest_is_read() -> None:
    graph = Adder()
    cache = TokenCache(graph, 1, 100, SHORT)
    assert next_of(cache.read_anew([[1, 2, 3]])) == [6]
    assert next_of(cache.read_anew([[1, 2, 3, 4, 5]])) == [15 % SIZE]
    assert next_of(cache.read_anew([[1, 2, 9]])) == [12 % SIZE]
    assert next_of(cache.read_anew([[1, 2]])) == [3]
    assert next_of(cache.read_anew([[7]])) == [7]
    assert [call[0] for call in graph.read] == [[1, 2, 3], [4, 5], [9], [2], [7]]
    assert cache.rows == [[7]]


def test_several_rows_are_read_from_the_beginning() -> None:
    graph = Adder()
    cache = TokenCache(graph, 2, 100, SHORT)
    cache.read_anew([[1, 2], [3]])
    assert next_of(cache.read_anew([[1, 2, 1], [4]])) == [4, 4]
    assert graph.read[1] == [[1, 2, 1], [4, 0, 0]]


def test_the_short_head_is_asked_alone_where_it_will_do() -> None:
    graph = Adder()
    cache = TokenCache(graph, 1, 100, SHORT)
    whole = cache.read([[3]], short=True)  # nothing was read before: the whole head
    assert np.isfinite(whole).all()
    part = cache.read([[4]], short=True)
    assert next_of(part) == [7]
    assert np.isneginf(part[0, [*range(6), 10]]).all() and np.isfinite(part[0, 6:10]).all()
    assert next_of(cache.read([[2]])) == [9]
    assert graph.heads == [(1, 0), (0, 1), (1, 0)]


def test_memory_grows_by_steps_up_to_the_bound() -> None:
    graph = Adder()
    cache = TokenCache(graph, 1, 200, SHORT)
    total = 0
    for number in range(200):
        total += number % 5
        assert next_of(cache.read([[number % 5]])) == [total % SIZE]
    assert sorted(set(graph.room)) == [128, 200]
    with pytest.raises(InputError, match="201 tokens: this model takes 200"):
        cache.read([[1]])
    assert len(cache.rows[0]) == 200
    cache.forget([3])
    assert next_of(cache.read([[4]])) == [(0 + 1 + 2 + 4) % SIZE]


def test_a_text_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no tokens"):
        TokenCache(Adder(), 1, 10, SHORT).read([[]])
