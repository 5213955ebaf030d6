from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from language_server import language_server

from motionrt.runtime.formats.table import read_motion

SLOW = pytest.mark.slow
OPTIONS = ("--duration", 1, "--backend", "cpu")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def info(path: str) -> dict[str, Any]:
    with np.load(path) as stored:
        found: dict[str, Any] = json.loads(str(stored["info"]))
    return found


@SLOW
def test_options_of_a_language_model_reach_it(
    qwen_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--no-thinking", "--temperature", 2, "--top-p", 0.5, "--top-k", 7, "--seed", 1)
    code, _, err = run(
        capsys, "gen", "walk", *OPTIONS, "--bundle", qwen_bundle, *options, "-o", "a.npz"
    )
    assert code == 0, err
    told = info("a.npz")
    assert (told["thinking"], told["grammar"], told["seed"]) == (False, True, 1)
    assert (told["temperature"], told["top_p"], told["top_k"]) == (2, 0.5, 7)
    code, _, err = run(
        capsys, "gen", "walk", *OPTIONS, "--bundle", qwen_bundle, "--max-new-tokens", 5
    )
    assert code == 1 and "5 are allowed" in err
    code, _, err = run(
        capsys,
        *("gen", "walk", *OPTIONS, "--bundle", qwen_bundle, "--no-grammar", "--max-new-tokens", 5),
    )
    assert code == 1 and "wrote no motion" in err


@SLOW
def test_thoughts_are_shown_apart_from_the_output(
    myo_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "<think>\nLeft,\x1b[2J\nthen right.\n</think>\n\n<motion_id_512><motion_id_3>"
    with language_server(text) as server:
        asked = ("gen", "walk", "--bundle", myo_bundle, "--lm-url", server.url, "-o", "a.npz")
        code, out, err = run(capsys, *asked, "--show-thinking", "--num-samples", 2)
        assert code == 0, err
        assert "sample 0: thought: Left,\\x1b[2J\nsample 0: thought: then right.\n" in err
        assert "sample 1: thought: Left," in err and "thought" not in out
        code, out, err = run(capsys, *asked)
        assert code == 0 and "thought" not in err
    assert info("a/a_00.npz")["reasoning"] == "Left,\x1b[2J\nthen right."


@SLOW
def test_both_modes_are_made_and_compared(
    myo_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("gen", "walk", *OPTIONS, "--bundle", myo_bundle, "--test-modes")
    code, out, err = run(capsys, *asked, "-o", "a.npz", "--max-new-tokens", 60)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == ["thinking", "no", "thinking"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:8]}
    assert rows["seed"][0] == rows["seed"][1]
    assert rows["frames"] == ["20", "20"] and rows["codes"] == ["10", "10"]
    assert rows["thought"][2:] == ["0", "letters"]
    assert "the motions are the same" in out or "the motions differ" in out
    with_thoughts, without = info("a_thinking.npz"), info("a_no_thinking.npz")
    assert (with_thoughts["thinking"], without["thinking"]) == (True, False)
    assert with_thoughts["seed"] == without["seed"] == int(rows["seed"][0])
    code, out, _ = run(capsys, *asked, "-o", "b", "--bvh", "--quiet", "--seed", 2)
    assert (code, out) == (0, "")
    assert read_motion("b_thinking.bvh").num_frames == read_motion("b_no_thinking.bvh").num_frames


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--test-modes", "--json"), "--test-modes goes with a prompt"),
        (("--test-modes", "--thinking"), "leave --thinking away"),
        (("--test-modes", "-o", "-"), "--test-modes goes with a prompt"),
    ],
)
def test_what_does_not_fit_both_modes_is_told(
    bundle: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    code, _, err = run(capsys, "gen", "walk", "--bundle", bundle, *options)
    assert code == 2 and told in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--test-modes",), "--test-modes: kimodo does not think"),
        (("--show-thinking",), "--show-thinking: kimodo does not think"),
        (("--lm-url", "http://127.0.0.1:9"), "kimodo asks no language model"),
        (("--lm-model", "m"), "--lm-model goes with --lm-url"),
        (("--thinking",), "thinking"),
    ],
)
def test_other_families_do_not_think(
    bundle: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    code, _, err = run(capsys, "gen", "walk", "--bundle", bundle, *options)
    assert code in (1, 2) and told in err and "Traceback" not in err


@SLOW
def test_a_server_that_asks_for_a_token_gets_it(
    myo_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONRT_LM_TOKEN", "secret")
    with language_server("<motion_id_512><motion_id_3><motion_id_513>") as server:
        code, _, err = run(
            capsys, "gen", "walk", "--bundle", myo_bundle, "--lm-url", server.url, "-o", "a.npz"
        )
    assert code == 0, err
    assert server.tokens == ["Bearer secret"] and "secret" not in str(info("a.npz"))
