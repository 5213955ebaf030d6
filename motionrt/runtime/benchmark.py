"""How fast a bundle runs here, always measured in the same way.

The protocol: load the graphs that make a motion and encode its text; the first step, cold; one
warm-up run; then ``repeats`` runs, of which the median counts. No file is written.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import InputError
from motionrt.runtime.pipeline import BenchmarkCase, load


@dataclass(frozen=True)
class BenchmarkResult:
    """What was measured; times in seconds unless the name says otherwise."""

    bundle: str
    model: str
    family: str
    size_mb: float
    """Files of the graphs that ran."""
    backend: str
    ran_on: dict[str, str]
    """Graph -> what really ran it, and its precision."""
    threads: int
    """0: as many as onnxruntime chooses."""
    frames: int
    steps: int
    repeats: int
    load: float
    """Opening the bundle, loading the graphs and encoding the text, where a motion needs one."""
    first_step: float
    """The first step after loading, cold."""
    step_ms: float
    """A step of a warm run."""
    decode_ms: float
    motion: float
    """A whole motion, warm: all steps and the decoder."""
    real_time_factor: float
    """Seconds of motion a second; above 1 it is made faster than it plays."""
    presets: dict[str, float]
    """Seconds a motion by the presets: by their steps, from a step and the decoder; one whose steps
    differ among themselves is run once."""
    peak_memory_mb: float | None
    """Of the whole process; None where the system does not tell."""
    machine: dict[str, Any]


def benchmark(
    folder: Path,
    backend: str = "auto",
    threads: int = 0,
    frames: int = 150,
    steps: int = 20,
    repeats: int = 3,
    solver: str | None = None,
) -> BenchmarkResult:
    """Measure a bundle; the process should be fresh, for its memory and its load time.

    InputError if a number is not positive, or the family does not take it.
    """
    for name, value in (("frames", frames), ("steps", steps), ("repeats", repeats)):
        if value < 1:
            raise InputError(f"{value} {name}: must be 1 or more")
    machine = describe_machine()
    start = time.perf_counter()
    pipeline = load(folder, backend, threads)
    pipeline.check_num_frames(frames)
    case = pipeline.benchmark_case(frames, solver)
    loaded = time.perf_counter() - start
    steps = steps if case.steps is None else case.steps
    steps = steps if case.most_steps is None else min(steps, case.most_steps)
    first, _ = _timed(lambda: case.sample(1))
    case.sample(min(2, steps))
    sampling, decoding = [], []
    for _ in range(repeats):
        seconds, result = _timed(lambda: case.sample(steps))
        sampling.append(seconds)
        decoding.append(_timed(lambda result=result: case.decode(result))[0])  # type: ignore[misc]
    step = statistics.median(sampling) / steps
    decoded = statistics.median(decoding)
    graphs = {
        name: graph
        for name, graph in pipeline.loaded_graphs.items()
        if name in pipeline.family.motion_graphs
    }
    held = [
        # A loop without a file of its own runs its step's.
        pipeline.manifest.graphs[graph.info.loop.step]
        if graph.info.loop is not None and not graph.info.files
        else graph.info
        for graph in graphs.values()
    ]
    files = {file for info in held for file in (*info.files.values(), *info.data)}
    return BenchmarkResult(
        bundle=str(folder),
        model=pipeline.manifest.name,
        family=pipeline.family.name,
        size_mb=sum(pipeline.manifest.files[file].size for file in files) / 1e6,
        backend=pipeline.backend.name,
        ran_on={name: f"{graph.runs_on} {graph.info.precision}" for name, graph in graphs.items()},
        threads=pipeline.backend.threads,
        frames=frames,
        steps=steps,
        repeats=repeats,
        load=loaded,
        first_step=first,
        step_ms=step * 1e3,
        decode_ms=decoded * 1e3,
        motion=step * steps + decoded,
        real_time_factor=frames / pipeline.fps / (step * steps + decoded),
        presets={
            name: _denoising_seconds(case, preset, step) + decoded
            for name, preset in pipeline.family.presets.items()
            if "num_steps" in preset
        },
        peak_memory_mb=peak_memory_mb(),
        machine=machine,
    )


def describe_machine() -> dict[str, Any]:
    """Return what a figure depends on: processor, cores, versions, and how busy it is."""
    import onnxruntime

    load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "load_average": load_average,
    }


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held, in MB (10^6 bytes)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _denoising_seconds(case: BenchmarkCase, preset: Mapping[str, Any], step: float) -> float:
    """Return the seconds of a preset's denoising, where a step of ``sample`` takes step."""
    if case.sample_preset is None or preset.keys() <= {"num_steps", "solver"}:
        return step * int(preset["num_steps"])
    run = partial(case.sample_preset, preset)
    run()  # the shapes of its fewer branches are new
    return _timed(run)[0]


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
