from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.errors import BundleError
from motionrt.runtime.text.familiarity import Judge, KnownPrompts, stems, thin_out

KNOWN = KnownPrompts(np.eye(3, dtype=np.float32), 0.5, ("walk", "run", "jump"))


def test_a_known_prompt_gives_no_hint() -> None:
    assert KNOWN.hint([[0.9, 0.1, 0]], "walk") is None


def test_a_foreign_prompt_gives_one_line_that_names_what_is_known() -> None:
    hint = KNOWN.hint([5, 5, 5], "juggle")
    assert hint is not None and "\n" not in hint
    assert "'juggle'" in hint and "walk, run and jump" in hint


def test_described_and_read_it_is_the_same() -> None:
    read = KnownPrompts.from_manifest(KNOWN.describe(), {"centres": KNOWN.centres})
    assert read.radius == KNOWN.radius and read.actions == KNOWN.actions


@pytest.mark.parametrize("arrays", [{}, {"centres": np.zeros((0, 3))}, {"centres": np.zeros(3)}])
def test_what_does_not_fit_is_refused(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError):
        KnownPrompts.from_manifest(KNOWN.describe(), arrays)


def test_thinned_out_rows_cover_all() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    rows, radius = thin_out(vectors, 40)
    assert len(set(rows.tolist())) == 40
    distances = np.linalg.norm(vectors[:, None] - vectors[rows][None], axis=-1).min(1)
    assert distances.max() == pytest.approx(radius, rel=1e-5)
    assert radius < np.linalg.norm(vectors, axis=-1).max()


def test_one_action_is_named_alone() -> None:
    hint = KnownPrompts(np.eye(3, dtype=np.float32), 0.5, ("walk",)).hint([5, 5, 5], "juggle")
    assert hint is not None and hint.endswith("it knows walk")


JUDGE = Judge(
    {"walk": 3.0, "swim": -3.0},
    np.array([[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]], np.float32),
    np.zeros(2, np.float32),
    np.array([1, -8], np.float32),
    0.5,
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Walks, walking 12 dances!", ["walk", "walk", "#", "danc"]),
        ("running runs", ["run", "run"]),
        ("a dance, she sits", ["a", "danc", "she", "sit"]),
        ("人が歩く", ["人が歩く"]),
        ("...", []),
    ],
)
def test_words_are_known_by_their_stems(prompt: str, expected: list[str]) -> None:
    assert stems(prompt) == expected


def test_a_judge_decides_by_words_and_vector() -> None:
    known = KnownPrompts(KNOWN.centres, KNOWN.radius, KNOWN.actions, JUDGE)
    far = [[5, 5, 5]]
    assert known.hint(far, "walks") is None  # far from every centre, and yet known
    assert known.hint([[0, 0, 0]], "swims") is not None
    assert JUDGE.can([0, 0, 0], "walk walking") == pytest.approx(3.5)  # a word counts once
    assert JUDGE.can([0, 0, 0], "gargles") == pytest.approx(0.5 - 8)  # all of it unknown
    assert JUDGE.can([2, 0, 0], "") == pytest.approx(2.5)


def test_a_judge_is_read_as_it_was_written() -> None:
    arrays = KnownPrompts(KNOWN.centres, KNOWN.radius, KNOWN.actions, JUDGE).arrays()
    read = KnownPrompts.from_manifest(KNOWN.describe(), arrays).judge
    assert read is not None
    assert read.words == JUDGE.words and read.bias == JUDGE.bias
    np.testing.assert_array_equal(read.hidden, JUDGE.hidden)


def test_a_judge_that_does_not_fit_is_refused() -> None:
    arrays = KnownPrompts(KNOWN.centres, KNOWN.radius, KNOWN.actions, JUDGE).arrays()
    for change in (
        {"judge.hidden": np.zeros((2, 9), np.float16)},
        {"judge.word_weights": np.zeros(7, np.float16)},
        {"judge.words": np.frombuffer(b"\xff\xff", np.uint8)},
    ):
        with pytest.raises(BundleError, match="export the bundle again"):
            KnownPrompts.from_manifest(KNOWN.describe(), {**arrays, **change})
    del arrays["judge.output"]
    with pytest.raises(BundleError, match=r"judge.*output"):
        KnownPrompts.from_manifest(KNOWN.describe(), arrays)
