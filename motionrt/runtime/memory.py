"""How much memory this machine has, so that what cannot fit is refused before it is begun."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FLOAT = 4
"""Bytes of a float32."""
_CGROUP = Path("/sys/fs/cgroup")
_ACTIVATIONS = 25
"""Rows of a transformer's width that are alive at once for one token, at a layer's peak."""
_SCORES = 3
"""Tables of attention scores, token by token and head, that are alive at once."""


def transformer_bytes(rows: int, tokens: int, width: int, num_heads: int) -> int:
    """Estimate what onnxruntime's CPU provider takes to run a transformer, its weights left out.

    rows is the batch, guidance branches included. Fitted to measured peaks of the embedded default
    (width 256, 4 heads; 200 to 3200 tokens, 2 to 128 rows).
    """
    activations = rows * tokens * width * FLOAT * _ACTIVATIONS
    return activations + rows * num_heads * tokens**2 * FLOAT * _SCORES


def machine_memory() -> int | None:
    """Return the bytes of memory that this process may have; None if the system does not say.

    It is the machine's, or what a container (a control group) or a limit (ulimit -v) leaves of it.
    """
    found = [_physical(), _limit(), *_control_groups(_CGROUP, Path("/proc/self/cgroup"))]
    known = [size for size in found if size is not None]
    return min(known) if known else None


def used_memory() -> int:
    """Return the bytes that this process holds now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def room() -> int | None:
    """Return the bytes that may be taken beside what is used; None if the system does not say."""
    memory = machine_memory()
    return None if memory is None else max(memory - used_memory(), 0)


def _physical() -> int | None:
    if sys.platform == "win32":
        return _windows()
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    return size if size > 0 else None


def _limit() -> int | None:
    """Return the limit of the process's address space, which holds its memory."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _control_groups(root: Path, membership: Path) -> list[int]:
    """Return the limits of the control groups that the process is in, and of those above them."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, place = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            folder, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be one of the host's: then the root is the container's own.
        inner = Path(place.lstrip("/"))
        for group in (inner, *inner.parents):
            try:
                limits.append(int((folder / group / name).read_text()))
            except (OSError, ValueError):  # no such group here, or "max"
                continue
    return limits


def _windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total_physical", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 6),
        )

    status = Status()
    status.length = ctypes.sizeof(status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (there on Windows only)
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.total_physical)
