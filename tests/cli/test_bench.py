from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motionrt.cli.main import main
from motionrt.runtime.benchmark import BenchmarkResult, benchmark
from motionrt.runtime.errors import InputError


def test_bench_says_what_ran_and_how_fast(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(tiny_bundle), "--backend", "cpu", "--frames", "20"]
    arguments += ["--steps", "2", "--repeats", "1"]
    main([*arguments, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report) == set(BenchmarkResult.__dataclass_fields__)
    assert report["ran_on"] == {"sampler": "cpu fp32", "decoder": "cpu fp32"}
    assert 0 < report["step_ms"] < 60_000
    assert report["motion"] == pytest.approx(
        (report["step_ms"] * 2 + report["decode_ms"]) / 1000, rel=1e-6
    )
    assert report["real_time_factor"] == pytest.approx(20 / 30 / report["motion"])
    assert set(report["presets"]) == {"fast", "balanced", "exact"}
    assert report["machine"]["cores"]
    main(arguments)
    out = capsys.readouterr().out
    assert "sampler: cpu fp32" in out
    assert "peak memory" in out


@pytest.mark.parametrize(
    "numbers", [{"frames": 0}, {"steps": 0}, {"repeats": 0}, {"frames": 10**6}, {"solver": "euler"}]
)
def test_bench_refuses_what_cannot_be_measured(tiny_bundle: Path, numbers: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        benchmark(tiny_bundle, "cpu", **numbers)


def test_devices_names_every_backend(capsys: pytest.CaptureFixture[str]) -> None:
    main(["devices"])
    lines = capsys.readouterr().out.splitlines()
    names = ["tensorrt-rtx", "tensorrt", "cuda", "directml", "coreml", "cpu"]
    assert [line.split()[0] for line in lines] == names
    assert lines[-1].split()[1] == "yes"
    main(["devices", "--json"])
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == names
