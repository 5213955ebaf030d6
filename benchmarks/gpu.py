"""What an NVIDIA GPU does with a Kimodo of the released size, and whether its numbers are right.

    python benchmarks/gpu.py [--frames 150] [--repeats 3] [--folder DIR] [--golden DIR] [--write]
    python benchmarks/gpu.py --backend cpu --tiny     # the same without a GPU: does it run at all

One script for the time that a card is at hand, less than 5 minutes on an H100 with 16 cores. The
weights are random, from a seed, so that nothing large has to travel; they are exported once, in
fp32 with the form for CUDA beside it. It times that form (100 and 12 steps, one motion and a batch
of 32) and the portable step in fp32, exact and in TF32; each is compared with the fp32 loop on the
CPU after 8 steps. torch is timed in the same run: eager with three branches, as upstream does, and
compiled, in bf16 with two. So is MotionGPT3 at its released size. Meanwhile, before anything is
timed, the golden cases run on CUDA, TF32 off. One table is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from results import write_section

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.graph import Graph
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.prepared_loop import PreparedLoop
from motionrt.runtime.backend.step_driver import StepDriver
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.sampling.schedule import cosine_schedule

HEADING = "A GPU"
COMPARED_STEPS = 8
TORCH = {"eager": "torch eager fp32, three branches", "compiled": "torch.compile, bf16"}
TORCH_STEPS = 100
GOLDEN_PROCESSES = max(1, (os.cpu_count() or 1) // 2)
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Export, measure, check, print one table; with --write put it into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cuda", help="cuda, cuda:1, or cpu for a dry run")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a network of two narrow layers")
    parser.add_argument("--folder", type=Path, help="keep checkpoint and bundle here")
    parser.add_argument("--golden", type=Path, help="more golden cases than those of the tests")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("--torch", choices=TORCH, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch:
        serve_torch(options.torch, options)
        return
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        options.folder = options.folder or Path(scratch)
        golden_cases = start_golden(options.backend, options.golden)
        others = [] if options.tiny else [start_motiongpt3(options.folder)]
        write_weights(options.folder, options.tiny)
        contenders = {name: start_torch(name, options) for name in TORCH}
        bundle = Bundle(prepare(options.folder))
        for process in others:
            if process.wait():
                raise SystemExit("MotionGPT3 was not exported")
        golden = end_golden(golden_cases)
        rows = [time_torch(name, process) for name, process in contenders.items()]
        exported = time.perf_counter() - start
        rows += measure(bundle, options)
        if not options.tiny:
            rows += measure_motiongpt3(options)
    text = report(rows, golden, exported, time.perf_counter() - start, options)
    print(text)
    if options.write:
        write_section(HEADING, text)


def write_weights(folder: Path, tiny: bool) -> None:
    """Write the checkpoint unless it is there."""
    from released_size import RELEASED, write_checkpoint

    config = RELEASED
    if tiny:
        config = replace(config, num_layers=2, latent_dim=64, ff_size=128, text_width=128)
    if not (folder / "checkpoint" / "config.yaml").is_file():
        write_checkpoint(folder / "checkpoint", config)


def prepare(folder: Path) -> Path:
    """Export the checkpoint unless it is exported; return the bundle."""
    bundle = folder / "bundle"
    if not (bundle / "manifest.json").is_file():
        command = [sys.executable, "-m", "motionrt", "export", "kimodo", "--no-text-encoder"]
        command += ["--cuda", str(folder / "checkpoint"), "-o", str(bundle)]
        subprocess.run(command, check=True, cwd=ROOT)
    return bundle


def start_motiongpt3(folder: Path) -> subprocess.Popen[str]:
    """Begin to export a MotionGPT3 of the released size."""
    script = str(Path(__file__).with_name("motiongpt3.py"))
    command = [sys.executable, script, "--folder", str(folder / "motiongpt3"), "--prepare", "fp32"]
    return subprocess.Popen(command, text=True)


def start_torch(name: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """Begin one of torch's contenders, which loads, warms up, and waits for its turn."""
    command = [sys.executable, __file__, "--torch", name, "--folder", str(options.folder)]
    command += ["--frames", str(options.frames), "--repeats", str(options.repeats)]
    command += ["--backend", options.backend]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def time_torch(name: str, process: subprocess.Popen[str]) -> tuple[str, ...]:
    """Let one of torch's contenders take its time; return its row of the table."""
    told = process.communicate("go\n")[0].splitlines()
    if process.returncode or not told:
        return (TORCH[name], "failed", *[""] * 6)
    seconds = float(told[-1])
    milliseconds, rate = f"{seconds * 1e3:.1f}", f"{1 / seconds:.1f}"
    return (TORCH[name], "torch", f"1 x {TORCH_STEPS}", milliseconds, rate, "", "", "")


