"""Replace a bundle again and again while processes load and run it; see docs/reliability.md.

    python tests/faults/readers.py --readers 3 --rounds 150

One process puts two bundles, whose motions differ, in each other's place, as ``export --force``
does. Every reader loads whatever is there and generates. Every second time it waits between the two
until the bundle was replaced, so that its graphs are loaded, at their first use, from one that has
lost its name. A motion must be that of one of the two bundles, and of the one that was loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import motionrt
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import sha256
from motionrt.runtime.files import atomic_folder


def make_variants(folder: Path) -> list[Path]:
    """Copy the embedded bundle twice; one copy has other weights of the same sizes."""
    variants = [Path(shutil.copytree(embedded_bundle(), folder / name)) for name in ("a", "b")]
    weights = variants[1] / "step.weights"
    content = bytearray(weights.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + 4096, 16):
        content[place] ^= 1
    weights.write_bytes(content)
    document = json.loads((variants[1] / "manifest.json").read_text())
    document["name"] = "variant"
    document["files"]["step.weights"]["sha256"] = sha256(weights)
    (variants[1] / "manifest.json").write_text(json.dumps(document))
    return variants


def motion_of(pipeline: motionrt.Pipeline) -> str:
    """Generate a short motion; return its hash."""
    motion = pipeline.generate("a man walks", 0.5, seed=1, num_steps=2)
    return hashlib.sha256(motion.posed_joints.tobytes()).hexdigest()


def read(path: Path, rounds: int, expected: dict[str, str]) -> int:
    """Load and run what is at path so many times; return how often it was replaced meanwhile."""
    replaced = 0
    for count in range(rounds):
        before = path.stat().st_ino
        pipeline = motionrt.load(path, backend="cpu", threads=1)
        while count % 2 and path.stat().st_ino == before:
            time.sleep(0.001)
        found = motion_of(pipeline)
        name = pipeline.manifest.name
        if found != expected[name]:
            raise AssertionError(f"round {count}: the motion is not that of {name}")
        replaced += path.stat().st_ino != before
    return replaced


def run(readers: int, rounds: int) -> tuple[int, int]:
    """Start readers, and replace until they are done; return replacements made and met."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variants = make_variants(folder)
        loaded = [motionrt.load(path, backend="cpu", threads=1) for path in variants]
        expected = {pipeline.manifest.name: motion_of(pipeline) for pipeline in loaded}
        if len(set(expected.values())) != 2:
            raise AssertionError("the two bundles make the same motion")
        (folder / "place").mkdir()
        path = Path(shutil.copytree(variants[0], folder / "place" / "bundle"))
        command = [sys.executable, __file__, "--read", str(path), "--rounds", str(rounds)]
        command += ["--expected", json.dumps(expected)]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(readers)
        ]
        made = 0
        while any(process.poll() is None for process in running):
            with atomic_folder(path, replace=True) as place:
                shutil.copytree(variants[1 - made % 2], place, dirs_exist_ok=True)
            made += 1
        told = [process.communicate()[0] for process in running]
        if any(process.returncode for process in running):
            raise AssertionError(f"a reader failed: {told}")
        left = sorted(os.listdir(path.parent))
        if left != ["bundle"]:
            raise AssertionError(f"beside the bundle there is {left}")
        return made, sum(map(int, told))


def command_line(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--expected", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.read:
        print(read(given.read, given.rounds, given.expected))
        return
    made, met = run(given.readers, given.rounds)
    print(
        f"{given.readers} readers, {given.rounds} rounds each: the bundle was replaced {made} "
        f"times, in {met} rounds while it was being read; no error, no mixed motion"
    )


if __name__ == "__main__":
    command_line()
