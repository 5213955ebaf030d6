"""motionrt against torch eager doing what upstream does, side by side, into RESULTS.md.

    python benchmarks/compare.py [--frames 150] [--steps 4] [--rounds 3] [--folder DIR] [--write]

A Kimodo of the released size with random weights, one motion that follows a text. torch runs three
branches a step, as upstream does; motionrt's compiled loop runs two, for the same result. With
constraints all run three: nothing can be left out. Every
contender stays loaded in a process of its own and takes turns with the others, so that a machine
that is busy for a while slows all of them; a round's ratios are taken within the round. What a
motion takes is computed from its steps: 100 for torch and the exact preset, 12 for the fast one,
each as if it were guided. int8 is not exact: how far joints are off stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from denoiser import loop_sampler, torch_sampler
from results import write_section

from motionrt.runtime.benchmark import describe_machine, peak_memory_mb
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.kimodo.options import PRESETS
from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
from motionrt.runtime.sampling.schedule import cosine_schedule

HEADING = "motionrt against torch"
CONTENDERS = {
    "torch": "torch eager, three branches",
    "fp32": "motionrt fp32",
    "int8": "motionrt int8",
    "torch-held": "torch eager, constrained",
    "fp32-held": "motionrt fp32, constrained",
    "int8-held": "motionrt int8, constrained",
}
"""What is timed; a name says which bundle, and whether constraints are held (three branches)."""
HELD = "-held"


def main() -> None:
    """Prepare, measure, print the table, and with --write put it into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--steps", type=int, default=4, help="steps of a timed run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="keep checkpoint and bundles here")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(options.contender, options.folder, options.frames, options.steps)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        prepare(folder)
        found = measure(folder, options)
    text = report(found, options)
    print(text)
    if options.write:
        write_section(HEADING, text)


def prepare(folder: Path) -> None:
    """Write the checkpoint and both bundles unless they are there."""
    from released_size import write_checkpoint

    if not (folder / "checkpoint" / "config.yaml").is_file():
        write_checkpoint(folder / "checkpoint")
    for precision in ("fp32", "int8"):
        if (folder / precision / "bundle" / "manifest.json").is_file():
            continue
        command = [sys.executable, "-m", "motionrt", "export", "kimodo", "--no-text-encoder"]
        command += [str(folder / "checkpoint"), "--precision", precision]
        subprocess.run([*command, "-o", str(folder / precision / "bundle")], check=True)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders take turns; the matmul peak is measured between the rounds."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    environment["MOTIONRT_THREADS"] = str(options.threads)
    processes = {}
    for name in CONTENDERS:
        command = [sys.executable, __file__, "--contender", name, "--folder", str(folder)]
        command += ["--frames", str(options.frames), "--steps", str(options.steps)]
        processes[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        # One after another: loading is not to be disturbed by the others.
        ask(processes[name], "load")
    peaks, onnx_peaks = [matmul_peak(options.threads)], [onnxruntime_peak(options.threads)]
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds):
        for name, process in processes.items():
            rounds[name].append(ask(process, "run"))
        peaks.append(matmul_peak(options.threads))
        onnx_peaks.append(onnxruntime_peak(options.threads))
    told = {name: ask(process, "tell") for name, process in processes.items()}
    for process in processes.values():
        process.communicate("stop\n")
    outputs = {name: np.load(folder / f"compare-{name}.npy") for name in CONTENDERS}
    off = {
        name: float(np.abs(array - outputs[f"torch{HELD if HELD in name else ''}"]).max())
        for name, array in outputs.items()
    }
    deviation = Bundle(folder / "int8" / "bundle").manifest.graphs["step"].deviation
    peak = {"torch": max(peaks), "onnxruntime": max(onnx_peaks)}
    return {"rounds": rounds, "told": told, "off": off, "peak": peak, "int8": deviation}


