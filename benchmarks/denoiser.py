"""One denoising step of a released-size Kimodo: torch eager, the step graph, the compiled loop.

    python benchmarks/denoiser.py [--frames 150] [--steps 6] [--repeats 3]

Random weights of the released size (283 M parameters, 50 text tokens), no constraints. Each
contender runs in a process of its own, for its peak memory; rounds of them alternate, so that a
machine that is busy for a while does not favour one. torch does what upstream does: three branches.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CONTENDERS = ("torch-3-branches", "torch-2-branches", "step", "loop-3-branches", "loop")
TITLES = {
    "torch-3-branches": "torch eager, three branches (as upstream)",
    "torch-2-branches": "torch eager, two branches",
    "step": "step graph, two branches",
    "loop-3-branches": "compiled loop, three branches",
    "loop": "compiled loop, two branches",
}


def main() -> None:
    """Build the checkpoint and the bundle, run every contender, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep checkpoint and bundle here")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(run(options.contender, options.folder, options.frames, options.steps)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        prepare(folder)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
        for _ in range(options.repeats):
            for name in CONTENDERS:
                command = [sys.executable, __file__, "--contender", name, "--folder", str(folder)]
                command += ["--frames", str(options.frames), "--steps", str(options.steps)]
                process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                results[name].append(json.loads(process.stdout.splitlines()[-1]))
    report(results, options.frames)


def prepare(folder: Path) -> None:
    """Write checkpoint and bundle unless they are there."""
    from released_size import write_checkpoint

    if not (folder / "checkpoint" / "config.yaml").is_file():
        write_checkpoint(folder / "checkpoint")
    if not (folder / "bundle" / "manifest.json").is_file():
        command = [sys.executable, "-m", "motionrt", "export", "kimodo"]
        command += [str(folder / "checkpoint"), "--no-text-encoder", "-o", str(folder / "bundle")]
        subprocess.run(command, check=True)


def run(name: str, folder: Path, frames: int, steps: int) -> dict[str, Any]:
    """Run one contender: load, one warm-up, then the timed steps; seconds and megabytes."""
    from motionrt.runtime.sampling.guidance import Guidance, guidance_branches
    from motionrt.runtime.sampling.schedule import cosine_schedule

    table = cosine_schedule(1000, steps)
    rng = np.random.default_rng(0)
    constrained = name.endswith("3-branches")
    branches = guidance_branches(Guidance("separated", (2.0, 2.0)), True, constrained)
    noise = rng.standard_normal((1, frames, 369), dtype=np.float32)
    fixed = {
        "text_features": rng.standard_normal((1, 1, 4096), dtype=np.float32),
        "text_mask": np.ones((1, 1), bool),
        "frame_mask": np.ones((1, frames), bool),
        "first_heading_rad": np.zeros(1, np.float32),
        "motion_mask": np.zeros_like(noise),
        "observed_motion": np.zeros_like(noise),
        "branch_text": branches[0],
        "branch_constraints": branches[1],
        "branch_weights": branches[2],
    }
    start = time.perf_counter()
    sample = {"t": torch_sampler, "s": step_sampler, "l": loop_sampler}[name[0]](folder, fixed)
    loaded = time.perf_counter() - start
    sample(noise, table.timesteps[:1], table.coefficients[:1])
    start = time.perf_counter()
    result = sample(noise, table.timesteps, table.coefficients)
    seconds = (time.perf_counter() - start) / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    digest = float(np.abs(result).mean())
    np.save(folder / f"{name}.npy", result)
    return {"load_s": loaded, "step_s": seconds, "peak_mb": peak, "mean_abs": digest}


def torch_sampler(folder: Path, fixed: dict[str, Any]) -> Any:
    """Return a sampler that calls the torch module step by step."""
    import torch

    from motionrt.export.kimodo import GuidedStep
    from motionrt.export.readers.kimodo import read_kimodo

    step = GuidedStep(read_kimodo(folder / "checkpoint").model).eval()
    tensors = {key: torch.from_numpy(value) for key, value in fixed.items()}

    def sample(noise: Any, timesteps: Any, rows: Any) -> Any:
        x, x0 = torch.from_numpy(noise), torch.zeros(noise.shape)
        with torch.inference_mode():
            for timestep, row in zip(timesteps, rows, strict=True):
                x, x0 = step(x, x0, torch.tensor([timestep]), torch.from_numpy(row), **tensors)
        return x.numpy()

    return sample


def step_sampler(folder: Path, fixed: dict[str, Any]) -> Any:
    """Return a sampler that calls the step graph from Python."""
    session = load(folder, "step")

    def sample(noise: Any, timesteps: Any, rows: Any) -> Any:
        x, x0 = noise, np.zeros_like(noise)
        for timestep, row in zip(timesteps, rows, strict=True):
            state = {"x": x, "x0_previous": x0, "timestep": timestep[None], "coefficients": row}
            result = session.run({**state, **fixed})
            x, x0 = result["x_next"], result["x0"]
        return x

    return sample


def loop_sampler(folder: Path, fixed: dict[str, Any]) -> Any:
    """Return a sampler that makes one call."""
    session = load(folder, "sampler")

    def sample(noise: Any, timesteps: Any, rows: Any) -> Any:
        state = {"x": noise, "x0_previous": np.zeros_like(noise)}
        table = {"timesteps": timesteps[:, None], "schedule": rows}
        return session.run({**state, **table, **fixed})["x_next"]

    return sample


def load(folder: Path, graph: str) -> Any:
    """Load one graph of the bundle on the CPU, as the runtime does."""
    import motionrt

    return motionrt.load(folder / "bundle", backend="cpu").graph(graph)


def report(results: dict[str, list[dict[str, Any]]], frames: int) -> None:
    """Print medians and ratios."""
    print(f"\n{frames} frames, medians of {len(results['loop'])} runs")
    print(f"{'':<44}{'s/step':>8}{'load s':>8}{'peak MB':>9}{'speed':>8}")
    base = statistics.median(row["step_s"] for row in results["torch-3-branches"])
    medians = {}
    for name, rows in results.items():
        step, loaded, peak = (
            statistics.median(row[key] for row in rows) for key in ("step_s", "load_s", "peak_mb")
        )
        medians[name] = step
        print(f"{TITLES[name]:<44}{step:8.3f}{loaded:8.2f}{peak:9.0f}{base / step:7.2f}x")
    print(f"loop over step graph: {medians['loop'] / medians['step'] - 1:+.1%}")
    same = abs(results["loop"][0]["mean_abs"] - results["loop-3-branches"][0]["mean_abs"])
    print(f"two branches against three: mean |x| differs by {same:.1e}")


if __name__ == "__main__":
    main()
