"""What does it cost that graphs run where Ctrl-C is heard? With and without, in turn.

    python benchmarks/interruptible.py [--rounds 40] [--write]

Python hears signals only between its own steps, so a graph that is run from the main thread is run
in another, and the main thread waits (`motionrt/runtime/backend/waiting.py`). Without that it
runs where it is called. The embedded default, warm; both ways take turns, and the shortest of each
count: what the machine does besides makes single runs longer. The medians stand beside them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from results import write_section

import motionrt
from motionrt.runtime.backend import onnx_session, waiting
from motionrt.runtime.benchmark import describe_machine

HEADING = "Graphs that Ctrl-C can end"
CALLS = 50
"""Of the decoder in a round: one takes less than a clock can tell."""


_NAME = "interruptible"
"""What `onnx_session` calls it by."""


def direct(work: Callable[[], Any], stop: Callable[[], None] | None = None) -> Any:
    """Do the work where it is asked for."""
    return work()


def measured(work: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round with a thread, and of each without."""
    usual = waiting.interruptible
    seconds: dict[Any, list[float]] = {usual: [], direct: []}
    try:
        for number in range(2 * rounds):
            way = (usual, direct)[(number + number // 2) % 2]  # each is first as often
            setattr(onnx_session, _NAME, way)
            start = time.perf_counter()
            work()
            seconds[way].append(time.perf_counter() - start)
    finally:
        setattr(onnx_session, _NAME, usual)
    return seconds[usual], seconds[direct]


def main() -> None:
    """Measure and print a table, with --write into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    pipeline: Any = motionrt.load()
    features = np.zeros((1, 4, pipeline.features.width), np.float32)
    decoder = pipeline.graph("decoder")
    listed: list[tuple[str, Callable[[], object], int]] = [
        ("generate, 5 s", lambda: pipeline.generate("a person walks", 5, seed=1), 1),
        (
            "generate, 5 s, step by step",
            lambda: pipeline.generate("a person walks", 5, seed=1, progress=lambda *_: None),
            1,
        ),
        (
            "the decoder, 4 frames",
            lambda: [decoder.run({"features": features}) for _ in range(CALLS)],
            CALLS,
        ),
    ]
    lines = [
        "| | with, ms | without, ms | ratio | of the medians |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, work, calls in listed:
        work()
        way, other = measured(work, options.rounds)
        shortest = min(way), min(other)
        lines.append(
            f"| {name} | {shortest[0] / calls * 1e3:.3f} | {shortest[1] / calls * 1e3:.3f} | "
            f"{shortest[0] / shortest[1]:.3f} | "
            f"{statistics.median(way) / statistics.median(other):.3f} |"
        )
    print("\n".join(lines))
    machine = describe_machine()
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {os.getloadavg()[0]:.1f}; the shortest of {options.rounds} rounds each; "
        f"`python benchmarks/interruptible.py --rounds {options.rounds}`.\n\n" + "\n".join(lines)
    )
    if options.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
