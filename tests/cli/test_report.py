from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.cli._report import report
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.families import find_family
from motionrt.runtime.request import Request

KIMODO = find_family("kimodo")
SECONDS = {"load": 0.12345, "generate": 1.5, "write": 0.01}
INFO = {"model": "small", "backend": "cpu", "seed": 7, "sample": 0, "prompt": "walk", "solver": "x"}


def motion(**info: Any) -> Motion:
    rotations = np.tile(np.eye(3), (10, 22, 1, 1))
    skeleton = load_skeleton("cmu22")
    return Motion.from_local(rotations, np.zeros((10, 3)), skeleton, 20, info={**INFO, **info})


def tell(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    made: Motion,
    prompt: str | list[str] = "walk",
    quiet: bool = False,
    as_json: bool = False,
) -> tuple[str, str]:
    path = tmp_path / "walk.npz"
    path.write_bytes(bytes(2000))
    request = Request.make(KIMODO, prompt, 0.5, multi_prompt=not isinstance(prompt, str))
    report(request, [made], [path], SECONDS, quiet, as_json)
    captured = capsys.readouterr()
    return captured.out.replace(str(path), "walk.npz"), captured.err


def test_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert tell(capsys, tmp_path, motion()) == (
        "small on cpu: 10 frames (0.5 s) in 1.50 s, seed 7\nwrote walk.npz (2 kB)\n",
        "",
    )


def test_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    summary = json.loads(tell(capsys, tmp_path, motion(), as_json=True)[0])
    assert summary == {
        "files": ["walk.npz"],
        "prompt": "walk",
        "frames": [10],
        "fps": 20.0,
        "seconds": {"load": 0.123, "generate": 1.5, "write": 0.01},
        "model": "small",
        "backend": "cpu",
        "seed": 7,
        "solver": "x",
    }
    parts = tell(capsys, tmp_path, motion(), ["walk", "jump"], as_json=True)[0]
    assert json.loads(parts)["prompt"] == ["walk", "jump"]


def test_quiet_says_nothing_but_warnings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert tell(capsys, tmp_path, motion(), quiet=True) == ("", "")
    out, err = tell(capsys, tmp_path, motion(num_dropped_constraint_frames=3), quiet=True)
    assert (out, err) == ("", "warning: 3 constrained frames lie beyond the clip's end\n")
