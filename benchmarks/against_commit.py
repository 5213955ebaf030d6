"""This tree against an older commit: is starting and generating slower than it was?

python benchmarks/against_commit.py COMMIT [--rounds 9] [--write]

Every command runs in a process of its own, in turn on either tree, so that both meet the same
machine; the ratio of each pair is taken, and its median counts. The embedded default is run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import write_section

from motionrt.runtime.benchmark import describe_machine

HEADING = "Against an older commit"
ROOT = Path(__file__).parents[1]
WARM = """
import time, motionrt
pipeline = motionrt.load()
pipeline.generate("a person walks forward", 5.0, seed=0)
start = time.perf_counter()
for seed in range(8):
    pipeline.generate("a person walks forward", 5.0, seed=seed)
print((time.perf_counter() - start) / 8)
"""
COMMANDS = {
    "motionrt --help": ["-m", "motionrt", "--help"],
    "motionrt gen --help": ["-m", "motionrt", "gen", "--help"],
    "import motionrt": ["-c", "import motionrt"],
    "motionrt gen, process start to BVH": [
        *("-m", "motionrt", "gen", "a person walks forward", "--seed", "1", "--bvh", "--quiet"),
        *("-o", "walk"),
    ],
    "a warm generate (5 s)": ["-c", WARM],
}


def run(tree: Path, arguments: list[str], scratch: Path) -> float:
    """Run Python on a tree; return the seconds that it printed, or took."""
    settings = {**os.environ, "PYTHONPATH": str(tree)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=scratch,
        env=settings,
        check=True,
        capture_output=True,
        text=True,
    )
    taken = time.perf_counter() - start
    return float(done.stdout) if arguments[-1] == WARM else taken


def main() -> None:
    """Check the commit out, time both trees in turn, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    machine = describe_machine()
    lines = ["| | before, s | now, s | now / before |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as name:
        scratch, old = Path(name), Path(name) / "old"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(old), options.commit], check=True)
        try:
            for label, arguments in COMMANDS.items():
                pairs = []
                for turn in range(options.rounds + 1):
                    order = (old, ROOT) if turn % 2 else (ROOT, old)
                    taken = {tree: run(tree, arguments, scratch) for tree in order}
                    pairs.append((taken[old], taken[ROOT]))
                before, now = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
                ratio = statistics.median(after / first for first, after in pairs[1:])
                lines.append(f"| {label} | {before:.3f} | {now:.3f} | {ratio:.2f} |")
                print(lines[-1], flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {machine['load_average']:.1f}; against {options.commit}, medians of "
        f"{options.rounds} pairs; `python benchmarks/against_commit.py {options.commit} --rounds "
        f"{options.rounds}`.\n\n" + "\n".join(lines)
    )
    print(text)
    if options.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
