from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motionrt.train.default.text_space import TextSpace


@pytest.fixture
def space_and_texts() -> tuple[TextSpace, np.ndarray]:
    """Two meanings that differ in one direction, each in wordings that differ more in others."""
    random = np.random.default_rng(0)
    texts = random.normal(size=(200, 12)).astype(np.float32) * np.linspace(1, 3, 12)
    texts[:, 0] = np.repeat([-1, 1], 100) + 0.2 * random.normal(size=200)
    pairs = np.stack([np.arange(200), np.repeat([0, 1], 100)], axis=-1)
    return TextSpace.fit(texts, pairs, np.ones(200), 8), texts


def test_meanings_become_louder_than_wordings(
    space_and_texts: tuple[TextSpace, np.ndarray],
) -> None:
    space, texts = space_and_texts

    def ratio(vectors: np.ndarray) -> float:
        between = np.linalg.norm(vectors[:100].mean(0) - vectors[100:].mean(0))
        return float(between / np.sqrt(vectors[:100].var(0).sum()))

    assert ratio(space.project(texts)) > 1.5 * ratio(texts)


def test_vectors_have_the_promised_length(
    space_and_texts: tuple[TextSpace, np.ndarray],
) -> None:
    space, texts = space_and_texts
    assert space.width == 8
    length = np.linalg.norm(space.project(texts), axis=-1).mean()
    assert length == pytest.approx(np.sqrt(8), rel=1e-3)


def test_it_is_saved_whole(space_and_texts: tuple[TextSpace, np.ndarray], tmp_path: Path) -> None:
    space, texts = space_and_texts
    space.save(tmp_path / "space.safetensors")
    loaded = TextSpace.load(tmp_path / "space.safetensors")
    np.testing.assert_array_equal(loaded.project(texts), space.project(texts))
