"""What the README shows is what works, what is printed, and what a type checker accepts."""

from __future__ import annotations

import re
import shlex
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


def sessions_of(page: str) -> list[list[tuple[str, list[str]]]]:
    """Return a page's shell sessions: commands (behind a $) with the lines that they print."""
    text = (ROOT / page).read_text(encoding="utf-8")
    sessions = []
    for block in re.findall(r"^```\n(\$ .*?)^```$", text, re.DOTALL | re.MULTILINE):
        session: list[tuple[str, list[str]]] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                session.append((line[2:], []))
            elif line:
                session[-1][1].append(line)
        sessions.append(session)
    return sessions


def printed(command: str, folder: Path) -> list[str]:
    """Run a command of motionrt; return what it prints."""
    program, *words = shlex.split(command, comments=True)
    assert program == "motionrt"
    done = subprocess.run(
        [sys.executable, "-m", "motionrt", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).splitlines()


def timeless(lines: list[str]) -> list[str]:
    """Leave out how long it took."""
    return [re.sub(r" in [0-9.]+ s,", " in # s,", line) for line in lines]


def test_commands_print_what_is_shown(tmp_path: Path) -> None:
    first, *others = sessions_of("README.md")
    (install, *commands) = first
    assert install[0].startswith("pip install") and len(commands) >= 2
    for command, shown in commands:
        assert timeless(printed(command, tmp_path)) == timeless(shown), command
    # Others need a checkpoint of a large model: what is shown of a generation has the same form.
    generations = [entry for session in others for entry in session if " gen " in entry[0]]
    assert generations
    for command, shown in generations:
        ours = printed(re.sub(r"--bundle \w+", "", command), tmp_path)
        forms = [
            [re.sub(r"[0-9.]+", "#", line.partition(" on ")[2] or line) for line in lines]
            for lines in (ours, shown)
        ]
        assert forms[0] == forms[1], command