def ask(process: subprocess.Popen[str], order: str) -> Any:
    """Give a contender an order; return its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def serve(name: str, folder: Path, frames: int, steps: int) -> None:
    """Be a contender: obey the orders on standard input, one JSON line each."""
    table = cosine_schedule(1000, steps)
    rng = np.random.default_rng(0)
    kind, held = name.removesuffix(HELD), name.endswith(HELD)
    is_torch = kind == "torch"
    branches = guidance_branches(Guidance("separated", (2.0, 2.0)), True, is_torch or held)
    manifest = Bundle(folder / "fp32" / "bundle").manifest  # torch is not imported for its sizes
    width, text_width = manifest.graphs["step"].inputs[0].axes[-1], manifest.sampler["text_width"]
    noise = rng.standard_normal((1, frames, int(width)), dtype=np.float32)
    mask = np.zeros_like(noise)
    mask[:, [0, -1]] = held
    fixed = {
        "text_features": rng.standard_normal((1, 1, text_width), dtype=np.float32),
        "text_mask": np.ones((1, 1), bool),
        "frame_mask": np.ones((1, frames), bool),
        "first_heading_rad": np.zeros(1, np.float32),
        "motion_mask": mask,
        "observed_motion": mask * rng.standard_normal(noise.shape, dtype=np.float32),
        "branch_text": branches[0],
        "branch_constraints": branches[1],
        "branch_weights": branches[2],
    }
    told: dict[str, Any] = {}
    sample: Any = None
    for order in sys.stdin:
        answer: Any = {}
        if order == "load\n":
            start = time.perf_counter()
            make = torch_sampler if is_torch else loop_sampler
            sample = make(folder if is_torch else folder / kind, fixed)
            loaded = time.perf_counter()
            sample(noise, table.timesteps[:1], table.coefficients[:1])
            told = {"load": loaded - start, "first": time.perf_counter() - loaded}
        elif order == "run\n":
            start, cpu = time.perf_counter(), time.process_time()
            result = sample(noise, table.timesteps, table.coefficients)
            wall, used = time.perf_counter() - start, time.process_time() - cpu
            np.save(folder / f"compare-{name}.npy", result)
            answer = {"wall": wall / steps, "cpu": used / steps}
        elif order == "tell\n":
            answer = {**told, "peak_mb": peak_memory_mb()}
        else:
            return
        print(json.dumps(answer), flush=True)


def matmul_peak(threads: int, size: int = 2048, repeats: int = 5) -> float:
    """Return the machine's own fp32 matrix product, in FLOP/s."""
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def onnxruntime_peak(threads: int, size: int = 2048, repeats: int = 5) -> float:
    """Return the same of onnxruntime's own fp32 matrix product, in FLOP/s.

    On some processors it is far from torch's (MKL's): what a graph can reach goes with it.
    """
    import onnx_ir as ir
    import onnxruntime as ort

    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((size, size)))
    weight = ir.Value(name="w", const_value=ir.tensor(right, name="w"))
    product = ir.Node("", "MatMul", [x, weight])
    product.outputs[0].name = "y"
    product.outputs[0].type, product.outputs[0].shape = x.type, x.shape
    graph = ir.Graph(
        [x], [product.outputs[0]], nodes=[product], initializers=[weight], opset_imports={"": 20}
    )
    model = ir.to_proto(ir.Model(graph, ir_version=9)).SerializeToString()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        session.run(None, {"x": left})
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def flops_a_branch(frames: int) -> float:
    """Return the floating-point operations of one branch of one step, both stages."""
    from released_size import RELEASED as config

    tokens = config.num_text_tokens + 2 + frames
    width, wide = config.latent_dim, config.ff_size
    maps = 2 * tokens * (4 * width**2 + 2 * width * wide)
    attention = 4 * tokens**2 * width
    return 2.0 * config.num_layers * (maps + attention)


def report(found: dict[str, Any], options: argparse.Namespace) -> str:
    """Write the section of RESULTS.md."""
    machine = describe_machine()
    rounds, told = found["rounds"], found["told"]
    step = {name: statistics.median(row["wall"] for row in rows) for name, rows in rounds.items()}
    cpu = {name: min(row["cpu"] for row in rows) for name, rows in rounds.items()}

    def torch_of(name: str) -> str:
        return "torch" + (HELD if name.endswith(HELD) else "")

    def speed(name: str, steps: int, key: str = "wall") -> float:
        ratios = [
            100 * ours["wall"] / (steps * theirs["wall"])
            if key == "wall"
            else 100 * ours["cpu"] / (steps * theirs["cpu"])
            for ours, theirs in zip(rounds[torch_of(name)], rounds[name], strict=True)
        ]
        return float(statistics.median(ratios))

    fast, exact = (PRESETS[name]["num_steps"] for name in ("fast", "exact"))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['processor']}, {options.threads} threads, "
        f"onnxruntime {machine['onnxruntime']}, load average {machine['load_average']:.1f} on "
        f"{machine['cores']} cores; released size (283 M parameters, random weights), "
        f"{options.frames} frames; `python benchmarks/compare.py --frames {options.frames} "
        f"--steps {options.steps} --rounds {options.rounds} --threads {options.threads}`.",
        "",
        "Where the load is above the number of threads, compare CPU time, best with --threads 1: "
        "threads that wait for each other lose most on a busy machine, and torch's lose more.",
        "",
        "| | s a step | CPU s a step | load to first step, s | peak memory, MB "
        "| features off torch's |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, title in CONTENDERS.items():
        ready = told[name]["load"] + told[name]["first"]
        lines.append(
            f"| {title} | {step[name]:.3f} | {cpu[name]:.3f} | {ready:.2f} | "
            f"{told[name]['peak_mb']:.0f} | {found['off'][name]:.1e} |"
        )
    lines += [
        "",
        f"fp32 is exact. int8 is not: joints are {found['int8']['motion_joints_cm']:.1f} cm from "
        "those of fp32, as its export measured with these random weights.",
        "",
        "| a motion | steps | seconds | speed | by CPU time | goal |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        f"| torch, as upstream | 100 | {100 * step['torch']:.1f} | 1.0x | 1.0x | |",
    ]
    for title, name, steps, goal in (
        ("exact preset, fp32", "fp32", exact, "1.4x"),
        ("exact preset, int8", "int8", exact, "3x"),
        ("fast preset, fp32", "fp32", fast, ""),
        ("fast preset, int8", "int8", fast, "12x"),
        ("exact preset, fp32, constrained", "fp32-held", exact, ""),
        ("exact preset, int8, constrained", "int8-held", exact, ""),
        ("fast preset, int8, constrained", "int8-held", fast, ""),
    ):
        lines.append(
            f"| {title} | {steps} | {steps * step[name]:.1f} | {speed(name, steps):.1f}x | "
            f"{speed(name, steps, 'cpu'):.1f}x | {goal} |"
        )
    work, best = flops_a_branch(options.frames), found["peak"]["torch"]
    lines += [
        "",
        f"A step is {3 * work / 1e9:.0f} GFLOP in three branches and {2 * work / 1e9:.0f} in two. "
        f"torch's own fp32 matrix product reached {found['peak']['torch'] / 1e9:.0f} GFLOP/s in "
        f"the same run with the same threads, which would allow {3 * work / best:.2f} s and "
        f"{2 * work / best:.2f} s a step in fp32; onnxruntime's reached "
        f"{found['peak']['onnxruntime'] / 1e9:.0f}. Speeds are against torch on this processor: "
        "where the two products are not alike, so are the speeds.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
