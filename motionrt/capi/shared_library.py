"""The shared library: found, loaded, its functions typed, and what it says went wrong."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from motionrt.capi.marshalling import decoded, encoded_path
from motionrt.capi.signatures import SIGNATURES
from motionrt.capi.structures import (
    BAD_ARGUMENT,
    BAD_BUNDLE,
    BAD_INPUT,
    BUSY,
    CANCELLED,
    FILE_ERROR,
    LOG_FN,
    NO_BACKEND,
    NO_MEMORY,
    OK,
)
from motionrt.runtime.errors import BackendError, BundleError, InputError, MotionrtError

ABI_VERSION = 1
FAMILIES = ("kimodo", "motiongpt3", "ardy")
"""Whose bundles the library runs."""
LIBRARY_NAMES = {"win32": "motionrt.dll", "darwin": "libmotionrt.dylib"}

Log: TypeAlias = Callable[[int, str], object]
"""Called as (level, line)."""


class Cancelled(MotionrtError):
    """The progress callback asked to stop."""


class Busy(MotionrtError):
    """Another thread is using the pipeline."""


_ERRORS: Mapping[int, type[Exception]] = {
    BAD_ARGUMENT: InputError,
    BAD_INPUT: InputError,
    BAD_BUNDLE: BundleError,
    NO_BACKEND: BackendError,
    NO_MEMORY: MemoryError,
    FILE_ERROR: InputError,
    CANCELLED: Cancelled,
    BUSY: Busy,
}


def library_folder() -> Path:
    """Return the folder of the package that holds ``motionrt.h`` and the library."""
    return Path(__file__).parents[1] / "runtime" / "capi"


def library_path() -> Path:
    """Return where the C library is: ``MOTIONRT_LIBRARY``, or in the package.

    BackendError if it was not built, with what to do.
    """
    named = os.environ.get("MOTIONRT_LIBRARY")
    if named:
        return Path(named)
    path = library_folder() / LIBRARY_NAMES.get(sys.platform, "libmotionrt.so")
    if not path.is_file():
        raise BackendError(
            f"{path}: the C library was not built, for want of a C compiler; install one and "
            "install motionrt again, or build it with CMake and name it in MOTIONRT_LIBRARY"
        )
    return path


@lru_cache(maxsize=1)
def library() -> Any:
    """Load the C library, its functions typed; BackendError if there is none, or an older one."""
    path = library_path()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(f"{path}: cannot be loaded ({error})") from error
    for name, (result, arguments) in SIGNATURES.items():
        try:
            function = getattr(loaded, name)
        except AttributeError:
            raise BackendError(f"{path}: has no {name}; it is older than this package") from None
        function.restype, function.argtypes = result, arguments
    if loaded.mrt_abi_version() < ABI_VERSION:
        raise BackendError(f"{path}: ABI {loaded.mrt_abi_version()}, at least {ABI_VERSION} is due")
    return loaded


def check(status: int) -> None:
    """Raise what a status of the library says, with its line; `OK` raises nothing."""
    if status != OK:
        line = decoded(library().mrt_last_error())
        raise _ERRORS.get(status, MotionrtError)(line)


def version() -> str:
    """Return the C library's version."""
    return decoded(library().mrt_version())


def onnxruntime_version() -> str | None:
    """Return the version of the ONNX Runtime that is loaded, None if none is."""
    found = library().mrt_onnxruntime_version()
    return None if found is None else decoded(found)


def load_onnxruntime(path: str | os.PathLike[str] | None = None) -> None:
    """Load ONNX Runtime now, from a file or from where a pipeline would find it."""
    check(library().mrt_onnxruntime_load(encoded_path(path)))


@lru_cache(maxsize=1)
def packaged_onnxruntime() -> str | None:
    """Return the library of the installed onnxruntime package; None if there is none."""
    found = importlib.util.find_spec("onnxruntime")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for pattern in ("libonnxruntime.so.*", "libonnxruntime.*.dylib", "onnxruntime.dll"):
            for path in sorted(Path(folder, "capi").glob(pattern)):
                return str(path)
    return None


def backends() -> list[str]:
    """Return what the loaded ONNX Runtime offers."""
    names: list[str] = []
    while (name := library().mrt_backend_name(len(names))) is not None:
        names.append(decoded(name))
    return names


def set_log(log: Log | None) -> None:
    """Send lines of the library, with their level (1 to 3), to a function; None: nowhere."""
    global _log
    _log = LOG_FN(0) if log is None else LOG_FN(lambda _, level, line: log(level, decoded(line)))
    library().mrt_set_log(_log, None)


_log = LOG_FN(0)
"""Kept: C calls it as long as it is set."""
