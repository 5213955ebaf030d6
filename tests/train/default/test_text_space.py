from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.train.default import text_space
from motionrt.train.default.text_space import TextSpace, embed_cached, text_vectors


@pytest.fixture
def space_and_texts() -> tuple[TextSpace, NDArray[np.float32]]:
    """Two meanings that differ in one direction, each in wordings that differ more in others."""
    random = np.random.default_rng(0)
    spread = np.linspace(1, 3, 12, dtype=np.float32)
    texts = random.normal(size=(200, 12)).astype(np.float32) * spread
    texts[:, 0] = np.repeat([-1, 1], 100) + 0.2 * random.normal(size=200)
    pairs = np.stack([np.arange(200), np.repeat([0, 1], 100)], axis=-1)
    return TextSpace.fit(texts, pairs, np.ones(200), 8), texts


def test_meanings_become_louder_than_wordings(
    space_and_texts: tuple[TextSpace, NDArray[np.float32]],
) -> None:
    space, texts = space_and_texts

    def ratio(vectors: NDArray[np.float32]) -> float:
        between = np.linalg.norm(vectors[:100].mean(0) - vectors[100:].mean(0))
        return float(between / np.sqrt(vectors[:100].var(0).sum()))

    assert ratio(space.project(texts)) > 1.5 * ratio(texts)


def test_vectors_have_the_promised_length(
    space_and_texts: tuple[TextSpace, NDArray[np.float32]],
) -> None:
    space, texts = space_and_texts
    assert space.width == 8
    length = np.linalg.norm(space.project(texts), axis=-1).mean()
    assert length == pytest.approx(np.sqrt(8), rel=1e-3)


def test_it_is_saved_whole(
    space_and_texts: tuple[TextSpace, NDArray[np.float32]], tmp_path: Path
) -> None:
    space, texts = space_and_texts
    space.save(tmp_path / "space.safetensors")
    loaded = TextSpace.load(tmp_path / "space.safetensors")
    np.testing.assert_array_equal(loaded.project(texts), space.project(texts))


class FakeTeacher:
    asked: list[str]

    def __init__(self, device: object) -> None:
        pass

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        FakeTeacher.asked += texts
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


@pytest.fixture
def fake_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTeacher.asked = []
    monkeypatch.setattr(text_space, "Teacher", FakeTeacher)


@pytest.mark.usefixtures("fake_teacher")
def test_each_sentence_is_embedded_once(tmp_path: Path) -> None:
    first = embed_cached(["a", "bb", "a"], tmp_path, "cpu")
    second = embed_cached(["ccc", "bb"], tmp_path, "cpu")
    assert FakeTeacher.asked == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(first, [[1, 1], [2, 0], [1, 1]])
    np.testing.assert_array_equal(second, [[3, 0], [2, 0]])


@pytest.mark.usefixtures("fake_teacher")
def test_stored_vectors_need_no_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = TextSpace(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    vectors = text_vectors(["a", "bb"], space, tmp_path, "cpu")
    (tmp_path / "teacher.npz").unlink()
    monkeypatch.setattr(text_space, "Teacher", None)
    np.testing.assert_array_equal(text_vectors(["a", "bb"], space, tmp_path, "cpu"), vectors)
