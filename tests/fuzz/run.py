"""Fuzz the readers: `python tests/fuzz/run.py --help`; README.md beside this says how it works."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent

if TYPE_CHECKING:
    from fuzz.target import Target


def all_targets() -> dict[str, Target]:
    """Find the targets by name: those of every module in ``targets``."""
    found: dict[str, Target] = {}
    for module in sorted(pkgutil.iter_modules([str(HERE / "targets")])):
        for target in importlib.import_module(f"fuzz.targets.{module.name}").TARGETS:
            assert target.name not in found, target.name
            found[target.name] = target
    return found


def commit() -> str:
    """Name the commit that is tested: each has inputs of its own, and the same ones every time."""
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return told.stdout.strip()[:12] or "0"


def main() -> int:
    """Run the command; the exit code is 1 if something was found."""
    from fuzz.campaign import HEAD, Figures, fuzz

    parser = argparse.ArgumentParser(description="Give the readers inputs that nobody means well.")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--inputs", type=int, help="how many, over all targets")
    amount.add_argument("--each", type=int, help="how many for each target")
    amount.add_argument("--seconds", type=float, help="how long, over all targets")
    amount.add_argument("--seeds", action="store_true", help="what once broke something, alone")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", help="default: the commit, so that a change tests new inputs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="a folder")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    targets = all_targets()
    chosen = given.target or list(targets)
    if unknown := [name for name in chosen if name not in targets]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(targets)}")
    seed = given.seed or commit()
    print(f"seed {seed}; findings go to {given.findings}\n\n{HEAD}", flush=True)
    inputs = given.each or (given.inputs and -(-given.inputs // len(chosen)))
    if given.seeds:
        inputs, given.workers = 0, 1
    total = Figures()
    for name in chosen:
        figures = fuzz(
            targets[name],
            inputs=inputs,
            seconds=given.seconds and given.seconds / len(chosen),
            seed=seed,
            workers=given.workers,
            findings=given.findings,
        )
        print(figures.row(name), flush=True)
        total.inputs += figures.inputs
        total.accepted += figures.accepted
        total.seconds += figures.seconds
        total.places |= figures.places
        total.kinds |= {f"{name}: {kind}" for kind in figures.kinds}
    print(total.row("all"))
    for kind in sorted(total.kinds):
        print(f"found: {kind}")
    return 1 if total.kinds else 0


if __name__ == "__main__":
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = "1"  # of workers there are as many as processors
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sys.path[0] = str(HERE.parent)
    sys.path.insert(1, str(HERE.parent.parent))
    sys.exit(main())
