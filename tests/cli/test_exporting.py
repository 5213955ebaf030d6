"""What `export` and `engine` share; exports themselves are tested in tests/export."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from motionrt.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "words",
    [
        ("export", "kimodo", "checkpoint", "--no-text-encoder", "-o", "made"),
        ("export", "motiongpt3", "model.ckpt", "-o", "made"),
        ("export", "motiongpt-qwen", "--vq", "model.ckpt", "-o", "made"),
        ("export", "motiongpt-qwen", "--vq", "model.ckpt", "--hf-dir", "made"),
        ("train-default", "data"),
        ("train-projector", "--pairs", "pairs.npz", "-o", "projector.safetensors"),
    ],
)
def test_without_torch_a_command_says_what_to_install(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    # Of the packages that are missing it names the one that was imported first.
    last = done.stderr.splitlines()[-1]
    told = r'Error: (export|training) needs \w+; pip install ".*\[(export|train)\]"'
    assert re.fullmatch(told, last)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("kimodo", "c", "--no-text-encoder", "-o", "mine"), 1, "mine: exists already"),
        (("kimodo", "c", "--no-text-encoder", "-o", "mine", "--force"), 1, "mine: is no bundle"),
        (("motiongpt3", "c.ckpt", "-o", "mine", "--force"), 1, "mine: is no bundle"),
        (("motiongpt-qwen", "--vq", "c.ckpt"), 2, "give -o BUNDLE, --hf-dir DIRECTORY or both"),
        (("motiongpt-qwen", "--vq", "c.ckpt", "--base", "b", "-o", "new"), 2, "--lm CHECKPOINT"),
        (("kimodo", "c", "-o", "new"), 2, "--text-encoder"),
        (("kimodo", "c", "--no-text-encoder"), 2, "--output"),
        (("kimodo", "c", "-o", "new", "--precision", "int2"), 2, "--precision"),
        (("opera", "c"), 2, "No such command 'opera'"),
    ],
)
def test_a_place_or_a_word_that_does_not_do_is_refused_before_anything_is_read(
    words: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.txt").write_text("precious")
    found, _, err = run(capsys, "export", *words)
    assert found == code and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "song.txt").read_text() == "precious"


def test_engines_are_of_a_kind_that_there_is(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--engine", "openvino")):
        code, _, err = run(capsys, "engine", bundle, *words)
        assert code == 2 and "--engine" in err
