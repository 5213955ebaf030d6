"""Kimodo's controls as flags of ``motionrt gen``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.cli.main import main
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.kimodo.constraint_files import write_constraints
from motionrt.runtime.kimodo.constraints import Root2D

QUICK = ("--diffusion_steps", "3", "--backend", "cpu")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def gen(capsys: pytest.CaptureFixture[str], bundle: Path, *arguments: object) -> dict[str, Any]:
    """Generate; return the summary that --json prints."""
    code, out, err = run(capsys, "gen", *arguments, "--bundle", bundle, "--json", *QUICK)
    assert code == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_sentences_have_their_durations(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--duration", "1 0.7", "--seed", 1, "--num_transition_frames", 3]
    summary = gen(capsys, tiny_bundle, "Walks. Then jumps", *flags)
    assert summary["prompt"] == ["Walks.", "Then jumps."]
    assert [part["num_frames"] for part in summary["segments"]] == [30, 21]
    assert summary["num_transition_frames"] == 3 and summary["frames"] == [51]
    assert summary["files"] == ["output.npz", "output_amass.npz"]
    info = Motion.load("output.npz").info
    assert info["compat"] == "2026-03" and info["seed"] == 1 and info["postprocess"] is True


def test_a_clip_is_continued_with_the_latest_rules(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gen(capsys, tiny_bundle, "Walks", "--duration", "1", "--output", "walk", "--no-postprocess")
    more = ["--continue-from", "walk.npz", "--compat", "latest", "--output", "more"]
    summary = gen(capsys, tiny_bundle, "then jumps", "--duration", "1", *more)
    assert summary["frames"] == [60] and summary["compat"] == "latest"
    before, after = Motion.load("walk.npz"), Motion.load("more.npz")
    np.testing.assert_array_equal(after.posed_joints[:25], before.posed_joints[:25])


def test_constraints_and_heading(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = Root2D(np.array([0, 29, 50]), np.array([[0, 0], [1, 0], [9, 9]], np.float32))
    write_constraints("c.json", [item])
    flags = ["--duration", "1", "--constraints", "c.json", "--first-heading", "1.57"]
    code, _, err = run(capsys, "gen", "Walks", *flags, "--bundle", tiny_bundle, *QUICK)
    assert code == 0 and "warning: 1 constrained frames lie beyond the clip's end" in err
    motion = Motion.load("output.npz")
    assert np.linalg.norm(motion.root_positions[29, ::2] - [1, 0]) < 0.06


def test_a_folder_wins_over_flags_but_for_guidance_and_constraints(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    meta: dict[str, Any] = {
        "texts": ["walk. on", "sit"],
        "durations": [1, 0.5],
        "num_samples": 2,
        "diffusion_steps": 2,
        "seed": 5,
        "cfg": {"text_weight": 3},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    item = Root2D(np.array([0]), np.zeros((1, 2), np.float32))
    write_constraints(folder / "constraints.json", [item])
    write_constraints("other.json", [item, item])
    flags = ["--input_folder", folder, "--num_samples", 1, "--seed", 7]
    summary = gen(capsys, tiny_bundle, *flags)
    assert summary["prompt"] == ["walk. on", "sit"]
    assert summary["seed"] == 5 and summary["num_steps"] == 2 and len(summary["frames"]) == 2
    assert summary["guidance_weights"] == [3.0, 2.0] and summary["num_constraints"] == 1
    flags += ["--cfg_weight", 1.5, "--constraints", "other.json"]
    summary = gen(capsys, tiny_bundle, *flags)
    assert summary["guidance_type"] == "regular" and summary["num_constraints"] == 2
    meta["seed"] = None
    (folder / "meta.json").write_text(json.dumps(meta))
    seeds = {gen(capsys, tiny_bundle, *flags)["seed"] for _ in range(3)}
    assert len(seeds) == 3


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["x", "--constraints", "no.json"], 1, "no.json: cannot be read"),
        (["x", "--compat", "2020"], 1, "compat '2020': there are 2026-03, latest"),
        (["x", "--continue-from", "no.npz"], 1, "no.npz: no such file"),
        (["x. y", "--duration", "1 2 3"], 1, "3 durations for 2 sentences"),
        (["x. y", "--num-transition-frames", "0"], 1, "0 transition frames"),
        (["x. y", "--num-transition-frames", "99", "--duration", "1"], 1, "takes 102 frames"),
        (["x", "--first-heading", "nan"], 1, "first heading nan: must be finite"),
        (["x", "--cfg_type", "regular"], 1, "guidance regular needs 1 weight"),
        (["x", "--cfg_type", "nocfg", "--cfg_weight", "1"], 1, "nocfg takes 0"),
        (["--input-folder", "no"], 1, "meta.json: cannot be read"),
        ([], 2, "give a prompt"),
    ],
)
def test_wrong_flags_are_one_line(
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    found, out, err = run(capsys, "gen", *flags, "--bundle", tiny_bundle, *QUICK)
    assert found == code and message in err and not out
    assert "Traceback" not in err
    assert not list(Path().glob("output*"))
