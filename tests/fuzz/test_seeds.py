"""Every seed, and every input that once broke a reader, within its time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.run import all_targets

RUN = Path(__file__).with_name("run.py")


def fuzz(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, RUN, *arguments, "--workers", "1", "--findings", tmp_path / "findings"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


@pytest.mark.parametrize("name", all_targets())
def test_seeds_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = all_targets()[name]
    for module in target.imports:
        pytest.importorskip(module)
    count = len(list(target.make_seeds())) + len(target.stored())
    done = fuzz(tmp_path, "--each", str(count), "--target", name)
    told = "\n".join(path.read_text() for path in tmp_path.glob("findings/*.txt"))
    assert done.returncode == 0, done.stdout + done.stderr + told
