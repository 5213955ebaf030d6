"""How far fuzzers get in a second: ours, Hypothesis and Atheris, on the same readers and seeds.

    pip install atheris
    python benchmarks/fuzzers.py --target glb --target npz --seconds 30

Each runs in a process of its own for so much processor time. What counts is how many lines of ours
refused an input (how deep and wide the inputs went), and how many inputs were read. Atheris watches
which lines run (its own mutations, or ours instead); Hypothesis draws our mutators' choices; ours
keeps inputs that were read or refused at a new place.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
ENGINES = ("ours", "hypothesis", "atheris", "atheris with our mutators")


class Meter:
    """Gives inputs to a target and ends the process when the time is over."""

    def __init__(self, target: Any, seconds: float) -> None:
        """Run the seeds, then start the clock."""
        from fuzz.worker import Outcome, Pool, place_of

        self.target, self.seconds = target, seconds
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.path = Path(self.folder.name) / target.file_name
        self.seeds = list(target.make_seeds())
        self.outcome, self.place_of = Outcome, place_of
        self.pool = Pool(self.seeds, Random(0))
        self.inputs = self.read = 0
        warnings.simplefilter("ignore")
        for seed in self.seeds:
            self._run(seed)
        self.start = time.process_time()

    def give(self, data: bytes) -> Any:
        """Run one input."""
        if time.process_time() - self.start > self.seconds:
            self.end()
        self.inputs += 1
        outcome = self._run(data)
        self.read += outcome.kind == "accepted"
        self.pool.add(data, outcome)
        return outcome

    def end(self) -> None:
        """Tell the figures."""
        places = len([1 for kind, _ in self.pool.places if kind != "accepted"])
        figures = {"inputs": self.inputs, "read": self.read, "places": places}
        self.folder.cleanup()
        print(json.dumps(figures), flush=True)
        os._exit(0)

    def _run(self, data: bytes) -> Any:
        self.path.write_bytes(data)
        try:
            self.target.read(self.path)
        except Exception as error:
            return self.outcome("refused", self.place_of(error))
        return self.outcome("accepted")


def ours(meter: Meter) -> None:
    """Change what the pool gives."""
    rng = Random(0)
    while True:
        meter.give(meter.target.mutate(rng, meter.pool.pick()))


def with_hypothesis(meter: Meter) -> None:
    """Let Hypothesis draw what our mutators choose."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    @settings(
        max_examples=10**9,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(meter.seeds), st.randoms(use_true_random=False))
    def test(seed: bytes, rng: Random) -> None:
        meter.give(meter.target.mutate(rng, seed))

    while True:
        test()


def with_atheris(meter: Meter, mutators: bool) -> None:
    """Let Atheris choose what is changed further, and change it itself or by our mutators."""
    import atheris

    corpus = Path(meter.folder.name) / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(meter.seeds):
        (corpus / str(number)).write_bytes(seed)
    more: dict[str, Callable[..., bytes]] = {}
    if mutators:
        more["custom_mutator"] = lambda data, most, seed: meter.target.mutate(Random(seed), data)[
            :most
        ]
    arguments = [sys.argv[0], str(corpus), "-max_len=65536", "-rss_limit_mb=0"]
    atheris.Setup(arguments, lambda data: meter.give(data) and None, **more)
    atheris.Fuzz()


def run_one(engine: str, name: str, seconds: float) -> None:
    """Run one engine on one target, in this process."""
    if engine.startswith("atheris"):
        import atheris

        with atheris.instrument_imports(include=["motionrt"]):
            from fuzz.run import all_targets

            targets = all_targets()
            for target in (targets[name],):  # readers are imported when they are used
                path = Path(tempfile.mkdtemp()) / target.file_name
                for seed in target.make_seeds():
                    path.write_bytes(seed)
                    target.read(path)
    else:
        from fuzz.run import all_targets

        targets = all_targets()
    meter = Meter(targets[name], seconds)
    if engine == "ours":
        ours(meter)
    elif engine == "hypothesis":
        with_hypothesis(meter)
    else:
        with_atheris(meter, engine != "atheris")


def main() -> None:
    """Run all engines, and print a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", action="append")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    names = given.target or ["glb", "npz", "bvh", "gmr"]
    if given.one:
        run_one(given.one, names[0], given.seconds)
        return
    print("| target | engine | inputs | read | places that refuse |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in names:
        for engine in ENGINES:
            command = [sys.executable, __file__, "--one", engine, "--target", name]
            done = subprocess.run(
                [*command, "--seconds", str(given.seconds)], capture_output=True, text=True
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            if not lines:
                raise SystemExit(done.stderr[-2000:])
            told = json.loads(lines[-1])
            row = (name, engine, f"{told['inputs']:,}", f"{told['read']:,}", told["places"])
            print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
