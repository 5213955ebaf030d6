"""Tokens from logits, one after another: repetition penalty, banned ids, the best one or a draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GenerationRules:
    """How the next token is chosen."""

    repetition_penalty: float = 1.1
    """1 is off; above, tokens that were generated before (not those of the prompt) lose."""
    banned: tuple[int, ...] = ()
    """Ids that are never chosen."""
    draws: bool = False
    """Draw from the likeliest instead of taking the best."""
    top_k: int = 50
    """Draw from so many."""
    temperature: float = 1.0
    """Of a draw; higher varies more."""


def choose_tokens(
    logits: NDArray[np.float32],
    generated: NDArray[np.int64],
    rules: GenerationRules,
    generator: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return the next ids (B,) by logits (B, V) and what was generated so far (B, N).

    generator is needed by rules that draw.
    """
    scores = logits.astype(np.float32)
    if rules.repetition_penalty != 1 and generated.size:
        seen = np.take_along_axis(scores, generated, axis=1)
        penalty = np.float32(rules.repetition_penalty)
        np.put_along_axis(scores, generated, np.where(seen > 0, seen / penalty, seen * penalty), 1)
    scores[:, list(rules.banned)] = -np.inf
    if not rules.draws:
        return np.asarray(scores.argmax(axis=1), np.int64)
    if generator is None:
        raise ValueError("rules that draw need a generator")
    best = np.argsort(-scores, axis=1, kind="stable")[:, : rules.top_k]
    kept = np.take_along_axis(scores, best, axis=1).astype(np.float64)
    weights = np.exp((kept - kept[:, :1]) / rules.temperature)
    shares = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    drawn = (generator.random((len(scores), 1)) > shares).sum(axis=1)
    picked = np.take_along_axis(best, np.minimum(drawn, best.shape[1] - 1)[:, None], axis=1)
    return np.asarray(picked[:, 0], np.int64)


def continue_tokens(
    first: NDArray[np.float32],
    advance: Callable[[NDArray[np.int64], int], NDArray[np.float32]],
    rules: GenerationRules,
    end_id: int,
    max_tokens: int,
    generator: np.random.Generator | None = None,
    logits: list[NDArray[np.float32]] | None = None,
) -> NDArray[np.int64]:
    """Choose token after token until every row has ended; return ids (B, N).

    Args:
        first: logits (B, V) of the token that follows the prompts.
        advance: given the ids (B,) that were chosen and how many were before them, runs the model
            on (with the keys and values that it keeps) and returns the next logits (B, V).
        rules: how a token is chosen.
        end_id: ends a row, and fills it from there on.
        max_tokens: N at most.
        generator: needed by rules that draw.
        logits: if given, gets each step's raw (B, V).
    """
    batch = len(first)
    made = np.full((batch, 0), end_id, np.int64)
    ended = np.zeros(batch, np.bool_)
    raw = first
    for step in range(max_tokens):
        if logits is not None:
            logits.append(raw)
        chosen = np.where(ended, end_id, choose_tokens(raw, made, rules, generator))
        made = np.concatenate((made, chosen[:, None]), axis=1)
        ended |= chosen == end_id
        if ended.all() or step == max_tokens - 1:
            break
        raw = advance(chosen, step)
    return made
