from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionrt.cli.main import main
from motionrt.runtime.benchmark import BenchmarkResult


def test_bench_says_what_ran_and_how_fast(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", str(bundle), "--backend", "cpu", "--frames", "20"]
    arguments += ["--steps", "2", "--repeats", "1"]
    main([*arguments, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report) == set(BenchmarkResult.__dataclass_fields__)
    assert report["ran_on"] == {"sampler": "cpu int8-weights", "decoder": "cpu fp32"}
    assert 0 < report["step_ms"] < 60_000
    assert report["motion"] == pytest.approx(
        (report["step_ms"] * 2 + report["decode_ms"]) / 1000, rel=1e-6
    )
    assert report["real_time_factor"] == pytest.approx(20 / 20 / report["motion"])
    assert set(report["presets"]) == {"fast", "balanced", "exact"}
    assert report["machine"]["cores"]
    main(arguments)
    out = capsys.readouterr().out
    assert "sampler: cpu int8-weights" in out
    assert "peak memory" in out
