from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run


def test_a_student_must_be_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, errors = run(capsys, "distill", "default", "--student", tmp_path / "student.pt")
    assert code == 2
    assert "student.pt' does not exist" in errors


@pytest.mark.slow  # imports torch
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    work, kept = tmp_path / "work", tmp_path / "notes"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    for words, reason in (
        (("default", "--steps", 0), "no student to make a bundle of"),
        ((tmp_path / "none",), "none"),
        (("default", "-o", kept), "notes"),
    ):
        code, _, errors = run(capsys, "distill", *words, "--work", work)
        assert code == 1 and reason in errors, errors
        assert len(errors.strip().splitlines()) == 1
    assert not work.exists() and (kept / "mine.txt").read_text() == "mine"