def serve_torch(name: str, options: argparse.Namespace) -> None:
    """Load and warm up, wait for a line, print the seconds of a motion."""
    import torch

    from motionrt.export.kimodo import GuidedStep
    from motionrt.export.readers.kimodo import read_kimodo

    device = options.backend.split(":")[0]
    model = read_kimodo(options.folder / "checkpoint").model
    compiled = name == "compiled"
    step: Any = GuidedStep(model).eval().to(device)
    if compiled:
        step = torch.compile(step, mode="reduce-overhead" if device == "cuda" else None)
    widths = {"x": model.config.num_features, "text_features": model.config.text_width}
    arrays = case(widths, 1, options.frames, TORCH_STEPS)
    if not compiled:
        # Upstream's third branch, for constraints, runs whether there are any or not.
        arrays["branch_text"] = np.array([1, 0, 0], np.float32)
        arrays["branch_constraints"] = np.array([0, 1, 0], np.float32)
        arrays["branch_weights"] = np.array([2, 2, 0], np.float32)
    inputs = {key: torch.from_numpy(array).to(device) for key, array in arrays.items()}
    noise, x0_previous = inputs.pop("x"), inputs.pop("x0_previous")
    timesteps, rows = inputs.pop("timesteps"), inputs.pop("schedule")

    def motion() -> Any:
        x, x0 = noise, x0_previous
        for timestep, row in zip(timesteps, rows, strict=True):
            with torch.autocast(device, torch.bfloat16, enabled=compiled):
                x, x0 = step(x.clone(), x0.clone(), timestep, row, **inputs)
        return x.cpu()

    with torch.inference_mode():
        motion()
        sys.stdin.readline()
        motion()
        seconds = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            motion()
            seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds))


