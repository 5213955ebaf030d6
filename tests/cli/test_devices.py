from __future__ import annotations

import json

import pytest
from command_line import run


def test_every_backend_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "devices")
    lines = out.splitlines()
    names = ["tensorrt-rtx", "tensorrt", "cuda", "directml", "coreml", "cpu"]
    assert [line.split()[0] for line in lines] == names
    assert lines[-1].split()[1] == "yes"
    _, out, _ = run(capsys, "devices", "--json")
    assert [entry["name"] for entry in json.loads(out)] == names
