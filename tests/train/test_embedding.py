from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from text_checkpoints import write_decoder

from motionrt.export.text_encoder import TextEncoderSource, read_text_encoder
from motionrt.runtime.errors import InputError
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.train.embedding import CachedEncoder

TEXTS = ["Walk.", "A man runs.", "Walk."]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TextEncoderSource:
    return read_text_encoder(write_decoder(tmp_path_factory.mktemp("q"), "qwen3", layers=1))


def test_each_text_is_encoded_once_and_kept(source: TextEncoderSource, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = CachedEncoder(source, tmp_path, lambda *done: told.append(done))
    rows = first(TEXTS)
    assert rows.shape == (3, source.text_width) and told == [(2, 2)]
    np.testing.assert_array_equal(rows[0], rows[2])
    again = CachedEncoder(source, tmp_path, lambda *done: told.append(done))
    np.testing.assert_array_equal(again(TEXTS[:1]), rows[:1])
    again(["Jump."])
    assert told == [(2, 2), (1, 1)]
    assert first.path is not None
    assert PromptBook.load(first.path).prompts == ("Walk.", "A man runs.", "Jump.")
    np.testing.assert_array_equal(CachedEncoder(source, None)(TEXTS), rows)


def test_a_cache_of_another_encoder_is_refused(source: TextEncoderSource, tmp_path: Path) -> None:
    encoder = CachedEncoder(source, tmp_path)
    assert encoder.path is not None
    PromptBook(["Walk."], np.ones((1, 3), np.float32)).save(encoder.path)
    with pytest.raises(InputError, match="belongs to another encoder; remove it"):
        CachedEncoder(source, tmp_path)