def measure_motiongpt3(options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Time a MotionGPT3 of the released size, 5 s of motion, and compare it with the CPU's."""
    from motiongpt3 import bundle_contender

    frames, folder = 100, options.folder / "motiongpt3"
    _, wanted = bundle_contender("fp32", folder, frames)()
    generate = bundle_contender("fp32", folder, frames, options.backend)
    generate()
    laps, found = min(
        (generate() for _ in range(options.repeats)), key=lambda x: sum(x[0].values())
    )
    seconds = sum(laps.values())
    largest = float(np.abs(found - wanted).max())
    relative = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    parts = ", ".join(f"{name} {value * 1e3:.0f}" for name, value in laps.items())
    row = ("MotionGPT3 in fp32", f"ms: {parts}", "1 x 100", f"{seconds * 1e3:.1f}")
    return [(*row, f"{1 / seconds:.1f}", "", f"{largest:.1e} / {relative:.1e} (whole)", "")]


def widths_of(bundle: Bundle) -> dict[str, int]:
    """Return the last axis of each input of the loop that has a fixed one."""
    inputs = bundle.manifest.graphs["sampler"].inputs
    return {t.name: int(t.axes[-1]) for t in inputs if isinstance(t.axes[-1], int)}


def case(width: dict[str, int], batch: int, frames: int, steps: int) -> dict[str, Any]:
    """Return the loop's inputs for motions that follow a text, in two branches."""
    rng = np.random.default_rng(0)
    table = cosine_schedule(1000, steps)
    x = rng.standard_normal((batch, frames, width["x"]), dtype=np.float32)
    text = rng.standard_normal((batch, 1, width["text_features"]), dtype=np.float32)
    return {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timesteps": table.timesteps[:, None],
        "schedule": table.coefficients,
        "text_features": text,
        "text_mask": np.ones((batch, 1), bool),
        "frame_mask": np.ones((batch, frames), bool),
        "first_heading_rad": np.zeros(batch, np.float32),
        "motion_mask": np.zeros_like(x),
        "observed_motion": np.zeros_like(x),
        "branch_text": np.array([1, 0], np.float32),
        "branch_constraints": np.zeros(2, np.float32),
        "branch_weights": np.array([2, 0], np.float32),
    }


def measure(bundle: Bundle, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Time every contender, compare it with the fp32 loop on the CPU; return the table's rows."""
    cpu = choose_backend("cpu")
    width = widths_of(bundle)
    compared = case(width, 1, options.frames, COMPARED_STEPS)
    exact = OnnxSession(bundle, "sampler", cpu).run(compared, ["x_next"])["x_next"]
    backend = choose_backend(options.backend)
    device = "cpu" if backend.name == "cpu" else "cuda"
    rounded = choose_backend(f"{options.backend}:tf32") if device == "cuda" else backend
    portable = partial(StepDriver, bundle, "sampler", device=device, bucket_frames=1)
    contenders: dict[str, tuple[Callable[[], Graph], dict[tuple[int, int], str]]] = {
        "fused step in fp16": (
            partial(PreparedLoop, bundle, "sampler", backend, device=device),
            {(1, 100): "180 ms", (1, 12): "25 ms", (32, 12): "135 a second"},
        ),
        "portable step in fp32": (
            partial(portable, backend=backend),
            {(1, 100): "950 ms, 1e-5"},
        ),
        "portable step in fp32, TF32": (
            partial(portable, backend=rounded),
            {(1, 100): ""},
        ),
    }
    rows: list[tuple[str, ...]] = []
    for name, (make, cases) in contenders.items():
        start = time.perf_counter()
        graph = make()
        loaded = time.perf_counter() - start
        found = graph.run(compared, ["x_next"])["x_next"]
        largest = float(np.abs(found - exact).max())
        relative = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        for (batch, steps), goal in cases.items():
            seconds = timed(graph, case(width, batch, options.frames, steps), options.repeats)
            rows.append(
                (
                    name,
                    graph.runs_on,
                    f"{batch} x {steps}",
                    f"{seconds * 1e3:.1f}",
                    f"{batch / seconds:.1f}",
                    goal,
                    f"{largest:.1e} / {relative:.1e}",
                    f"{loaded:.1f}",
                )
            )
        del graph
    return rows


def timed(graph: Graph, inputs: dict[str, Any], repeats: int) -> float:
    """Return the median seconds of a run, after one that records."""
    graph.run(inputs, ["x_next"])
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        graph.run(inputs, ["x_next"])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def start_golden(backend: str, more: Path | None) -> subprocess.Popen[str]:
    """Begin to run the golden cases on the backend."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/parity", "-p", "xdist"]
    command += ["-n", str(GOLDEN_PROCESSES)]
    command += ["--backend", backend, "-p", "no:cacheprovider"]
    command += ["--golden", str(more)] if more else []
    # Without what else pytest finds installed: some of it refuses several processes.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end_golden(process: subprocess.Popen[str]) -> str:
    """Wait for them; return pytest's last line."""
    told = process.communicate()[0].strip()
    if process.returncode:
        print(told)
    return (told.splitlines() or ["pytest said nothing"])[-1]


def gpu_name(backend: Backend) -> str:
    """Return what the card calls itself, by NVIDIA's tool."""
    if backend.name != "cuda":
        return "no GPU: a dry run on the CPU"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(
            [*query, f"--id={backend.device_id}"], check=True, stdout=subprocess.PIPE, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "a GPU whose name nvidia-smi does not tell"
    return told.stdout.strip()


def report(
    rows: list[tuple[str, ...]],
    golden: str,
    exported: float,
    seconds: float,
    options: argparse.Namespace,
) -> str:
    """Write the section of RESULTS.md."""
    machine = describe_machine()
    tiny = " (a network of two narrow layers)" if options.tiny else ""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {gpu_name(choose_backend(options.backend))}, "
        f"{machine['processor']}, {machine['cores']} cores, onnxruntime {machine['onnxruntime']}; "
        f"released size, random weights{tiny}, {options.frames} frames, two branches; `python "
        f"benchmarks/gpu.py --frames {options.frames} --repeats {options.repeats}`, "
        f"{seconds:.0f} s of which {exported:.0f} s of preparation.",
        "",
        "| what | ran on | motions x steps | ms | motions a second | goal (H100) | "
        f"off after {COMPARED_STEPS} steps (largest / relative) | load, s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        f"Golden cases on {options.backend}, TF32 off: {golden.strip('= ')}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
