from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from motionrt.train.default import text_space
from motionrt.train.default.text_space import TextSpace, embed_cached, text_vectors


class FakeTeacher:
    asked: list[str]

    def __init__(self, device: object) -> None:
        pass

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        FakeTeacher.asked += texts
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def fake_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTeacher.asked = []
    monkeypatch.setattr(text_space, "Teacher", FakeTeacher)


def test_each_sentence_is_embedded_once(tmp_path: Path) -> None:
    first = embed_cached(["a", "bb", "a"], tmp_path, "cpu")
    second = embed_cached(["ccc", "bb"], tmp_path, "cpu")
    assert FakeTeacher.asked == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(first, [[1, 1], [2, 0], [1, 1]])
    np.testing.assert_array_equal(second, [[3, 0], [2, 0]])


def test_stored_vectors_need_no_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = TextSpace(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    vectors = text_vectors(["a", "bb"], space, tmp_path, "cpu")
    (tmp_path / "teacher.npz").unlink()
    monkeypatch.setattr(text_space, "Teacher", None)
    np.testing.assert_array_equal(text_vectors(["a", "bb"], space, tmp_path, "cpu"), vectors)
