"""What motions lose when some steps run one branch of the denoiser where guidance takes two.

    python benchmarks/fewer_branches.py [BUNDLE] [--frames 90] [--seeds 1] [--timed B] [--write]

BUNDLE is of the kimodo family, trained: random weights say nothing here. Without one the embedded
default is used. Two ways: guidance in an interval of the base steps, outside of which the branch
with text runs alone (Kynkäänniemi 2024, arXiv:2404.07724); and the branch without text computed at
alternate steps only and used twice. A motion's joints are compared with those of the same solver
and steps in two branches throughout. A preset may do so only where they are apart by less than
ddim's 50 and 100 steps are. Then whole motions of the fast preset are timed with its interval and
without, in turns; those of other bundles (random weights will do) with --timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import write_section
from solvers import PROMPTS, distance_cm

import motionrt
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.kimodo.options import PRESETS
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule

HEADING = "Fewer branches"
RUNS = (("ddim", 100), ("dpmpp-2m", 20), ("dpmpp-2m", 12))
NOTE = """\
Guidance decides where the noise is: left out or taken from the step before, it costs 14 to 51 cm.
Near the clean end it may be left out for 2 cm and a tenth to a fifth of the branches: the fast
preset guides above 0.1. To all 1000 steps its motions are as near as before (21.67 and 21.73 cm, 12
motions). Under constraints they are as exact once cleaned up (4.2 cm both); as sampled, hands and
feet miss theirs by 8 to 12 cm where it was 6 to 10, paths by 3.5 to 4.4 where it was 3.8 to 4.9.
"""
"""Of the embedded default, 2026-11-27."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Way:
    """When a step runs the branch without text."""

    name: str
    guides: Callable[[float], bool] = lambda share: True
    """Whether guidance is on, given the base step's share of all (1 is noise)."""
    every: int = 1
    """At which guided steps the branch is computed; between them the last result is used."""


WAYS = (
    Way("two branches throughout"),
    Way("guidance below 0.9 of the base steps", lambda share: share < 0.9),
    Way("guidance below 0.8", lambda share: share < 0.8),
    Way("guidance above 0.1", lambda share: share > 0.1),
    Way("guidance above 0.2", lambda share: share > 0.2),
    Way("guidance above 0.3", lambda share: share > 0.3),
    Way("guidance from 0.2 to 0.9", lambda share: 0.2 < share < 0.9),
    Way("branch without text at alternate steps", every=2),
)


