"""What ``-o`` names: a file whose ending chooses the format, a folder, or standard output."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.table import FORMATS, format_to_write
from motionrt.runtime.options import did_you_mean

STANDARD_OUTPUT = "-"
_LONGEST_NAME = 48  # characters; endings and numbers follow, and file systems end at 255 bytes
# What a reader takes for a file's ending: letters, and the names of formats with a digit in them.
_ENDING = re.compile(r"\.([a-z]{2,6}|mp4|c3d|h5|3ds|jp2|x3d|u3d)$", re.IGNORECASE)


def is_folder(output: str, is_own: bool = False) -> bool:
    """Say whether files are to be named inside: a slash at the end, or a folder that is there.

    With is_own the place names a folder in any case, and only a slash means one around it.
    """
    separators = tuple(mark for mark in (os.sep, os.altsep) if mark)
    return output.endswith(separators) or (not is_own and Path(output).is_dir())


def format_named(output: str) -> str | None:
    """Return the format that a place's ending names, None for a stem without one.

    UsageError for an ending that is none of a motion: the file would not be what it says.
    """
    try:
        return format_to_write(output)
    except InputError:
        if not _ENDING.search(Path(output).name):
            return None
        raise click.UsageError(_unknown(output)) from None


def name_of(text: str) -> str:
    """Make a file name out of a text: ``a-person-walks-forward``."""
    words = re.findall(r"\w+", unicodedata.normalize("NFC", text).lower())
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:_LONGEST_NAME]
        if len(longer) > _LONGEST_NAME:
            break
        name = longer
    return name or "motion"


def free_stem(folder: str, name: str, taken: Callable[[str], bool]) -> str:
    """Return a stem in a folder that is not taken: the name, or with the next number behind."""
    stem = str(Path(folder) / name)
    number = 2
    free = stem
    while taken(free):
        free, number = f"{stem}-{number}", number + 1
    return free


def check_standard_output(what: str, is_text: bool) -> None:
    """Raise UsageError where bytes would be printed on a terminal."""
    if not is_text and sys.stdout.isatty():
        raise click.UsageError(f"{what} is no text for a terminal; name a file, or a pipe behind -")


@contextmanager
def standard_output(ending: str) -> Iterator[Path]:
    """Yield a file to write to; its bytes go to standard output when the block succeeds."""
    with tempfile.TemporaryDirectory(prefix="motionrt-") as folder:
        path = Path(folder) / f"motion{ending}"
        yield path
        stream = sys.stdout.buffer
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
        stream.flush()


@contextmanager
def place_to_write(output: str, ending: str) -> Iterator[Path]:
    """Yield the file that a place names, or one whose bytes go to standard output for ``-``."""
    if output != STANDARD_OUTPUT:
        yield Path(output)
        return
    with standard_output(ending) as path:
        yield path


def _unknown(output: str) -> str:
    endings = list(dict.fromkeys(row.ending for row in FORMATS.values()))
    suffix = Path(output).suffix
    near = did_you_mean(suffix, [ending for ending in endings if ending.startswith(".")])
    return (
        f"{output}: no motions are written as {suffix}{near} (there are {', '.join(endings)}; "
        "motionrt formats says what they hold)"
    )
