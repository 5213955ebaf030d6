import io
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from motionrt.runtime.errors import InputError
from motionrt.runtime.text.prompt_book import PromptBook, read_prompts

PROMPTS = ["A person walks forward.", "A person runs forward.", "Someone jumps over a box."]


def _book() -> PromptBook:
    embeddings = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    return PromptBook(PROMPTS, embeddings, {"name": "tiny"})


def test_a_book_survives_a_file(tmp_path: Path) -> None:
    book = _book()
    book.save(tmp_path / "book.safetensors")
    again = PromptBook.load(tmp_path / "book.safetensors")
    assert again.prompts == book.prompts
    assert again.encoder == {"name": "tiny"}
    np.testing.assert_array_equal(again.embeddings, book.embeddings)


def test_prompts_are_found_however_they_are_written() -> None:
    book = _book()
    np.testing.assert_array_equal(book.lookup(" a person WALKS forward"), book.embeddings[0])
    assert "someone jumps over a box!" not in book
    assert "someone jumps over a box" in book


def test_prompts_of_several_tokens(tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    rows = {"A person walks.": tokens[:2], "A person runs.": tokens}
    PromptBook.from_rows(rows, {}, "book").save(tmp_path / "book.safetensors")
    again = PromptBook.load(tmp_path / "book.safetensors")
    assert (again.width, again.num_tokens, _book().num_tokens) == (8, 3, 1)
    np.testing.assert_array_equal(again.lookup("A person runs."), tokens)
    np.testing.assert_array_equal(again.lookup("A person walks.")[:2], tokens[:2])
    assert not again.lookup("A person walks.")[2].any()


def test_an_unknown_prompt_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        _book().lookup("someone leaps over a large box")
    message = str(caught.value)
    assert message.index("Someone jumps over a box.") < message.index("A person")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("prompts", "embeddings", "reason"),
    [
        (["A."], np.zeros((2, 3), np.float32), "1 prompts"),
        (["A.", "A."], np.zeros((2, 3), np.float32), "twice"),
        (["A."], np.full((1, 3), np.nan, np.float32), "not finite"),
        (["A."], np.zeros((1, 3), np.float64), "expected float32"),
        (["A."], np.zeros((1, 0), np.float32), "shape"),
        (["A."], np.zeros((1, 0, 3), np.float32), "shape"),
        (["A."], np.zeros((1, 2, 3, 4), np.float32), "shape"),
    ],
)
def test_books_that_do_not_fit_are_refused(
    prompts: list[str], embeddings: np.ndarray, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        PromptBook(prompts, embeddings)


def test_files_that_are_no_book_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.safetensors"
    with pytest.raises(InputError, match="no such file"):
        PromptBook.load(path)
    _book().save(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match="cannot be read"):
        PromptBook.load(path)
    save_file({"embeddings": np.zeros((1, 2), np.float32)}, path)
    with pytest.raises(InputError, match="is no prompt book"):
        PromptBook.load(path)
    told = {"format": "motionrt-prompt-book", "version": "9", "prompts": json.dumps(["A."])}
    save_file({"embeddings": np.zeros((1, 2), np.float32)}, path, told)
    with pytest.raises(InputError, match="version 9"):
        PromptBook.load(path)
    save_file(
        {"embeddings": np.zeros((1, 2), np.float32)}, path, told | {"version": "1", "prompts": "{"}
    )
    with pytest.raises(InputError, match="damaged"):
        PromptBook.load(path)


def test_prompt_files_are_cleaned_and_each_prompt_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("# a comment\n\nwalk\n WALK. \njump!\n", encoding="utf-8")
    assert read_prompts(path) == ["Walk.", "Jump!"]
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="holds no prompts"):
        read_prompts(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_prompts(path)


def test_prompts_come_from_standard_input_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("walk\njump!\n"))
    assert read_prompts("-") == ["Walk.", "Jump!"]


def test_a_prompt_given_for_a_file_is_told_what_is_wanted() -> None:
    with pytest.raises(InputError, match=r"walks: no such file; .* a text file, one on each line"):
        read_prompts("walks")
