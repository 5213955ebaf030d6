from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.train.default import asked, calibration
from motionrt.train.default.calibration import Phrase, fit, known_actions, measure, phrases
from motionrt.train.default.deeds import DEEDS, Deed

WALK = Deed("walking", lambda motion: "walk" in str(motion), ("^walk", "^walk ahead"))
FAST = Deed("", lambda motion: True, ("^walk fast",))
SWIM = Deed("swimming", lambda motion: False, ("^swim", "^swim ahead"))


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """A text encoder that counts letters."""
    rows = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
    return np.array(rows, np.float32)


def test_wordings_are_measured_and_deeds_named_by_them() -> None:
    asked_for: list[str] = []

    def generate_many(prompt: str, **options: Any) -> list[str]:
        asked_for.append(prompt)
        return [prompt] * options["num_samples"]

    said: list[str] = []
    pipeline = SimpleNamespace(generate_many=generate_many)
    shares = measure(pipeline, (WALK, FAST, SWIM), said.append)
    assert asked_for[0] == "a person walks" and len(asked_for) == 5
    assert shares == {w: float("walk" in w) for deed in (WALK, FAST, SWIM) for w in deed.wordings}
    assert said[1] == "...: walk fast 100%" and said[2].startswith("swimming: swim 0%")
    assert known_actions(shares, (WALK, FAST, SWIM)) == ["walking"]


def test_what_was_neither_nor_is_not_learnt_from() -> None:
    shares = {"^walk": 1.0, "^walk ahead": 0.6, "^swim": 0.0, "^swim ahead": 0.5}
    listed = phrases(shares, (WALK, SWIM))
    sayings = {phrase.sentences[0]: phrase.can for phrase in listed}
    assert sayings["a person walks"] and not sayings["a person swims"]
    assert "a person walks ahead" not in sayings and not sayings["a person swims ahead"]
    assert not sayings["a person cooks dinner"] and not sayings["il marche"]
    assert any("then" in text for text in sayings)  # two at once


def test_a_phrase_is_said_in_different_ways() -> None:
    said = asked.said("^walk and ^sit down", 10, np.random.default_rng(0))
    assert said[0] == "a person walks and sits down"
    assert len(set(said)) == 10
    assert any("walking and sitting down" in text for text in said)


def test_a_judge_learns_words_and_doubts_what_it_never_saw() -> None:
    random = np.random.default_rng(0)
    known = ("walk", "run", "jump", "dance", "kick", "stand")
    strange = ("swim", "cook", "drive", "read", "juggle", "paint", "sew", "fly")
    listed = [
        Phrase(can, tuple(asked.said(f"^{verb} {way}".strip(), 6, random)))
        for can, verbs in ((True, known), (False, strange))
        for verb in verbs
        for way in ("", "again", "at home")
    ]
    listed += [Phrase(False, (text,)) for text in ("xq zzt wub", "brr kmm", "vlo ptt grm")]
    judge, report = fit(listed, letters)
    assert set(report) == {"can, hinted", "cannot, hinted"}

    def can(text: str) -> bool:
        return judge.can(letters([text])[0], text) >= 0

    assert can("a person walks") and can("a man dances")
    assert not can("a person swims") and not can("she juggles")
    assert not can("mrr gzk pqv")


def test_each_phrase_counts_once_where_a_share_of_them_lies() -> None:
    odds = [np.array([-4.0, -3.0, -2.0, -1.0]), np.array([1.0]), np.array([2.0]), np.array([3.0])]
    assert calibration._below(odds, 0.2) == -1.0  # a quarter are of the first
    assert calibration._below(odds, 0.5) == 1.0
    assert calibration._below([], 0.5) == 0.0


def test_a_judge_that_hints_too_readily_is_made_milder(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    # Every verb stands in one phrase: a left-out one is as strange as any other.
    verbs = ["".join(random.choice(list("abcdefgh"), 5)) for _ in range(80)]
    listed = [
        Phrase(number % 2 == 0, tuple(asked.said(f"^{verb}", 2, random)))
        for number, verb in enumerate(verbs)
    ]
    _, before = fit(listed, letters)
    monkeypatch.setattr(calibration, "MIN_HINTED", before["cannot, hinted"] / 2)
    _, after = fit(listed, letters)
    assert after["cannot, hinted"] == pytest.approx(before["cannot, hinted"] / 2, abs=0.03)
    assert after["can, hinted"] < before["can, hinted"]


def test_words_of_unusual_subjects_stay_strange() -> None:
    listed = [Phrase(True, ("a person hunts a dwarf", "a barber hunts a dwarf"))]
    strange = calibration._stranger_words(listed)
    assert "barber" in strange
    assert not strange & {"man", "woman", "dwarf", "a", "hunt", "hunts"}


def test_every_wording_is_said_once() -> None:
    wordings = [wording for deed in DEEDS for wording in deed.wordings]
    assert len(wordings) == len(set(wordings))
    assert all("^" in wording for wording in wordings)
    beyond = asked.beyond()
    assert not set(beyond) & set(wordings)
