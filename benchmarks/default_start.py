"""From nothing to a file: the command line with the embedded default, and a warm pipeline.

python benchmarks/default_start.py [--seconds 4] [--rounds 5] [--write]

Cold is a process of its own each time, from start to written BVH (files in the disk cache); warm is
``generate`` of a loaded pipeline, another seed each time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import write_section

import motionrt
from motionrt.runtime.benchmark import describe_machine

HEADING = "The embedded default, cold and warm"
PROMPT = "a person walks forward"


def main() -> None:
    """Measure both, print the medians, and with --write keep them in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    machine = describe_machine()
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as scratch:
        stem = Path(scratch) / "walk"
        command = [sys.executable, "-m", "motionrt", "gen", PROMPT, "--bvh", "--quiet"]
        command += ["--duration", str(options.seconds), "--seed", "1", "-o", str(stem)]
        for _ in range(options.rounds + 1):
            start = time.perf_counter()
            subprocess.run(command, check=True)
            cold.append(time.perf_counter() - start)
    pipeline = motionrt.load()
    pipeline.generate(PROMPT, options.seconds, seed=0)
    for seed in range(1, options.rounds + 1):
        start = time.perf_counter()
        pipeline.generate(PROMPT, options.seconds, seed=seed)
        warm.append(time.perf_counter() - start)
    size = sum(info.size for info in pipeline.manifest.files.values())
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {machine['load_average']:.1f}; a {options.seconds:g}-second clip, "
        f"{size / 1e6:.1f} MB of bundle; `python benchmarks/default_start.py`.\n\n"
        "| | seconds (median) | slowest |\n| --- | ---: | ---: |\n"
        f"| process start to written BVH | {statistics.median(cold[1:]):.2f} | {max(cold):.2f} |\n"
        f"| warm generation | {statistics.median(warm):.2f} | {max(warm):.2f} |\n"
    )
    print(text)
    if options.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
