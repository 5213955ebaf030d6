"""Calibrate the hint: measure what a model can show, and fit a judge of prompts to it."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from motionrt.runtime.errors import MotionWarning
from motionrt.runtime.text.familiarity import Judge, stems
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default import asked, corpus
from motionrt.train.default.corpus import entries
from motionrt.train.default.deeds import Deed

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Cleaned prompts to text vectors (N, W)."""

SECONDS, NUM_SEEDS, FIRST_SEED = 5.0, 2, 500
CAN_SHARE, CANNOT_SHARE = 0.75, 0.5
"""A wording is known if so many seeds do it, and not known if no more than the other do."""
MIN_WORDINGS = 0.7
"""Share of a deed's wordings that must be known for a hint to name it."""
SAYINGS = 12
"""Ways in which each phrase is said."""
NUM_FOLDS = 5
MAX_HINTED, MIN_HINTED = 0.05, 0.92
"""A judge hints below even odds, or less readily: until so few of the left-out phrases that the
model can do are hinted, or no more than so many of those that it cannot."""
NUM_JOINED = 250
"""Sentences that ask for two things at once."""
NUM_OTHER = 150
MIN_PHRASES = 2
"""Phrases that a word must stand in to be known: what stands in one alone teaches the judge what
an unknown word means."""
NUM_HIDDEN, NUM_EPOCHS = 64, 20
WEIGHT_DECAY, WORD_DECAY, VECTOR_NOISE = 1.0, 5e-5, 0.5


@dataclass(frozen=True)
class Phrase:
    """Something to ask for, in several sentences, and whether the model can."""

    can: bool
    sentences: tuple[str, ...]


def measure(pipeline: Any, deeds: Sequence[Deed], told: Callable[[str], None]) -> dict[str, float]:
    """Give for every wording the share of seeds whose motion does what it asks for."""
    shares = {}
    for deed in deeds:
        for wording in deed.wordings:
            prompt = asked.said(wording, 1, np.random.default_rng(0))[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MotionWarning)  # the measure judges
                motions = pipeline.generate_many(
                    prompt, seconds=SECONDS, seed=FIRST_SEED, num_samples=NUM_SEEDS
                )
            shares[wording] = float(np.mean([deed.passes(motion) for motion in motions]))
        found = ", ".join(f"{w.replace('^', '')} {shares[w]:.0%}" for w in deed.wordings)
        told(f"{deed.name or '...'}: {found}")
    return shares


def known_actions(shares: Mapping[str, float], deeds: Sequence[Deed]) -> list[str]:
    """List what a hint may say that the model knows: deeds of which most wordings work."""
    known = []
    for deed in deeds:
        found = [shares[wording] >= CAN_SHARE for wording in deed.wordings]
        if deed.name and np.mean(found) >= MIN_WORDINGS:
            known.append(deed.name)
    return known


def phrases(shares: Mapping[str, float], deeds: Sequence[Deed]) -> list[Phrase]:
    """List what people ask for, with what was measured of it."""
    random = np.random.default_rng(0)
    found = []
    for deed in deeds:
        for wording in deed.wordings:
            share = shares[wording]
            if CANNOT_SHARE < share < CAN_SHARE:
                continue
            said = tuple(asked.said(wording, SAYINGS, random))
            found.append(Phrase(share >= CAN_SHARE, said))
    found += [Phrase(False, tuple(asked.said(p, SAYINGS, random))) for p in asked.beyond()]
    found += [Phrase(False, (text,)) for text in asked.other_texts(random, NUM_OTHER)]
    named = [deed.wordings for deed in deeds if deed.name]
    for _ in range(NUM_JOINED if len(named) > 1 else 0):
        first, then = random.choice(len(named), 2, replace=False)
        both = asked.joined(named[int(first)], named[int(then)], random)
        found.append(Phrase(False, tuple(asked.said(both, 2, random))))
    return found


def fit(listed: Sequence[Phrase], encode: Encode, seed: int = 0) -> tuple[Judge, dict[str, float]]:
    """Fit a judge to phrases, to hint below even odds or a little less readily.

    Returns it with how it does on phrases that were left out, each fifth in turn: the shares of
    those that the model can and cannot do that are hinted.
    """
    vectors = _encoded(listed, encode)
    folds = [zlib.crc32(phrase.sentences[0].encode()) % NUM_FOLDS for phrase in listed]
    odds: dict[bool, list[NDArray[np.float64]]] = {True: [], False: []}
    for fold in range(NUM_FOLDS):
        parts = list(zip(listed, folds, strict=True))
        judge = _fit([phrase for phrase, part in parts if part != fold], vectors, seed)
        for phrase, part in parts:
            if part == fold:
                found = [judge.can(vectors[text], text) for text in phrase.sentences]
                odds[phrase.can].append(np.array(found))
    limit = min(0.0, max(_below(odds[True], MAX_HINTED), _below(odds[False], MIN_HINTED)))
    report = {
        f"{name}, hinted": float(np.mean([float((o < limit).mean()) for o in odds[can]] or [0.0]))
        for name, can in (("can", True), ("cannot", False))
    }
    judge = _fit(listed, vectors, seed)
    return replace(judge, bias=judge.bias - limit), report


