"""Temporary folders beside a target, and how those that a killed run left are found and removed.

A staging folder is locked for as long as its maker lives; the system lets go of the lock however a
process ends. So whoever gets the lock of one that it did not make knows that nobody works there.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".motionrt-"
"""What the names of staging folders begin with; the rest is drawn by chance."""
CONTENT = "new"
"""In a staging folder: what is being written."""
ASIDE = "aside"
"""In a staging folder: a folder with what was replaced, which goes back if it is missed."""
UNLOCKED_SECONDS = 24 * 3600.0
"""Where folders cannot be locked, one that was not touched for so long is taken as left."""

_swept: set[str] = set()


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in parent, readable for its owner alone; it is removed afterwards.

    The first one that a process makes in a parent also removes what killed runs left there.
    OSError if it cannot be made.
    """
    key = os.path.abspath(parent)
    if key not in _swept:
        sweep(parent)
        _swept.add(key)
    place, lock = _make(parent)
    try:
        yield place
    finally:
        _clear(place, [])
        if lock is not None:
            os.close(lock)


def sweep(parent: Path) -> None:
    """Remove the staging folders in parent that no process works in and that are the user's own.

    What cannot be looked at or removed stays.
    """
    with suppress(OSError):
        with os.scandir(parent) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
        for place in found:
            with suppress(OSError):
                _remove_if_left(place)


def lock_folder(folder: Path, *, shared: bool = False) -> int | None:
    """Lock a folder; return the descriptor that holds the lock until it is closed.

    shared: others may hold it so too. None where folders cannot be locked, BlockingIOError if
    another holds it, OSError if there is no such folder.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network file systems
        os.close(descriptor)
        return None
    return descriptor


def _make(parent: Path) -> tuple[Path, int | None]:
    while True:
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = lock_folder(place)
        except (BlockingIOError, FileNotFoundError):
            continue  # swept between the two lines
        if lock is None or place.exists():
            return place, lock
        os.close(lock)


def _remove_if_left(place: Path) -> None:
    info = place.lstat()
    if not stat.S_ISDIR(info.st_mode) or (hasattr(os, "geteuid") and info.st_uid != os.geteuid()):
        return
    lock = lock_folder(place)
    if lock is None and time.time() - _last_touched(place) < UNLOCKED_SECONDS:
        return
    try:
        # Killed while two folders changed places, it may hold one that is being read.
        _clear(place, [place / CONTENT])
    finally:
        if lock is not None:
            os.close(lock)


def _last_touched(place: Path) -> float:
    """Return when anything in a folder was written last."""
    times = [place.lstat().st_mtime]
    for folder, folders, files in os.walk(place):
        times += [os.lstat(os.path.join(folder, name)).st_mtime for name in (*folders, *files)]
    return max(times)


def _clear(place: Path, parts: list[Path]) -> None:
    """Remove a staging folder, unless others read one of its parts, or what it set aside.

    What was set aside and is missed goes back. What others read is left to a later `sweep`.
    """
    aside = place / ASIDE
    if aside.is_dir():
        for part in aside.iterdir():
            if os.path.lexists(place.parent / part.name):
                parts.append(part)
            else:
                part.rename(place.parent / part.name)
    locks = []
    try:
        for part in parts:
            if part.is_dir():
                locks.append(lock_folder(part))
    except BlockingIOError:
        return
    else:
        shutil.rmtree(place, ignore_errors=True)
    finally:
        for lock in locks:
            if lock is not None:
                os.close(lock)
