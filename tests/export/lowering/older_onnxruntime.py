"""Run lowered bundles in another environment's onnxruntime, and compare with this one's.

    python tests/export/lowering/older_onnxruntime.py PYTHON

PYTHON has an older onnxruntime and what the runtime needs, no more. Each target whose graphs
onnxruntime of any age runs is verified by both, and both make a motion: exit code 1 if they differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
TARGETS = ("unity", "unreal", "ort-1.17")
"""The graphs of web are of operator set 20, which older ones lack."""
GEN = ("gen", "a person walks forward", "--duration", "2", "--seed", "5", "--quiet")
ALLOWED = 1e-4
"""Metres: what two runtimes' roundings come to, as everywhere in the tests."""


def motionrt(python: str, *words: str) -> None:
    """Run the command line of this checkout in an environment; SystemExit if it fails."""
    command = [python, "-m", "motionrt", *words]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def joints(python: str, place: Path, *words: str) -> np.ndarray:
    """Generate a motion and return its joints."""
    motionrt(python, *GEN, "--output", str(place), *words)
    with np.load(place) as motion:
        return np.asarray(motion["posed_joints"])


def main() -> None:
    """Compare every target."""
    older = sys.argv[1]
    asked = [older, "-c", "import onnxruntime; print(onnxruntime.__version__)"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        expected = joints(sys.executable, Path(scratch, "here.npz"))
        for target in TARGETS:
            bundle = Path(scratch, target)
            motionrt(sys.executable, "lower", "--target", target, "-o", str(bundle), "--quiet")
            for name, python in (("here", sys.executable), (version, older)):
                motionrt(python, "verify", str(bundle))
                found = joints(python, Path(scratch, "o.npz"), "--bundle", str(bundle))
                apart = float(np.abs(found - expected).max())
                print(f"{target:<10} onnxruntime {name:<8} joints within {apart:.1e} m")
                worst = max(worst, apart)
    if not worst <= ALLOWED:
        raise SystemExit(f"joints are up to {worst:.1e} m elsewhere, allowed is {ALLOWED:.0e}")


if __name__ == "__main__":
    main()
