"""A folder that stays in reach while it is read, though another takes its name."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

from motionrt.runtime.staging import lock_folder, sweep

_DESCRIPTORS = Path("/proc/self/fd")
_MAX_TRIES = 100


class HeldFolder:
    """A folder, kept open and locked against removal by ``files.atomic_folder``.

    Where it cannot be kept (Windows, macOS, some network file systems), it is its path alone.
    """

    def __init__(self, folder: Path) -> None:
        """Hold what has this name now, if it is a folder."""
        self.root = folder
        """Where its files are opened: the same folder for as long as this object lives."""
        descriptor = _hold(folder) if _DESCRIPTORS.is_dir() else None
        if descriptor is not None:
            weakref.finalize(self, _release, descriptor, folder)
            self.root = _DESCRIPTORS / str(descriptor)


def _hold(folder: Path) -> int | None:
    for _ in range(_MAX_TRIES):
        try:
            descriptor = lock_folder(folder, shared=True)
        except BlockingIOError:  # it has just been replaced and is being removed
            time.sleep(0.01)
            continue
        except (OSError, ValueError):
            return None
        if descriptor is None or _is_at(descriptor, folder):
            return descriptor
        os.close(descriptor)
    return None


def _release(descriptor: int, folder: Path) -> None:
    replaced = not _is_at(descriptor, folder)
    os.close(descriptor)
    if replaced:
        sweep(folder.resolve().parent)  # it waited for us


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False
