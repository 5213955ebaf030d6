"""Write files and folders so that they are whole or absent; tell files that are not there yet.

What is written is complete under another name, and on the disk, before it gets its own. It keeps
the mode of what it replaces and, where the system lets us, its owner. A symbolic link stays one:
the file or folder that it leads to is replaced. A pipe, a terminal or another character device, and
whatever /dev/stdout leads to, is written into and stays what it is.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from motionrt.runtime.errors import InputError, MotionrtError
from motionrt.runtime.staging import ASIDE, CONTENT, PREFIX, staging

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MAX_LINKS = 40
_BINARY = getattr(os, "O_BINARY", 0)
_TO_SYNC = os.O_RDWR if os.name == "nt" else os.O_RDONLY
"""How a file is opened to see to it that it is stored; only Windows wants it to be writable."""


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file to write to; it becomes path when the block succeeds.

    Missing parent folders are made. When the block fails or is interrupted an older file at path is
    untouched and nothing is left beside it. InputError if the place cannot be written, or is
    neither a file nor a pipe or character device.
    """
    target = Path(path)
    with _told_of(target):
        place = _Place.of(target)
        if place.is_stream:
            parent = Path(tempfile.gettempdir())
        else:
            parent = place.path.parent
            make_folder(parent)
        with staging(parent) as stage:
            place.refuse_if_protected(target)
            temporary = stage / CONTENT
            mode = place.mode(_create(temporary))
            yield temporary
            if place.is_stream:
                place.pour(temporary)
                return
            _settle(temporary, mode, place.before)
            temporary.replace(place.path)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder; it becomes path when the block succeeds.

    With replace, a folder at path makes way only then. On Linux and macOS the two change places at
    once, so that the name is never without a folder; where the file system cannot do that, and on
    Windows, it is for a moment, and a run killed in that moment leaves it to the next one to put
    the old folder back. Without replace, anything at path is an InputError before anything is
    written.
    """
    target = Path(path)
    with _told_of(target):
        if os.path.lexists(target) and not replace:
            raise InputError(
                f"{target}: exists already; choose another place or replace it (--force)"
            )
        place = _followed(target)
        before = _status(place)
        _refuse_to_replace(target, place, before)
        make_folder(place.parent)
        with staging(place.parent) as stage:
            temporary = stage / CONTENT
            temporary.mkdir()
            yield temporary
            if before is not None:
                _keep(temporary, stat.S_IMODE(before.st_mode) & 0o777, before)
            _sync_all(temporary)
            if before is None or not os.path.lexists(place):
                temporary.rename(place)
            else:
                _swap(temporary, place, stage / ASIDE)
            sync_folder(place.parent)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise InputError if `atomic_file` could not write a path now; nothing is left there.

    Asked before long work, so that its result is not lost for want of a place.
    """
    target = Path(path)
    with _told_of(target):
        place = _Place.of(target)
        if not place.is_stream:
            _check_folder(place.path.parent)
        place.refuse_if_protected(target)


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise InputError if `atomic_folder` could not write a path now; nothing is left there."""
    target = Path(path)
    with _told_of(target):
        place = _followed(target)
        _refuse_to_replace(target, place, _status(place))
        _check_folder(place.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; unlike pathlib's own way, however deep it is."""
    missing = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for part in reversed(missing):
        part.mkdir(exist_ok=True)


def sync_folder(folder: Path) -> None:
    """See to it that the names in a folder outlive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file(descriptor: int) -> None:
    """See to it that a file's content outlives a power cut; OSError if it cannot be stored."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # no such call here
            raise


def refuse_lfs_pointer(
    path: str | os.PathLike[str],
    kind: type[MotionrtError] = InputError,
    shown: str | os.PathLike[str] | None = None,
) -> None:
    """Raise kind for what stands in a file's place: Git's pointer, a folder, a pipe, a device.

    The pointer is what Git leaves where it did not fetch a large file; a pipe may never end. A file
    that cannot be read passes: who reads it says why. shown is its path in the message.
    """
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            with Path(path).open("rb") as file:
                start = file.read(len(_LFS_POINTER))
    except OSError:
        return
    except ValueError:  # a NUL in the path
        raise kind(f"{os.fspath(shown or path)!r}: no such file") from None
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise kind(f"{shown or path}: is {found}, expected a file")
    if start == _LFS_POINTER:
        raise kind(f"{shown or path}: is a Git LFS pointer, not the file itself; run git lfs pull")


