from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motionrt.cli.main import cli, main
from motionrt.runtime.text.prompt_book import PromptBook


def test_prompts_are_embedded_and_added_to(bundle: Path, tmp_path: Path) -> None:
    prompts, book = tmp_path / "prompts.txt", tmp_path / "book.safetensors"
    prompts.write_text("walk\nrun\n")
    arguments = ["embed", str(prompts), "-b", str(bundle), "-o", str(book)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "2 prompts of 128 numbers" in result.output
    first = PromptBook.load(book)
    prompts.write_text("run\njump\n")
    result = CliRunner().invoke(cli, [*arguments, "--add"])
    assert result.exit_code == 0, result.output
    second = PromptBook.load(book)
    assert second.prompts == ("Walk.", "Run.", "Jump.")
    np.testing.assert_array_equal(second.embeddings[:2], first.embeddings)
    assert second.encoder["encoder"] == "qwen3"


def test_books_of_two_encoders_are_not_mixed(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, book = tmp_path / "prompts.txt", tmp_path / "book.safetensors"
    prompts.write_text("walk\n")
    PromptBook(["Run."], np.ones((1, 128), np.float32), {"name": "other"}).save(book)
    with pytest.raises(SystemExit) as caught:
        main(["embed", str(prompts), "-b", str(bundle), "-o", str(book), "--add"])
    assert caught.value.code == 1
    assert "made by another encoder" in capsys.readouterr().err


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of one prompt, and no server around."""
    monkeypatch.delenv("TEXT_ENCODER_URL", raising=False)
    monkeypatch.delenv("TEXT_ENCODER_MODE", raising=False)
    path = tmp_path / "prompts.txt"
    path.write_text("walk\n")
    return path


def test_one_encoder_is_wanted(prompts: Path) -> None:
    both = ["-b", "x", "--text-encoder-url", "http://127.0.0.1:1"]
    result = CliRunner().invoke(cli, ["embed", str(prompts), "-o", "book.safetensors", *both])
    assert result.exit_code == 2


@pytest.mark.parametrize("extra", [[], ["--bundle", "default"]])
def test_the_embedded_default_encodes_where_nothing_is_named(
    extra: list[str], prompts: Path, tmp_path: Path
) -> None:
    book = tmp_path / "book.safetensors"
    result = CliRunner().invoke(cli, ["embed", str(prompts), "-o", str(book), *extra])
    assert result.exit_code == 0, result.output
    assert PromptBook.load(book).prompts == ("Walk.",)
