"""Standard streams, mended where they are closed or cannot hold a text; lines said on them."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any

import click

MAX_LINE = 1000
"""Characters of a line on standard error; what is longer loses its middle."""

# Control characters (which move the cursor or colour the terminal), line breaks of every kind, what
# turns the direction of text, and what is no text at all.
_UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINE = re.compile(f"[{_UNPRINTABLE}]")
_IN_LINES = re.compile(f"(?![\n\t])[{_UNPRINTABLE}]")


def mend_streams() -> None:
    """Make standard input, output and error such that writing a text to them is safe.

    One that is closed (``>&-``, services, pythonw) becomes the null device, its number included:
    otherwise the next file that is opened would get that number, and what libraries print would be
    written into it. Letters that the encoding does not have are written as escapes, and so are
    control characters in what is written to a terminal on standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")
    sys.stdout, sys.stderr = _mended(sys.stdout), _mended(sys.stderr)
    if sys.stdout.isatty() and isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding
        sys.stdout = _Terminal(
            sys.stdout.detach(), encoding, "backslashreplace", line_buffering=True
        )


def tell(text: str) -> None:
    """Print a line on standard error; what cannot be printed there is lost and stops nothing."""
    line = printable(text)
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE * 2 // 3]} … {line[-MAX_LINE // 3 :]}"
    try:
        click.echo(line, err=True)
    except (OSError, ValueError):
        pass


def printable(text: str) -> str:
    """Escape what would break a line, or what a terminal would obey."""
    return _IN_LINE.sub(_escaped, text)


def discard_output() -> None:
    """Send what is still to be written on standard output nowhere: it could not be written."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass


class _Terminal(io.TextIOWrapper):
    """Standard output on a terminal: names of others' files and bundles do not command it."""

    def write(self, text: str) -> int:
        super().write(_IN_LINES.sub(_escaped, text))
        return len(text)


def _mended(stream: Any) -> Any:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