def _below(odds: Sequence[NDArray[np.float64]], share: float) -> float:
    """Return the odds below which this share of phrases lies, each phrase counting once."""
    if not odds:
        return 0.0
    values = np.concatenate(odds)
    weights = np.concatenate([np.full(len(found), 1 / len(found)) for found in odds])
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])


def _encoded(listed: Sequence[Phrase], encode: Encode) -> dict[str, NDArray[np.float32]]:
    texts = list(dict.fromkeys(text for phrase in listed for text in phrase.sentences))
    return dict(zip(texts, encode([clean_prompt(text) for text in texts]), strict=True))


def _fit(listed: Sequence[Phrase], vectors: Mapping[str, NDArray[np.float32]], seed: int) -> Judge:
    """Fit by logistic regression; every phrase counts once, however often it is said."""
    phrase_words = [{w for text in p.sentences for w in stems(text)} for p in listed]
    counts = Counter(word for words in phrase_words for word in words)
    strangers = _stranger_words(listed)
    vocabulary = sorted(
        word for word, count in counts.items() if count >= MIN_PHRASES and word not in strangers
    )
    index = {word: i for i, word in enumerate(vocabulary)}
    width = len(next(iter(vectors.values())))
    blank = Judge(
        dict.fromkeys(vocabulary, 0.0),
        np.zeros((NUM_HIDDEN, width + 2), np.float32),
        np.zeros(NUM_HIDDEN, np.float32),
        np.zeros(NUM_HIDDEN, np.float32),
        0.0,
    )
    rows = [(text, p.can, 1 / len(p.sentences)) for p in listed for text in p.sentences]
    inputs = torch.from_numpy(np.stack([blank.inputs(vectors[t], t) for t, _, _ in rows]))
    words = torch.zeros(len(rows), len(vocabulary))
    for row, (text, _, _) in enumerate(rows):
        words[row, [index[word] for word in set(stems(text)) if word in index]] = 1
    target = torch.tensor([float(can) for _, can, _ in rows])
    weight = torch.tensor([share for _, _, share in rows])
    for side in (0.0, 1.0):
        weight[target == side] /= weight[target == side].sum() + 1e-9
    generator = torch.Generator().manual_seed(seed)
    model = _Network(width + 2, len(vocabulary), generator)
    optimizer = torch.optim.AdamW(
        [
            {"params": [model.words], "weight_decay": 0.0},
            {
                "params": [model.hidden, model.hidden_bias, model.output],
                "weight_decay": WEIGHT_DECAY,
            },
            {"params": [model.bias], "weight_decay": 0.0},
        ],
        lr=1e-2,
    )
    size = 256
    steps = NUM_EPOCHS * max(1, len(rows) // size)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.multinomial(weight, min(size, len(rows)), True, generator=generator)
        x = inputs[batch]
        noise = VECTOR_NOISE * torch.randn(x[:, :width].shape, generator=generator)
        x = torch.cat((x[:, :width] + noise, x[:, width:]), dim=1)
        loss = nn.functional.binary_cross_entropy_with_logits(model(x, words[batch]), target[batch])
        torch.autograd.backward(loss + WORD_DECAY * model.words.square().sum())
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    weights = model.words.detach().numpy()
    return Judge(
        {word: float(weights[i]) for word, i in index.items()},
        model.hidden.detach().numpy(),
        model.hidden_bias.detach().numpy(),
        model.output.detach().numpy(),
        float(model.bias.detach()),
    )


def _stranger_words(listed: Sequence[Phrase]) -> set[str]:
    """Return the words of unusual subjects alone.

    The judge shall not know them, so that it learns: an unknown word may be who does it.
    """
    usual = [*entries(asked.SUBJECTS), *entries(corpus.SUBJECTS)]
    plain = [phrase.sentences[0] for phrase in listed]
    elsewhere = {word for text in (*usual, *plain) for word in stems(text)}
    return {word for text in entries(asked.STRANGERS) for word in stems(text)} - elsewhere


class _Network(nn.Module):
    """What `Judge.can` computes, for batches."""

    def __init__(self, width: int, num_words: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(NUM_HIDDEN, width, generator=generator) / width**0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(NUM_HIDDEN))
        self.output = nn.Parameter(torch.randn(NUM_HIDDEN, generator=generator) / NUM_HIDDEN**0.5)
        self.words = nn.Parameter(torch.zeros(num_words))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        hidden = torch.relu(x @ self.hidden.T + self.hidden_bias)
        result: Tensor = hidden @ self.output + self.bias + words @ self.words
        return result
