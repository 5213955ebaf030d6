"""Which solver and how many steps: distance to a run of all base steps, foot skate and jitter.

    python benchmarks/solvers.py [BUNDLE] [--prompts FILE] [--frames 90] [--seeds 1] [--write]

BUNDLE is of the kimodo family, trained: random weights say nothing here. Without one the embedded
default is used. Every prompt starts from the same noise with every solver. The fast preset takes 12
steps of dpmpp-2m, whose motions are nearer to those of all base steps than those of ddim's 50.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import write_section

import motionrt
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.noise import TorchGenerator

HEADING = "Solvers"
CONTENDERS = (
    *(("ddim", steps) for steps in (10, 20, 25, 50, 100)),
    *(("dpmpp-2m", steps) for steps in (8, 10, 12, 16, 20, 25, 30, 50)),
)
PROMPTS = (
    "A person walks forward.",
    "A person runs in a circle.",
    "Someone jumps up and lands.",
    "A person sits down on a chair.",
    "A person waves with the right hand.",
    "Someone dances.",
)
PLOT = "solvers.png"
Floats = NDArray[np.float32]


def main() -> None:
    """Sample with every solver, print the table, and with --write keep it and its plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--prompts", type=Path, help="a text file with a prompt a line")
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--seeds", type=int, default=1, help="noises for each prompt")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    pipeline = motionrt.load(options.bundle)
    if not isinstance(pipeline, KimodoPipeline):
        raise SystemExit(f"{options.bundle}: is of the family {pipeline.manifest.family}")
    prompts = list(PROMPTS)
    if options.prompts:
        prompts = [line for line in options.prompts.read_text().splitlines() if line.strip()]
    runs = sample_all(pipeline, prompts, options.frames, options.seeds)
    text, rows = report(pipeline, runs, prompts, options)
    print(text)
    if options.write:
        plot(rows, Path(__file__).parent / PLOT)
        write_section(HEADING, f"{text}\n![]({PLOT})\n")


def sample_all(
    pipeline: KimodoPipeline, prompts: Sequence[str], frames: int, seeds: int
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return decoded arrays and seconds of every contender, and of all base steps with ddim."""
    texts, mask = pipeline.encode_text(prompts)
    texts, mask = np.repeat(texts, seeds, 0), np.repeat(mask, seeds, 0)
    width = pipeline.features.width
    noise = np.stack(
        [TorchGenerator(row % seeds).randn((frames, width)) for row in range(len(texts))]
    )
    everything = ("ddim", int(pipeline.manifest.sampler["num_base_steps"]))
    runs = {}
    for solver, steps in (*CONTENDERS, everything):
        start = time.perf_counter()
        features = pipeline.sample(texts, noise, text_mask=mask, num_steps=steps, solver=solver)
        seconds = time.perf_counter() - start
        runs[solver, steps] = {**pipeline.decode(features), "seconds": seconds}
        print(f"{solver} {steps}: {seconds:.1f} s", flush=True)
    return runs


def distance_cm(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Return the mean distance of joints."""
    apart = np.linalg.norm(a["posed_joints"] - b["posed_joints"], axis=-1)
    return float(apart.mean() * 100)


def foot_skate_cm_s(pipeline: KimodoPipeline, run: dict[str, Any]) -> float:
    """Return the mean horizontal speed of feet while the model says that they stand."""
    skeleton = pipeline.skeleton
    feet = [*skeleton.left_foot_joints[:2], *skeleton.right_foot_joints[:2]]
    steps = np.diff(run["posed_joints"][:, :, feet][..., [0, 2]], axis=1)
    speed = np.linalg.norm(steps, axis=-1) * pipeline.fps * 100
    standing = run["foot_contacts"][:, 1:] & run["foot_contacts"][:, :-1]
    return float(speed[standing].mean()) if standing.any() else 0.0


def jitter(pipeline: KimodoPipeline, run: dict[str, Any]) -> float:
    """Return the mean size of the joints' jerk, in km/s³."""
    jerk = np.diff(run["posed_joints"], n=3, axis=1) * pipeline.fps**3
    return float(np.linalg.norm(jerk, axis=-1).mean() / 1000)


def report(
    pipeline: KimodoPipeline,
    runs: dict[tuple[str, int], dict[str, Any]],
    prompts: Sequence[str],
    options: argparse.Namespace,
) -> tuple[str, list[tuple[str, int, float]]]:
    """Return the section's text, and (solver, steps, distance) of every contender."""
    everything = next(reversed(runs))
    reference = runs[everything]
    bar = distance_cm(runs["ddim", 50], reference)
    rows = [(*key, distance_cm(run, reference)) for key, run in runs.items() if key != everything]
    lines = [
        f"{pipeline.manifest.name}, {len(prompts)} prompts x {options.seeds} noises, "
        f"{options.frames} frames, on {pipeline.backend.name}; distances are to "
        f"{everything[0]} with all {everything[1]} steps from the same noise.",
        "",
        "| solver | steps | joints off, cm | foot skate, cm/s | jitter, km/s³ |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for (solver, steps), run in runs.items():
        lines.append(
            f"| {solver} | {steps} | {distance_cm(run, reference):.2f} | "
            f"{foot_skate_cm_s(pipeline, run):.1f} | {jitter(pipeline, run):.3f} |"
        )
    enough = [steps for solver, steps, off in rows if solver == "dpmpp-2m" and off < bar]
    nearer = ", ".join(map(str, enough)) or "none of these"
    lines += ["", f"Nearer to all steps than ddim's 50: dpmpp-2m with {nearer} steps."]
    return "\n".join(lines) + "\n", rows


def plot(rows: Sequence[tuple[str, int, float]], path: Path) -> None:
    """Draw distance over steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for solver in dict.fromkeys(row[0] for row in rows):
        points = sorted((steps, off) for name, steps, off in rows if name == solver)
        axes.plot(*zip(*points, strict=True), marker="o", label=solver)
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="joints off all steps, cm")
    ticks = sorted({row[1] for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
