"""The next token from logits: repetition penalty, banned ids, then the best one or a draw."""

from __future__ import annotations

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
