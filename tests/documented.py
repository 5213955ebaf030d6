"""Commands and code of documents, tried as their reader would; and the tools that they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

EMBED = ROOT / "docs" / "embed.md"


def need(*tools: str) -> None:
    """Skip the test where a tool is missing; in CI, which installs them all, let it fail."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        line = f"{', '.join(missing)}: not installed here"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(line)


def commands(document: Path, heading: str | None = None, language: str = "sh") -> str:
    """Return what a document's blocks of a language say: all, or those under one heading."""
    text = document.read_text("utf-8")
    if heading is not None:
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)
        assert found is not None, f"{document} has no heading {heading}"
        text = found[1]
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    assert blocks, f"{document} has no {language} block under {heading}"
    return "".join(blocks)


def run(script: str, folder: Path, **environment: str) -> str:
    """Run shell commands in a folder; return what they print. A failing one fails the test."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def copy_of_examples(folder: Path) -> None:
    """Put the examples where commands that begin in the repository's folder find them."""
    shutil.copytree(ROOT / "examples", folder / "examples")
