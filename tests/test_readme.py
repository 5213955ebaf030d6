"""What the README shows in Python is what works, and what a type checker accepts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

PAGES = ("README.md", "docs/request.md")


def python_of(page: str) -> str:
    """Return a page's Python blocks as one program, as a reader would type them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks, f"{page} shows no Python"
    return "\n".join(blocks)


@pytest.mark.parametrize("page", PAGES)
def test_python_runs(page: str, tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(python_of(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "shown.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in re.findall(r"print\(.*\)  # (<.*>)$", python_of(page), re.MULTILINE):
        assert line in done.stdout


def test_python_type_checks_in_a_users_project(tmp_path: Path) -> None:
    for number, page in enumerate(PAGES):
        (tmp_path / f"shown{number}.py").write_text(python_of(page), encoding="utf-8")
    wrong = "import motionrt\nmotionrt.load().generate('walk', duration=3)\n"
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert line.startswith("wrong.py:2") and 'Unexpected keyword argument "duration"' in line
