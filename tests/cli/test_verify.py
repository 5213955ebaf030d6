from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run


def test_a_whole_bundle_verifies(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "verify", bundle, "--backend", "cpu")
    assert code == 0, err
    assert out.startswith("ok    files") and "FAIL" not in out
    assert out.endswith("verified on cpu\n")


def test_an_altered_file_is_named_and_fails(
    own_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = own_copy / "step.weights"
    content = bytearray(weights.read_bytes())
    content[2000] ^= 64
    weights.write_bytes(content)
    code, out, err = run(capsys, "verify", own_copy)
    assert code == 1
    assert "step.weights: altered" in out and "does not verify on cpu" in err
    code, out, err = run(capsys, "verify", own_copy, "--json")
    report = json.loads(out)
    assert (code, err, report["passed"]) == (1, "", False)
    assert [check["what"] for check in report["checks"]] == ["files"]
