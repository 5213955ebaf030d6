from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks and locks as Linux does"),
]
FOLDER = Path(__file__).parent


def test_runs_that_are_killed_leave_nothing_half_written() -> None:
    command = [sys.executable, str(FOLDER / "kills.py"), "--moments", "6"]
    run = subprocess.run(
        [*command, "gen", "convert", "batch", "train"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    rows = [re.split(r" *\| *", line)[1:-1] for line in run.stdout.splitlines()[2:]]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        (name, "6", "0") for name in ("gen", "convert", "batch", "train")
    ]


def test_a_bundle_is_replaced_under_its_readers() -> None:
    command = [sys.executable, str(FOLDER / "readers.py"), "--readers", "2", "--rounds", "4"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "2 readers, 4 rounds each" in run.stdout
