"""Token after token: choose one, run the model on, until every row has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.language.sampling import ANY, Choice, SamplingRules, choose_token

Heard = Callable[[int, int], None]
"""Called as (row, token id) for every token as it is chosen; an exception it raises cancels."""


class Grammar(Protocol):
    """What may follow in one row."""

    def choice(self) -> Choice:
        """Say what the next token may be."""

    def accept(self, token: int) -> bool:
        """Take the token that was chosen; True if nothing more is wanted."""


@dataclass(frozen=True)
class Always:
    """A grammar in which the same tokens may follow everywhere."""

    what: Choice = ANY

    def choice(self) -> Choice:
        """Say what the next token may be."""
        return self.what

    def accept(self, token: int) -> bool:
        """Want more, whatever came."""
        return False


def continue_tokens(
    first: NDArray[np.float32],
    advance: Callable[[NDArray[np.int64], int], NDArray[np.float32]],
    rules: SamplingRules,
    end_ids: Sequence[int],
    max_tokens: int,
    *,
    generators: Sequence[np.random.Generator] = (),
    grammars: Sequence[Grammar] = (),
    heard: Heard | None = None,
    logits: list[NDArray[np.float32]] | None = None,
) -> list[list[int]]:
    """Choose tokens until every row has ended; return the ids of each row, its end included.

    Args:
        first: logits (B, V) of the token that follows the prompts.
        advance: given the ids (B,) that were chosen and how many were before them, runs the model
            on (with the keys and values that it keeps) and returns the next logits (B, V). A row
            that has ended is fed the first end id.
        rules: how a token is chosen.
        end_ids: each ends a row.
        max_tokens: of a row at most.
        generators: one a row, for rules that draw; a row's draws do not depend on the others.
        grammars: one a row, or none.
        heard: told of every token.
        logits: if given, gets each step's raw (B, V).

    Raises:
        ValueError: rules that draw, without generators.
    """
    batch = len(first)
    if rules.draws and len(generators) != batch:
        raise ValueError("rules that draw need a generator a row")
    made: list[list[int]] = [[] for _ in range(batch)]
    ended = np.zeros(batch, np.bool_)
    raw = first
    for step in range(max_tokens):
        if logits is not None:
            logits.append(raw)
        chosen = np.full(batch, end_ids[0], np.int64)
        for row in range(batch):
            share = generators[row].random() if rules.draws else 0.0
            if ended[row]:
                continue
            choice = grammars[row].choice() if grammars else ANY
            token = choose_token(raw[row], made[row], rules, share, choice)
            chosen[row] = token
            made[row].append(token)
            ended[row] = token in end_ids
            if grammars and grammars[row].accept(token):
                ended[row] = True
            if heard is not None:
                heard(row, token)
        if ended.all() or step == max_tokens - 1:
            break
        raw = advance(chosen, step)
    return made
