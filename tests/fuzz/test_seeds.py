"""Every seed, and every input that once broke a reader, within its time and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.run import all_targets

RUN = Path(__file__).with_name("run.py")
TARGETS = all_targets().values()


def replay(names: list[str], folder: Path) -> None:
    command = [sys.executable, str(RUN), "--seeds", "--findings", str(folder)]
    command += [word for name in names for word in ("--target", name)]
    done = subprocess.run(command, capture_output=True, text=True)
    told = "\n".join(path.read_text() for path in folder.glob("*.txt"))
    assert done.returncode == 0, done.stdout + done.stderr + told


def test_readers_of_the_runtime(tmp_path: Path) -> None:
    replay([target.name for target in TARGETS if not target.imports], tmp_path)


def test_readers_that_need_torch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    replay([target.name for target in TARGETS if target.imports], tmp_path)


def test_each_target_has_a_name_of_its_own_and_seeds() -> None:
    for name, target in all_targets().items():
        assert target.name == name
        assert list(target.make_seeds()) or target.stored()
