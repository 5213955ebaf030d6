from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from motionrt.runtime import benchmark as benchmark_module
from motionrt.runtime.benchmark import benchmark, describe_machine, peak_memory_mb
from motionrt.runtime.errors import InputError


def test_times_are_medians_of_the_runs_that_count(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first step cold; then three runs, each a sampling and a decoding; fast's own run.
    seconds = iter([9.0, 1.0, 0.2, 4.0, 0.3, 2.0, 0.1, 11.0])
    monkeypatch.setattr(benchmark_module, "_timed", lambda function: (next(seconds), function()))
    found = benchmark(bundle, "cpu", frames=10, steps=2, repeats=3)
    assert found.first_step == 9.0
    assert found.step_ms == pytest.approx(1000)  # the median of 1, 4 and 2 s for two steps
    assert found.decode_ms == pytest.approx(200)
    assert found.motion == pytest.approx(2.2)
    assert found.real_time_factor == pytest.approx(10 / 20 / 2.2)
    assert found.presets == pytest.approx({"fast": 11.2, "balanced": 20.2, "exact": 100.2})


def test_size_is_that_of_the_graphs_that_make_a_motion(bundle: Path) -> None:
    found = benchmark(bundle, "cpu", frames=5, steps=1, repeats=1)
    names = ("sampler.onnx", "step.weights", "decoder.onnx")
    assert found.size_mb == pytest.approx(
        sum((bundle / name).stat().st_size for name in names) / 1e6
    )
    assert found.model == "motionrt-default" and set(found.ran_on) == {"sampler", "decoder"}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"frames": 0}, "0 frames: must be 1 or more"),
        ({"steps": 0}, "0 steps"),
        ({"repeats": -1}, "-1 repeats"),
        ({"frames": 10**6}, "1000000 frames: this model takes 1 to"),
        ({"solver": "euler"}, "euler"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    bundle: Path, numbers: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        benchmark(bundle, "cpu", **numbers)


def test_a_machine_is_described_and_memory_measured() -> None:
    machine = describe_machine()
    assert machine["cores"] and machine["processor"] and machine["onnxruntime"]
    before = peak_memory_mb()
    assert before is None or 10 < before < 1e6
