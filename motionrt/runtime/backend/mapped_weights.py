"""Give back the memory of weight files that a session has mapped and does not read any more.

onnxruntime maps weight files into memory and keeps a packed copy of most weights. In the body of a
loop it holds on to the mapping all the same, and all of it has been read: a loop takes its weights
twice, 276 MB instead of 138 for ARDY in int8.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ +(.+)")
_DONT_NEED = 4


def let_go(files: Iterable[Path]) -> None:
    """Drop the pages of mapped files from this process's memory, on Linux; elsewhere do nothing.

    A page that is read later comes back from the file, most likely from the system's cache of it.
    """
    if not sys.platform.startswith("linux"):
        return
    names = {str(file.resolve()) for file in files}
    try:
        advise = ctypes.CDLL(None).madvise
        mappings = list(_unchanged(names))
    except (OSError, AttributeError):
        return
    for start, stop in mappings:
        advise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _DONT_NEED)


def _unchanged(names: set[str]) -> Iterator[tuple[int, int]]:
    """Yield where files are mapped and nothing has been written to the mapping."""
    mapping = None
    with _MAPS.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            found = _MAPPING.fullmatch(line.rstrip("\n"))
            if found:
                held = found[3] in names
                mapping = (int(found[1], 16), int(found[2], 16)) if held else None
            elif mapping is not None and line.startswith("Anonymous:"):
                if line.split()[1] == "0":
                    yield mapping
                mapping = None
