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


def test_a_gpus_number_is_refused_where_none_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, told = run(capsys, "bench", "--backend", "cpu", "--device", "1", "--frames", "8")
    assert code == 1
    assert told.strip() == "Error: backend cpu: only cuda takes the number of a GPU, or tf32"
    code, _, told = run(capsys, "bench", "--backend", "cuda:one")
    assert code == 1
    assert "as in cuda:1 or cuda:0:tf32" in told
