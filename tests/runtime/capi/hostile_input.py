"""Fuzz what the C library reads: ``python tests/runtime/capi/hostile_input.py --seconds 60``.

The driver (fuzz.c) gives inputs to the targets (fuzz_targets.c), under AddressSanitizer and
UndefinedBehaviorSanitizer. A finding ends it: the input is left in the folder of findings, and this
prints how to run it again. It takes gcc alone; libfuzzer.py runs the same targets under clang's
fuzzer, for hours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from c_builds import CAPI as CAPI  # noqa: E402  # tests are no package
from c_builds import LIBRARIES as LIBRARIES  # noqa: E402
from c_builds import compile_c as compile_c  # noqa: E402

from motionrt.runtime.bundle.embedded import embedded_bundle  # noqa: E402

TARGETS = (
    *("manifest", "statistics", "book", "tokenizer"),
    *("request", "constraints", "prompt", "finish"),
    "snapshot",
)
FLAGS = (
    *("-std=c11", "-g", "-O1", "-no-pie", "-fsanitize=address,undefined"),
    *("-fno-sanitize-recover=all", "-fsanitize-coverage=trace-pc"),
)


@lru_cache(maxsize=1)
def build() -> Path:
    """Build the driver."""
    sources = [HERE / name for name in ("fuzz.c", "fuzz_targets.c")]
    sources += sorted((CAPI / "src").glob("*.c"))
    return compile_c("fuzz", *FLAGS, *sources, *LIBRARIES)


def commit() -> int:
    """Return a seed of the commit's own: each has new inputs, and the same ones every time."""
    command = ["git", "rev-parse", "HEAD"]
    told = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return int(told.stdout.strip()[:8] or "0", 16)


def run(
    driver: Path, target: str, seconds: float, seed: int, findings: Path
) -> subprocess.CompletedProcess[str]:
    """Fuzz one target."""
    corpus = HERE / "corpus" / target
    words = (driver, target, embedded_bundle(), corpus, seconds, seed, findings)
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> int:
    """Run the command; the exit code is 1 if something was found."""
    parser = argparse.ArgumentParser(
        description="Give the C library inputs that nobody means well."
    )
    parser.add_argument("--seconds", type=float, default=60, help="over all targets")
    parser.add_argument("--target", action="append", choices=TARGETS, help="may be repeated")
    parser.add_argument("--seed", type=int, default=commit(), help="default: the commit")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="a folder")
    given = parser.parse_args()
    given.findings.mkdir(parents=True, exist_ok=True)
    targets, driver, found = given.target or TARGETS, build(), 0
    for target in targets:
        seconds = given.seconds / len(targets)
        done = run(driver, target, seconds, given.seed, given.findings)
        print(done.stdout + done.stderr, end="", flush=True)
        left = given.findings / f"{target}.input"
        if done.returncode:
            found = 1
            kept = left.rename(given.findings / f"{target}-{given.seed}.input")
            print(f"{target}: found something; {driver} {target} {embedded_bundle()} {kept}")
        else:
            left.unlink()
    return found


if __name__ == "__main__":
    raise SystemExit(main())
