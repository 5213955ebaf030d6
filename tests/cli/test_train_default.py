from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run


def test_data_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "train-default", "--from", "default")
    assert code == 2
    assert "Missing argument 'DATA...'" in errors


@pytest.mark.slow  # imports torch
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for words, reason in (
        (("--steps", 0), "give --from BUNDLE and --output"),
        (("--steps", 0, "--from", "default"), "give --from BUNDLE and --output"),
        (("--steps", 0, "--from", tmp_path / "none", "-o", tmp_path / "new"), "none"),
        ((tmp_path / "no data", "-o", __file__), "test_train_default.py"),
    ):
        code, _, errors = run(capsys, "train-default", *words, "--work", tmp_path / "work")
        assert code == 1 and reason in errors, errors
        assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "work").exists() and not (tmp_path / "new").exists()
