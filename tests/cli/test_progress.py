from __future__ import annotations

import sys

import pytest

from motionrt.cli._progress import StageProgress, step_progress


def test_a_loop_that_nobody_watches_runs_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for quiet, terminal in ((True, True), (False, False)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
        with step_progress(quiet) as progress:
            assert progress is None


def test_on_a_terminal_steps_are_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with step_progress(False) as progress:
        assert progress is not None
        progress("encoding text", 0, 1)
        for done in range(4):
            progress("denoising", done, 3)
    assert capsys.readouterr().out == ""


def test_stages_are_told_with_their_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    stages = StageProgress(quiet=False)
    stages("reading")
    stages("writing")
    assert stages.finish() >= 0
    stages.finish()  # nothing is left to end
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["reading", "writing"]
    assert all(line.endswith(" s") for line in lines)
    silent = StageProgress(quiet=True)
    silent("reading")
    silent.finish()
    assert capsys.readouterr() == ("", "")
