from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run


def test_shows_what_a_bundle_is_made_of(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", bundle)
    assert code == 0
    for part in ("motionrt-default (kimodo)", "cmu22, 22 joints, 20 fps", "solver dpmpp-2m"):
        assert part in out
    for graph in ("step", "sampler", "decoder", "text_encoder"):
        assert f"\n    {graph} " in out
    assert "int8-weights  " in out and "joints off by" in out
    assert "a loop over" not in out
    assert run(capsys, "inspect")[1] == out  # the embedded one is what there is without a name


def test_tensors_axes_and_files_are_shown_when_asked_for(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, "inspect", bundle, "--verbose")[1]
    assert "a loop over step, a row of steps a step" in out
    assert "in  timesteps             int64   (steps, 1)" in out
    assert "axis frames" in out and "1 to 4997" in out
    assert "step.weights" in out and "…" in out


def test_json_is_the_manifest(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", bundle, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((bundle / "manifest.json").read_text())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ({}, "none: takes text embeddings"),
        ({"prompt_book": "decoder.onnx", "num_prompts": 3}, "a book of 3 prompts"),
        (
            {"encoder": "bert", "name": "small", "prompt_book": "decoder.onnx"},
            "bert small, and a book of ? prompts",
        ),
    ],
)
def test_where_text_embeddings_come_from_is_told(
    own_copy: Path, capsys: pytest.CaptureFixture[str], text: dict[str, object], shown: str
) -> None:
    path = own_copy / "manifest.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "text": text, "provenance": {}}))
    out = run(capsys, "inspect", own_copy)[1]
    assert f"  text        {shown}\n" in out
    assert "  licence     not stated\n" in out and "  made from   not stated\n" in out


def test_what_is_no_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "inspect", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ") and err.count("\n") == 1
