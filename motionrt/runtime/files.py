"""Write files and folders so that they are whole or absent; tell files that are not there yet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motionrt.runtime.errors import InputError, MotionrtError

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling of path to write to; rename it to path when the block succeeds.

    Missing parent folders are made. When the block fails or is interrupted the temporary file is
    removed and an older file at path is untouched. InputError if the place cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise InputError(f"{target}: is a folder, a file is to be written there")
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{target}: cannot write here ({error.strerror})") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot write ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], replace: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder; rename it to path when the block succeeds.

    With replace, a folder at path makes way only at the end; without, one that exists is an
    InputError before anything is written.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise InputError(f"{target}: exists already; choose another place or replace it (--force)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target}: cannot write here ({error.strerror})") from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            target.rename(old / "old")
            temporary.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(target)
    except OSError as error:
        raise InputError(f"{target}: cannot write ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_lfs_pointer(
    path: str | os.PathLike[str], kind: type[MotionrtError] = InputError
) -> None:
    """Raise kind if the file is what Git leaves where it did not fetch a large file.

    A file that cannot be read passes: who reads it says why.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError:
        return
    if start == _LFS_POINTER:
        raise kind(f"{path}: is a Git LFS pointer, not the file itself; run git lfs pull")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
