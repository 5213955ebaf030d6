"""Do several motions in one call cost less than as many calls? Samples of one prompt, both ways.

    python benchmarks/samples.py [BUNDLE] [--frames 80] [--rounds 3] [--write]

Without BUNDLE the embedded default runs, with its own sampler settings. Both ways take turns, and
the medians count; text is encoded before, files are not written.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from results import write_section

import motionrt
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.sampling.noise import TorchGenerator

HEADING = "Several samples at once"
COUNTS = (2, 4, 8, 16)
PROMPT = "a person walks forward"


def main() -> None:
    """Measure both ways at every count and print a table, with --write into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="denoising steps; else the bundle's")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    pipeline = motionrt.load(options.bundle)
    if not isinstance(pipeline, KimodoPipeline):
        raise SystemExit(f"{options.bundle}: is of the family {pipeline.manifest.family}")
    text, mask = pipeline.encode_text([PROMPT])
    shape = (max(COUNTS), options.frames, pipeline.features.width)
    noise = TorchGenerator(0).randn(shape)

    def make(rows: slice) -> float:
        count = rows.stop - rows.start
        texts, masks = np.repeat(text, count, 0), np.repeat(mask, count, 0)
        start = time.perf_counter()
        features = pipeline.sample(texts, noise[rows], text_mask=masks, num_steps=options.steps)
        pipeline.decode(features)
        return time.perf_counter() - start

    make(slice(0, 1))
    lines = ["| samples | one call, s | as many calls, s | a motion, ms | saved |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: |")
    for count in COUNTS:
        together, apart = [], []
        for _ in range(options.rounds):
            together.append(make(slice(0, count)))
            apart.append(sum(make(slice(row, row + 1)) for row in range(count)))
        once, each = statistics.median(together), statistics.median(apart)
        lines.append(
            f"| {count} | {once:.3f} | {each:.3f} | {once / count * 1e3:.0f} | "
            f"{1 - once / each:.0%} |"
        )
        print(lines[-1], flush=True)
    machine = describe_machine()
    steps = options.steps or pipeline.defaults.num_steps
    text_block = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores; "
        f"{pipeline.manifest.name}, {options.frames} frames, {steps} steps, on "
        f"{pipeline.backend.name}; `python benchmarks/samples.py`.\n\n" + "\n".join(lines)
    )
    print(text_block)
    if options.write:
        write_section(HEADING, text_block)


if __name__ == "__main__":
    main()
