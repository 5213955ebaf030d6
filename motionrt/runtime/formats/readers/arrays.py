"""Open NumPy's files without trusting them: .npz archives member by member, and single .npy.

Nothing is unpickled here, no member is read before it is asked for, and no memory is taken for
what a header announces and the file does not hold.
"""

from __future__ import annotations

import io
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import refuse_lfs_pointer

LARGEST_UNPACKED = 1 << 30
"""Bytes that an array of an archive may unpack to whatever its size there: hours of any motion."""
_MOST_PACKED = 20
"""Larger ones may be so many times what they are in the archive; numbers pack less."""
_CHUNK = 1 << 22
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,  # an array header that does not parse
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What a damaged archive or header raises."""


@dataclass(frozen=True)
class Header:
    """What an .npy file says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        """The size of the array's data."""
        return math.prod(self.shape) * self.dtype.itemsize


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an .npz archive, each read when it is asked for.

    A member that is damaged, pickled or no array is an InputError then, and costs nothing before.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the archive; InputError in one line if it is none."""
        self.path = Path(path)
        refuse_lfs_pointer(path)
        try:
            with self.path.open("rb") as file:
                if file.read(6) == np.lib.format.MAGIC_PREFIX:
                    raise InputError(f"{path}: a single array, not an .npz archive of named arrays")
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except _DAMAGE as error:
            raise InputError(f"{path}: cannot be read as .npz ({_reason(error)})") from error
        members = self._zip.infolist()
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        self._read: dict[str, NDArray[Any]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            self._read[name] = self._load(name, self._members[name])
        return self._read[name]

    def _load(self, name: str, member: zipfile.ZipInfo) -> NDArray[Any]:
        try:
            with self._zip.open(member) as file:
                header = read_header(file)
                if header.dtype.hasobject:
                    raise InputError("it holds pickled objects and is not opened")
                start = file.tell()
                if header.num_bytes != member.file_size - start:
                    raise InputError(
                        f"it says {header.num_bytes} bytes, the archive {member.file_size - start}"
                    )
                if header.num_bytes > max(LARGEST_UNPACKED, _MOST_PACKED * member.compress_size):
                    raise InputError(f"it would unpack to {header.num_bytes} bytes")
                return read_data(file, header)
        except (InputError, *_DAMAGE) as error:
            raise InputError(
                f"{self.path}: {name} cannot be read from the .npz ({_reason(error)})"
            ) from error


def read_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Open an .npz; InputError in one line if it is damaged or no .npz."""
    return Arrays(path)


def read_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a single .npy; InputError in one line if it is damaged, pickled or none."""
    with open_array(path) as (header, file):
        if header.dtype.hasobject:
            raise InputError(f"{path}: no .npy file of numbers (it holds pickled objects)")
        return read_data(file, header)


@contextmanager
def open_array(path: str | os.PathLike[str]) -> Iterator[tuple[Header, IO[bytes]]]:
    """Give the header of an .npy file and the file behind it, for as long as the block runs.

    InputError in one line if it is no .npy file, or not as large as it says.
    """
    refuse_lfs_pointer(path)
    try:
        file = Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{path}: no .npy file ({_reason(error)})") from error
    with file:
        try:
            header = read_header(file)
            left = os.fstat(file.fileno()).st_size - file.tell()
            if not header.dtype.hasobject and header.num_bytes != left:
                raise InputError(f"it says {header.num_bytes} bytes, there are {left}")
        except (InputError, *_DAMAGE) as error:
            raise InputError(f"{path}: no .npy file ({_reason(error)})") from error
        yield header, file


def read_header(file: IO[bytes]) -> Header:
    """Read what stands before an array's data; raises one of many errors if it is damaged."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADER_READERS:
        raise InputError(f"version {version[0]}.{version[1]} of the .npy format is not known")
    shape, fortran_order, dtype = _HEADER_READERS[version](file)
    if any(type(size) is not int or size < 0 for size in shape):
        raise InputError(f"an impossible shape {shape}")
    if dtype.hasobject and dtype.kind != "O":
        raise InputError("records that hold objects")
    return Header(shape, bool(fortran_order), dtype)


def read_data(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Read an array's data, piece by piece: memory is taken for what is there."""
    data = io.BytesIO()
    while piece := file.read(_CHUNK):
        data.write(piece)
    if data.tell() != header.num_bytes:
        raise InputError(f"it says {header.num_bytes} bytes, there are {data.tell()}")
    if header.num_bytes == 0:
        return np.empty(header.shape, header.dtype)
    flat = np.frombuffer(data.getbuffer(), header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran_order else "C")


def _reason(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return text[:200]
