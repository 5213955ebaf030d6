from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from language_server import language_server

pytestmark = pytest.mark.slow
Chat = Callable[..., tuple[int, str, str]]
OPTIONS = ("--seed", 3, "--duration", 1, "--backend", "cpu")


@pytest.fixture
def chat(
    myo_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Chat:
    monkeypatch.chdir(tmp_path)

    def say(lines: str, *options: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        return run(capsys, "chat", "--bundle", myo_bundle, *(options or OPTIONS))

    return say


def test_questions_follow_one_another(chat: Chat, tmp_path: Path) -> None:
    lines = "a person walks\nnow faster\n\n/save a.npz\n/save a.bvh\n/save a.glb\n/history\n"
    code, out, err = chat(lines)
    assert code == 0, err
    told = out.splitlines()
    assert told[0].startswith("[motion 1: 20 frames (1.0 s), 10 codes, in ")
    assert told[1].startswith("[motion 2: 20 frames (1.0 s), 10 codes, in ")
    assert told[2:5] == ["wrote a.npz", "wrote a.bvh", "wrote a.glb"]
    assert told[5] == "user: Generate motion: a person walks"
    assert told[6].startswith("assistant: ") and told[6].endswith("[motion]")
    assert told[7] == "user: now faster"
    assert err.count("MyoSkeleton holds no path") == 1
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["posed_joints"].shape == (20, 26, 3)
        assert json.loads(str(stored["info"]))["turn"] == 2
    assert (tmp_path / "a.bvh").is_file() and (tmp_path / "a.glb").is_file()
    again = chat(lines)[1].splitlines()
    assert again[6] == told[6]


def test_a_conversation_goes_on_another_day(chat: Chat, tmp_path: Path) -> None:
    options = ("--duration", 1, "--backend", "cpu")
    whole = chat("walk\nfaster\n", *OPTIONS, "--transcript", "whole.json")
    assert whole[0] == 0
    assert chat("walk\n", *OPTIONS, "--transcript", "part.json")[0] == 0
    assert chat("faster\n", "--resume", "part.json", *options)[0] == 0
    found, wanted = ((tmp_path / f"{name}.json").read_text() for name in ("part", "whole"))
    assert found == wanted
    assert len(json.loads(found)["messages"]) == 4
    code, _, _ = chat("/undo\n", "--resume", "part.json", "--transcript", "b.json", *options)
    assert code == 0
    assert len(json.loads((tmp_path / "b.json").read_text())["messages"]) == 2
    assert (tmp_path / "part.json").read_text() == wanted


def test_switches_and_lengths(chat: Chat) -> None:
    lines = (
        "/seed 3\n/thinking\n/thinking on\n/show\n/free\n/free off\n/duration 2\nwalk\n"
        "/duration off\n"
        "/undo\n/undo\n/help\n/quit\nrun\n"
    )
    code, out, err = chat(lines, *OPTIONS, "--max-new-tokens", 40)
    assert code == 0, err
    told = out.splitlines()
    assert told[:2] == ["thinking off", "thinking on"]
    assert told[2:5] == ["thoughts are shown", "answers are free", "answers are motions"]
    assert "[motion 1: 40 frames (2.0 s), 20 codes" in out
    assert "taken back\nthere is nothing to take back\n" in out
    assert "/save FILE" in out and "[motion 2" not in out
    if "(" in told[5][:4]:
        assert told[5].startswith("  (")


def test_another_seed_gives_another_answer(chat: Chat, tmp_path: Path) -> None:
    options = (*OPTIONS, "--transcript", "t.json")
    found = []
    for again in ("", "/undo\nwalk\n", "/undo\n/seed 9\nwalk\n", "/undo\n/seed 3\nwalk\n"):
        assert chat(f"walk\n{again}", *options)[0] == 0
        found.append(json.loads((tmp_path / "t.json").read_text())["messages"][1]["content"])
    assert found[0] == found[1] == found[3] != found[2]


def test_a_line_that_fails_is_told_and_the_next_one_taken(chat: Chat, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file")
    code, out, err = chat(
        "/bogus\n/seed\n/seed -1\n/seed 99999999999\n/save\n"
        "/save a.npz\n/duration x\n/duration 1e9\n/thinking maybe\n/show me\n"
        "a <motion_id_3>\nwalk\n/save a.nothing\n/save full/a.npz\n"
    )
    assert code == 1
    assert "[motion 1: 20 frames" in out
    for told in (
        "/bogus is unknown; /help says",
        "/seed needs a number",
        "seed 99999999999: must be from 0",
        "/save needs a file",
        "there is no motion to save yet",
        "duration 'x': expected seconds, or off",
        "'maybe': on or off",
        "<motion_id_3>, which the model reserves",
        "a.nothing: unknown suffix",
    ):
        assert f"Error: {told}" in err or told in err, told
    assert "Traceback" not in err and err.count("Error: ") == 13


def test_what_does_not_fit_together_is_told(chat: Chat, tmp_path: Path) -> None:
    assert chat("", "--resume", "t.json", "--seed", 1)[0] == 2
    code, _, err = chat("", "--resume", "t.json")
    assert code == 1 and "t.json: cannot be read" in err
    code, _, err = chat("", "--seed", -1)
    assert code == 1 and "seed -1" in err
    code, _, err = chat("", "--lm-model", "x")
    assert code == 1 and "--lm-model goes with --lm-url" in err
    (tmp_path / "full").write_text("a file")
    code, _, err = chat("", "--transcript", "full/t.json")
    assert code == 1 and "full" in err


def test_other_families_hold_no_conversation(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "chat", "--bundle", bundle)
    assert code == 1
    assert "holds no conversation; use a bundle of motiongpt-qwen" in err


def test_a_server_converses_too(chat: Chat) -> None:
    text = "<think>\nSlow\x1b[2J.\n</think>\n\n<motion_id_512><motion_id_3><motion_id_513> So."
    with language_server(text) as server:
        code, out, err = chat("walk\nagain\n", "--lm-url", server.url, "--show-thinking")
    assert code == 0, err
    assert out.count("  (Slow\\x1b[2J.)\nSo.\n[motion ") == 2
    assert len(server.asked[1]["messages"]) == 3
