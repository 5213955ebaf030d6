"""The embedded default lowered for every target: size, speed, and how near its motions are.

    python benchmarks/targets.py [--rounds 5] [--threads 1] [--write]

The original and every lowered bundle take turns, a motion of 5 s at a time, run by onnxruntime:
what an engine or a browser makes of the graphs is not measured here. --write puts the table into
RESULTS.md.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime as ort
from results import write_section

import motionrt
from motionrt.export.lowering.bundle import lower
from motionrt.export.lowering.targets import targets
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle

PROMPT, SECONDS, SEED = "a person walks forward", 5.0, 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"as exported": embedded_bundle()}
        for name, target in targets().items():
            folders[name] = Path(scratch, name)
            folders[name].mkdir()
            lower(Bundle(embedded_bundle()), target, folders[name], lambda _: None)
        pipelines = {
            name: motionrt.load(folder, threads=arguments.threads)
            for name, folder in folders.items()
        }
        motions: dict[str, motionrt.Motion] = {}
        seconds: dict[str, list[float]] = {name: [] for name in folders}
        for turn in range(arguments.rounds + 1):
            for name, pipeline in pipelines.items():
                start = time.process_time()
                motions[name] = pipeline.generate(PROMPT, SECONDS, seed=SEED)
                if turn:  # the first also loads
                    seconds[name].append(time.process_time() - start)
        rows = []
        for name, folder in folders.items():
            graphs = Bundle(folder).manifest.graphs.values()
            files = {file for graph in graphs for file in (*graph.files.values(), *graph.data)}
            contents = [(folder / file).read_bytes() for file in sorted(files)]
            size, packed = sum(map(len, contents)), sum(len(gzip.compress(c, 6)) for c in contents)
            ratio = np.median(np.divide(seconds[name], seconds["as exported"]))
            apart = np.abs(motions[name].posed_joints - motions["as exported"].posed_joints).max()
            lowered = max(graph.deviation.get("lowered", 0.0) for graph in graphs)
            rows.append(
                f"| {name} | {len(files)} | {size / 1e6:.2f} | {packed / 1e6:.2f} | {lowered:.1e} "
                f"| {apart:.1e} | {np.median(seconds[name]):.2f} | {ratio:.2f} |"
            )
    machine = describe_machine()
    text = (
        f"{date.today()}, {machine.get('processor', '')}, onnxruntime {ort.__version__}, "
        f"{arguments.threads} thread(s), load average {machine.get('load_average', 0):.1f}; "
        f'{SECONDS:g} s of "{PROMPT}"; median of {arguments.rounds} rounds in turns, processor '
        f"time; `python benchmarks/targets.py --rounds {arguments.rounds} --threads "
        f"{arguments.threads}`.\n\n"
        "| | files of graphs | MB | MB gzip | graphs within | joints within, m | CPU s a motion "
        "| to as exported |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        + "\n".join(rows)
    )
    print(text)
    if arguments.write:
        write_section("Lowered bundles", text)


if __name__ == "__main__":
    main()