def main() -> None:
    """Sample in every way, print the table, and with --write keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--seeds", type=int, default=1, help="noises for each prompt")
    parser.add_argument("--timed", type=Path, action="append", default=[], help="only timed")
    parser.add_argument("--rounds", type=int, default=5, help="timed motions of each bundle")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    pipeline = motionrt.load(options.bundle, backend="cpu")
    if not isinstance(pipeline, KimodoPipeline):
        raise SystemExit(f"{options.bundle}: is of the family {pipeline.manifest.family}")
    texts, _ = pipeline.encode_text(PROMPTS)
    texts = np.repeat(texts, options.seeds, 0)
    width = pipeline.features.width
    draws = [TorchGenerator(row % options.seeds) for row in range(len(texts))]
    noise = np.stack([draw.randn((options.frames, width)) for draw in draws])
    bar = distance_cm(
        *(run(pipeline, texts, noise, "ddim", steps, WAYS[0])[0] for steps in (50, 100))
    )
    lines = [
        f"{pipeline.manifest.name}, {len(texts)} motions of {options.frames} frames; `python "
        f"benchmarks/fewer_branches.py --frames {options.frames} --seeds {options.seeds}`. ddim's "
        f"50 and 100 steps are {bar:.2f} cm apart: more than that no preset may lose.",
        "",
        "| solver | steps | way | branches run | of two throughout | joints apart, cm | allowed |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for solver, steps in RUNS:
        whole, most = run(pipeline, texts, noise, solver, steps, WAYS[0])
        for way in WAYS[1:]:
            found, count = run(pipeline, texts, noise, solver, steps, way)
            apart = distance_cm(found, whole)
            lines.append(
                f"| {solver} | {steps} | {way.name} | {count} | {count / most:.0%} | {apart:.2f} | "
                f"{'yes' if apart < bar else 'no'} |"
            )
            print(lines[-1], flush=True)
    lines += ["", *timed([options.bundle, *options.timed], options.rounds)]
    text = "\n".join([*lines, "", NOTE])
    print(text)
    if options.write:
        write_section(HEADING, text)


def timed(bundles: Sequence[Path | None], rounds: int) -> list[str]:
    """Return a table of the seconds that a motion of 5 s takes with the interval and without."""
    machine = describe_machine()
    lines = [
        f"The fast preset, motions of 5 s, medians of {rounds} in turns on {machine['processor']}, "
        f"load average {machine['load_average']:.1f}:",
        "",
        "| model | whole or sampled | guided above 0.1, s | guided throughout, s | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for bundle in bundles:
        pipeline = motionrt.load(bundle, backend="cpu")
        assert isinstance(pipeline, KimodoPipeline)
        whole = "text_encoder" in pipeline.manifest.graphs
        make = motion if whole else sampled
        make(pipeline, None), make(pipeline, [0.0])
        pairs = [
            (seconds(make, pipeline, None), seconds(make, pipeline, [0.0])) for _ in range(rounds)
        ]
        part, throughout = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(first / second for first, second in pairs)
        lines.append(
            f"| {pipeline.manifest.name} | {'whole' if whole else 'sampled and decoded'} | "
            f"{part:.3f} | {throughout:.3f} | {ratio:.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def seconds(
    make: Callable[[KimodoPipeline, Sequence[float] | None], None],
    pipeline: KimodoPipeline,
    interval: Sequence[float] | None,
) -> float:
    """Return how long a motion takes."""
    start = time.perf_counter()
    make(pipeline, interval)
    return time.perf_counter() - start


def motion(pipeline: KimodoPipeline, interval: Sequence[float] | None) -> None:
    """Make a motion with the fast preset, in its interval or another."""
    pipeline.generate(PROMPTS[0], 5, seed=0, preset="fast", guidance_interval=interval)


def sampled(pipeline: KimodoPipeline, interval: Sequence[float] | None) -> None:
    """Do the same to a random embedding, without the clean-up."""
    preset = dict(PRESETS["fast"])
    guidance = pipeline.settle_guidance(None, None, interval or preset.pop("guidance_interval"))
    draw, width = TorchGenerator(0), pipeline.defaults.text_width
    text = draw.randn((1, 1, width))
    noise = draw.randn((1, int(5 * pipeline.fps), pipeline.features.width))
    steps, solver = preset["num_steps"], preset["solver"]
    features = pipeline.sample(text, noise, guidance=guidance, num_steps=steps, solver=solver)
    pipeline.decode(features)


def run(
    pipeline: KimodoPipeline, texts: Floats, noise: Floats, solver: str, steps: int, way: Way
) -> tuple[dict[str, Any], int]:
    """Sample in a way; return decoded arrays, and how many branches were run."""
    base = int(pipeline.manifest.sampler["num_base_steps"])
    weight = np.float32(pipeline.default_guidance.weights[0])
    table = cosine_schedule(base, steps, solver)
    x, x0_previous = noise, np.zeros_like(noise)
    without: Floats | None = None
    count = guided_steps = 0
    for timestep, row in zip(table.timesteps, table.coefficients, strict=True):
        x0 = predict(pipeline, texts, x, timestep, 1.0)
        count += 1
        if way.guides(float(timestep) / base):
            if without is None or guided_steps % way.every == 0:
                without = predict(pipeline, texts, x, timestep, 0.0)
                count += 1
            guided_steps += 1
            x0 = without + weight * (x0 - without)
        a, b, c = row
        x, x0_previous = a * x + b * x0 + c * x0_previous, x0
    return pipeline.decode(x), count


def predict(
    pipeline: KimodoPipeline, texts: Floats, x: Floats, timestep: Any, text: float
) -> Floats:
    """Run one branch of the step graph; return its prediction."""
    batch = len(x)
    inputs = {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timestep": np.array([timestep]),
        "coefficients": np.zeros(3),
        "text_features": texts,
        "text_mask": np.ones(texts.shape[:2], np.bool_),
        "frame_mask": np.ones(x.shape[:2], np.bool_),
        "first_heading_rad": np.zeros(batch),
        "motion_mask": np.zeros_like(x),
        "observed_motion": np.zeros_like(x),
        "branch_text": np.array([text]),
        "branch_constraints": np.zeros(1),
        "branch_weights": np.zeros(1),
    }
    found: Floats = pipeline.graph("step").run(inputs, ["x0"])["x0"]
    return found


if __name__ == "__main__":
    main()
