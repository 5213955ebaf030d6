"""Motion files as arguments, of which one may come from standard input."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

_STARTS = (
    (b"PK", ".npz"),
    (b"glTF", ".glb"),
    (b"\x93NUMPY", ".npy"),
    (b"\x80", ".pkl"),
    (b"{", ".gltf"),
    (b"HIERARCHY", ".bvh"),
)
"""How files of a format begin; a .csv has no mark of its own."""

_copies: set[Path] = set()
"""Where what came from standard input lies."""


def shown(path: Path) -> str:
    """Name a motion file as it was given: ``-`` if it came from standard input."""
    return "-" if path in _copies else str(path)


class MotionFile(click.Path):
    """A motion file; ``-`` is what comes from standard input, whose first bytes say the format."""

    def __init__(self) -> None:
        """Take any path: whether there is a file is for its reader to say."""
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, for ``-`` that of a copy which is kept while the command runs."""
        if value != "-" or ctx is None:
            return Path(value)
        stream = sys.stdin.buffer
        if stream.isatty():
            self.fail("- is standard input, and nothing is piped into it", param, ctx)
        folder = tempfile.TemporaryDirectory(prefix="motionrt-")
        ctx.call_on_close(folder.cleanup)
        content = stream.read()
        path = Path(folder.name) / f"stdin{_ending(content)}"
        path.write_bytes(content)
        _copies.add(path)
        return path


def _ending(content: bytes) -> str:
    start = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((ending for mark, ending in _STARTS if start.startswith(mark)), ".csv")
