"""Fuzz for hours with libFuzzer (clang): ``python tests/runtime/capi/libfuzzer.py --minutes 120``.

One process takes the targets of hostile_input.py in turn, a few minutes each, and what it learns
stays in the folder given with --corpus, so that a later run goes on from there. A finding is left
in the folder of findings. --shrink writes the smallest set of inputs that reaches as much to a
folder.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

from hostile_input import CAPI, HERE, LIBRARIES, TARGETS, compile_c

from motionrt.runtime.bundle.embedded import embedded_bundle

FLAGS = ("-std=c11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover")
LARGEST = 1 << 14
"""Bytes of an input, as in fuzz_targets.h."""
SECONDS_AN_INPUT, MEGABYTES = 120, 2048
"""What an input may take before it counts as a finding; on a busy machine most of it is waiting."""


@lru_cache(maxsize=1)
def build() -> Path:
    """Build the fuzzer; clang has what it needs."""
    sources = [HERE / name for name in ("libfuzzer.c", "fuzz_targets.c")]
    sources += sorted((CAPI / "src").glob("*.c"))
    return compile_c("libfuzzer", *FLAGS, *sources, *LIBRARIES, compiler="clang")


def run(program: Path, target: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run libFuzzer on a target."""
    environment = {**os.environ, "MRT_FUZZ_TARGET": target}
    environment["MRT_FUZZ_BUNDLE"] = str(embedded_bundle())
    limits = (f"-max_len={LARGEST}", f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEGABYTES}")
    command = [str(word) for word in (program, *limits, *words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def number(name: str, told: str) -> int:
    """Read one of the figures that libFuzzer prints at the end."""
    found = re.search(rf"stat::{name}:\s*(\d+)", told)
    return int(found[1]) if found else 0


def processor_time() -> float:
    """Return the seconds that programs run from here have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Run the command; the exit code is 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="over all targets")
    parser.add_argument("--slice", type=float, default=240, help="seconds of a target at a time")
    parser.add_argument("--target", action="append", choices=TARGETS, help="may be repeated")
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="a folder")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="a folder")
    parser.add_argument("--shrink", type=Path, help="write the inputs that matter to this folder")
    given = parser.parse_args()
    given.findings.mkdir(parents=True, exist_ok=True)
    program, targets = build(), given.target or TARGETS
    runs, found = dict.fromkeys(targets, 0), 0
    seconds, processor = dict.fromkeys(targets, 0.0), dict.fromkeys(targets, 0.0)
    end = time.monotonic() + 60 * given.minutes
    while (left := end - time.monotonic()) > 1:
        for target in targets:
            kept = given.corpus / target
            kept.mkdir(parents=True, exist_ok=True)
            limit = max(1, int(min(given.slice, left / len(targets))))
            words = (f"-max_total_time={limit}", "-print_final_stats=1", "-use_value_profile=1")
            prefix = f"-artifact_prefix={given.findings}/{target}-"
            began, used = time.monotonic(), processor_time()
            done = run(program, target, *words, prefix, kept, HERE / "corpus" / target)
            runs[target] += number("number_of_executed_units", done.stderr)
            seconds[target] += time.monotonic() - began
            processor[target] += processor_time() - used
            edges = re.findall(r"cov: (\d+)", done.stderr)
            print(
                f"{target}: {runs[target]} inputs in {seconds[target]:.0f} s "
                f"({processor[target]:.0f} s of a processor), "
                f"{edges[-1] if edges else 0} edges, {len(list(kept.iterdir()))} inputs kept",
                flush=True,
            )
            if done.returncode:
                found = 1
                print(f"{target}: found something\n{done.stderr[-4000:]}", flush=True)
    if given.shrink:
        for target in targets:
            folder = given.shrink / target
            folder.mkdir(parents=True, exist_ok=True)
            run(
                program, target, "-merge=1", folder, HERE / "corpus" / target, given.corpus / target
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
