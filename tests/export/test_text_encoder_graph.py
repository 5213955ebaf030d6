from pathlib import Path

import numpy as np
import pytest
from text_checkpoints import write_decoder

from motionrt.export.bundle import BundleWriter
from motionrt.export.quantise.recipes import recipe
from motionrt.export.text_encoder import TextEncoderSource, read_text_encoder
from motionrt.export.text_encoder_graph import BOOK_FILE, add_prompt_book, add_text_encoder
from motionrt.runtime.errors import ExportError
from motionrt.runtime.text.prompt_book import PromptBook

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TextEncoderSource:
    return read_text_encoder(write_decoder(tmp_path_factory.mktemp("q"), "qwen3", layers=1))


def _writer(folder: Path) -> BundleWriter:
    return BundleWriter(folder, lambda stage: None)


def test_a_precision_states_what_it_costs(source: TextEncoderSource, tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    added = add_text_encoder(writer, source, recipe("int8", language_model=True))
    assert added.manifest["quantised"]["precision"] == "int8"
    assert added.manifest["quantised"]["weights"] == {"int8, blocks of 32": 6}
    assert 0 < np.abs(added.found - added.exact).max() < 0.1
    graph = writer._graphs["text_encoder"]
    assert graph.precision == "int8"
    assert 0 < graph.deviation["relative"] < 0.05
    assert graph.deviation["cosine"] > 0.998
    assert (tmp_path / "tokenizer.json").read_bytes() == source.tokenizer_json


def test_too_large_a_deviation_fails(source: TextEncoderSource, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"allowed is 0\.0010"):
        add_text_encoder(_writer(tmp_path), source, recipe("int4", language_model=True), 0.001)


def test_a_book_of_another_width_is_refused(tmp_path: Path) -> None:
    book = PromptBook(["Walk."], np.ones((1, 8), np.float32), place="book.safetensors")
    told = add_prompt_book(_writer(tmp_path), book, 8)
    assert told["prompt_book"] == BOOK_FILE
    assert PromptBook.load(tmp_path / BOOK_FILE).prompts == ("Walk.",)
    with pytest.raises(ExportError, match="embeddings of 8 numbers, the model takes 32"):
        add_prompt_book(_writer(tmp_path), book, 32)
    book = PromptBook(["Walk."], np.ones((1, 3, 8), np.float32), place="book.safetensors")
    add_prompt_book(_writer(tmp_path), book, 8, 3)
    with pytest.raises(ExportError, match="prompts of 3 tokens, the model takes 2"):
        add_prompt_book(_writer(tmp_path), book, 8, 2)