@dataclass(frozen=True)
class _Place:
    """Where a file really goes: links followed, and what is there looked at."""

    path: Path
    before: os.stat_result | None
    """Of what is there."""
    is_stream: bool
    """It is written into, not replaced."""

    @staticmethod
    def of(target: Path) -> _Place:
        """Look at a target; InputError if a file cannot stand there."""
        path = _followed(target)
        before = _status(path)
        mode = 0 if before is None else before.st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{target}: is a folder, a file is to be written there")
        is_stream = _is_descriptor(path) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
        if before is not None and not is_stream and not stat.S_ISREG(mode):
            kind = "a disk" if stat.S_ISBLK(mode) else "a socket" if stat.S_ISSOCK(mode) else "none"
            raise InputError(f"{target}: is {kind}, a file is to be written there")
        if before is None and is_stream:
            raise InputError(f"{target}: is not open")
        return _Place(path, before, is_stream)

    def refuse_if_protected(self, target: Path) -> None:
        """Raise InputError if the file that is there must not be written."""
        if self.before is not None and not os.access(self.path, os.W_OK):
            raise InputError(
                f"{target}: is write-protected; change its mode or choose another place"
            )

    def mode(self, new: int) -> int:
        """Return the mode of the file that is written, new being that of one made here."""
        return new if self.before is None else stat.S_IMODE(self.before.st_mode) & 0o777

    def pour(self, source: Path) -> None:
        """Write a file's content into the stream."""
        if self.path.name.isdigit() and os.path.realpath(self.path.parent) in _own_descriptors():
            # Opened anew, a file behind it would be written from its start.
            descriptor = os.dup(int(self.path.name))
        else:
            descriptor = os.open(self.path, os.O_WRONLY | _BINARY)
        with os.fdopen(descriptor, "wb") as stream, source.open("rb") as file:
            shutil.copyfileobj(file, stream)


def _followed(path: Path) -> Path:
    """Return where a path's symbolic links lead, a descriptor's own link not followed.

    The last part need not be there. OSError for a circle of links.
    """
    for _ in range(_MAX_LINKS):
        try:
            is_link = stat.S_ISLNK(path.lstat().st_mode)
        except FileNotFoundError:
            return path
        if not is_link or _is_descriptor(path):
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_descriptor(path: Path) -> bool:
    """Return whether a path is an open file of a process, as /dev/stdout leads to one."""
    parent = os.path.realpath(path.parent)
    return parent == "/dev/fd" or (parent.startswith("/proc/") and parent.endswith("/fd"))


def _own_descriptors() -> tuple[str, ...]:
    return ("/dev/fd", os.path.realpath("/proc/self/fd"))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _check_folder(folder: Path) -> None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = None  # nobody asked for that one
        raise


def _create(path: Path) -> int:
    """Make an empty file; return its mode, which follows from the umask and the folder's rules."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _settle(path: Path, mode: int, before: os.stat_result | None) -> None:
    """Give a written file its mode and owner, and see that its content is on the disk."""
    descriptor = os.open(path, _TO_SYNC)
    try:
        _keep(path, mode, before)
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _keep(path: Path, mode: int, before: os.stat_result | None) -> None:
    """Give a file or folder a mode and, where we may, the owner and group of an older one."""
    now = path.stat()
    if before is not None and hasattr(os, "chown"):
        if before.st_gid != now.st_gid:
            with suppress(OSError):
                os.chown(path, -1, before.st_gid)
        if before.st_uid != now.st_uid:
            with suppress(OSError):
                os.chown(path, before.st_uid, -1)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        with suppress(OSError):  # file systems without modes
            path.chmod(mode)


def _sync_all(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(place, name), _TO_SYNC)
            try:
                sync_file(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))


def _refuse_to_replace(target: Path, place: Path, before: os.stat_result | None) -> None:
    """Raise InputError for what a folder cannot take the place of."""
    if before is not None and not stat.S_ISDIR(before.st_mode):
        raise InputError(f"{target}: is no folder, so it is not replaced by one")
    if before is not None and os.path.ismount(place):
        raise InputError(f"{target}: is a mounted disk; choose a folder on it")


def _swap(new: Path, old: Path, aside: Path) -> None:
    """Put a folder in another's place; the older one is then in aside."""
    from motionrt.runtime.exchange import exchange

    aside.mkdir()
    if exchange(new, old):
        new.rename(aside / old.name)
    else:
        old.rename(aside / old.name)
        new.rename(old)  # if this fails, what is aside goes back when the staging folder is left


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """Turn what the system says against a path into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and PREFIX not in str(error.filename):
            if str(error.filename) not in (str(target), str(target.parent)):
                reason += f": {error.filename}"
        raise InputError(f"{target}: cannot write ({reason})") from error
    except ValueError as error:
        # A NUL, or letters that no file name can hold: nothing else is a ValueError of os.fsencode.
        if _is_name(target):
            raise
        raise InputError(f"{str(target)!r}: no name for a file ({error})") from error


def _is_name(path: Path) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
