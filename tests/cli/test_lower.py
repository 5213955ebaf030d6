from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run

from motionrt.export.lowering.targets import targets
from motionrt.runtime.bundle.manifest import Bundle


@pytest.mark.slow
def test_lowers_the_default_and_says_how_near_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "web"
    code, out, err = run(capsys, "lower", "--target", "web", "-o", output)
    assert code == 0, err
    assert "MB for web in" in out and "of the original" in out
    assert "lowering step" in err
    code, out, _ = run(capsys, "inspect", output, "--verbose")
    assert "target      web: onnxruntime-web" in out
    assert "left to the host, which iterates step" in out
    code, out, err = run(capsys, "lower", "--target", "web", "-o", output)
    assert (code, out) == (1, "") and "exists already" in err
    code, out, err = run(capsys, "lower", output, "--target", "unity", "-o", output, "--force")
    assert code == 1 and "was lowered for web already" in err
    assert Bundle(output).manifest.target is not None


@pytest.mark.slow
def test_export_lowers_what_it_writes(
    smplx_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundle"
    words = ("export", "kimodo", smplx_checkpoint, "--no-text-encoder", "-o", output, "--quiet")
    code, out, err = run(capsys, *words, "--target", "unreal", "--licence", "none")
    assert (code, out, err) == (0, "", "")
    document = json.loads((output / "manifest.json").read_text())
    assert document["target"]["opset"] == targets()["unreal"].opset
    assert document["graphs"]["sampler"]["files"] == {}
    assert not list(output.glob("*.weights"))
    code, out, err = run(capsys, *words, "--force", "--target", "web", "--engine", "tensorrt-rtx")
    assert code == 2 and "exclude each other" in err


def test_a_target_is_one_of_those_that_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "lower", "--target", "toaster", "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert all(name in err for name in targets())
