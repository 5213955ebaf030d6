from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.cli._report import judged, report, warn
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import MotionError
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
        "quality": [None],
        "warnings": [[]],
    }
    parts = tell(capsys, tmp_path, motion(), ["walk", "jump"], as_json=True)[0]
    assert json.loads(parts)["prompt"] == ["walk", "jump"]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert tell(capsys, tmp_path, motion(), quiet=True) == ("", "")


def test_figures_are_of_each_sample() -> None:
    made = [motion(quality={"height_m": height}) for height in (0.1, 0.2)]
    made[1].warnings.append("odd")
    assert judged(made) == {
        "quality": [{"height_m": 0.1}, {"height_m": 0.2}],
        "warnings": [[], ["odd"]],
    }


def test_warnings_are_lines_and_what_is_shared_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = [motion(), motion(), motion()]
    for each in made:
        each.warnings.append("too long")
    for each in made[1:]:
        each.warnings.append("slides")
    warn(made, strict=False)
    assert capsys.readouterr().err == "warning: too long\nwarning: sample 1, 2: slides\n"
    warn(made[:1], strict=False, name="walk")
    assert capsys.readouterr().err == "warning: walk: too long\n"
    with pytest.raises(MotionError, match=r"^too long \(and 1 more\); nothing of it is written"):
        warn(made, strict=True)
    warn([motion()], strict=True)
    assert capsys.readouterr() == ("", "")
