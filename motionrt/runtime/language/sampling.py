"""A token from logits: what may follow, repetition, temperature, top-k, top-p, and a draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
LARGEST_TEMPERATURE = 100.0


@dataclass(frozen=True)
class SamplingRules:
    """How the next token is chosen. InputError for a number that makes no sense."""

    temperature: float = 1.0
    """0 takes the likeliest token; above, one is drawn, and higher varies more."""
    top_k: int = 0
    """Draw from so many of the likeliest; 0 is all."""
    top_p: float = 1.0
    """Draw from the fewest of the likeliest that have this share together; 1 is all."""
    repetition_penalty: float = 1.0
    """1 is off; above, tokens that were generated before (not those of the prompt) lose."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= LARGEST_TEMPERATURE:
            raise InputError(
                f"temperature {self.temperature}: must be 0 (the likeliest token) to "
                f"{LARGEST_TEMPERATURE:g}"
            )
        if self.top_k < 0:
            raise InputError(f"top-k {self.top_k}: must be 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p {self.top_p}: must be above 0, at most 1 (all tokens)")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise InputError(f"repetition penalty {self.repetition_penalty}: 1 is off, more is on")

    @property
    def draws(self) -> bool:
        """Whether chance decides."""
        return self.temperature > 0


@dataclass(frozen=True)
class Choice:
    """Which tokens may follow; with neither field every token may."""

    allowed: Ids | None = None
    """Ascending; only these."""
    banned: Ids | None = None
    """All but these."""


ANY = Choice()


def choose_token(
    logits: Floats,
    generated: Sequence[int],
    rules: SamplingRules,
    share: float = 0.0,
    choice: Choice = ANY,
) -> int:
    """Return the next id by logits (V,) and the ids that were generated so far.

    share is a draw from [0, 1), for rules that draw. The filters follow one another as in other
    runtimes: repetition penalty, what may follow, temperature, top-k, top-p.
    """
    scores = np.asarray(logits, np.float32)
    if rules.repetition_penalty != 1 and len(generated):
        seen = np.unique(np.asarray(generated, np.int64))
        penalty = np.float32(rules.repetition_penalty)
        scores = scores.copy()
        old = scores[seen]
        scores[seen] = np.where(old > 0, old / penalty, old * penalty)
    if choice.allowed is not None:
        return int(choice.allowed[_choose(scores[choice.allowed], rules, share)])
    if choice.banned is not None:
        scores = scores.copy()
        scores[choice.banned] = -np.inf
    return _choose(scores, rules, share)


def _choose(scores: Floats, rules: SamplingRules, share: float) -> int:
    if not rules.draws or len(scores) == 1:
        return int(scores.argmax())
    best = likeliest(scores, rules.top_k)
    kept = scores[best].astype(np.float64)
    with np.errstate(under="ignore"):
        weights = np.exp((kept - kept[0]) / rules.temperature)
    shares = np.cumsum(weights / weights.sum())
    if rules.top_p < 1:
        count = int((shares < rules.top_p).sum()) + 1
        shares = shares[:count] / shares[:count][-1]
    drawn = int((share > shares).sum())
    return int(best[min(drawn, len(shares) - 1)])


def likeliest(scores: Floats, count: int) -> Ids:
    """Return the indices of the highest scores (V,), highest first, of equal ones the first.

    count 0, or more than there are, is all of them. The rest are not put in order: of 152 thousand
    that would take as long as the model.
    """
    if not 0 < count < len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    found = np.flatnonzero(scores >= least)
    return np.asarray(found[np.argsort(-scores[found], kind="stable")][:count], np.int64)
