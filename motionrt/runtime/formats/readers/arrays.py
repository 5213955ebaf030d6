"""Open NumPy's files without trusting them: .npz archives member by member, and single .npy.

Nothing is unpickled here, no member is read before it is asked for, and no memory is taken for
what a header announces and the file does not hold.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import LARGEST_NUMBER
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.budget import most_unpacked
from motionrt.runtime.formats.safe_pickle import checked_text

_CHUNK = 1 << 22
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
"""Version of the .npy format -> how it keeps the length of its header."""
_LONGEST_HEADER = 10_000
_MAX_RANK = 32
_FIELD = re.compile(
    r"\s*([\"'])(?P<name>descr|fortran_order|shape)\1\s*:\s*(?:"
    r"([\"'])(?P<descr>[<>|=]?(?:[biufcSUV]\d{1,6}|\?|O8?|[mM]8(?:\[\w{1,9}\])?))\3"
    r"|(?P<fortran_order>True|False)|\((?P<shape>[\d\s,L]{0,999})\))\s*(?:,|$)"
)
"""One of the three fields of a header, which is written as Python would write a dict of them."""
_SIZE = re.compile(r"\s*(\d{1,18})L?\s*")
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
    struct.error,
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
        self._room = most_unpacked(self.path.stat().st_size)
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
                self._room -= header.num_bytes
                if self._room < 0:
                    raise InputError(
                        f"it would unpack to {header.num_bytes} bytes, more than an archive of "
                        "this size can mean; save it uncompressed"
                    )
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
    start = file.read(8)
    if start[:6] != np.lib.format.MAGIC_PREFIX or len(start) < 8:
        raise InputError("it does not begin as one")
    version = (start[6], start[7])
    if version not in _LENGTHS:
        raise InputError(f"version {version[0]}.{version[1]} of the .npy format is not known")
    form = _LENGTHS[version]
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > _LONGEST_HEADER:
        raise InputError(f"its header is {length} bytes long")
    return _parsed_header(file.read(length).decode("latin-1"))


def _parsed_header(text: str) -> Header:
    """Read a header's text: that of a dict with three fields, in any order."""
    text = text.strip(" \n\0")
    body = text.removeprefix("{").removesuffix("}").rstrip()
    found: dict[str, str] = {}
    place = 0
    while text[:1] + text[-1:] == "{}" and (field := _FIELD.match(body, place)):
        value = field[field["name"]]
        if value is None or field["name"] in found:
            break
        found[field["name"]] = value
        place = field.end()
    if len(found) < 3 or body[place:].strip():
        raise InputError("its header describes no array of numbers, text or objects")
    sizes = found["shape"].split(",")
    sizes = sizes[:-1] if not sizes[-1].strip() else sizes
    shape = [_SIZE.fullmatch(size) for size in sizes]
    if None in shape or len(shape) > _MAX_RANK:
        raise InputError(f"an impossible shape ({one_line(found['shape'], 60)})")
    dtype = np.dtype(found["descr"])
    if dtype.itemsize == 0:
        raise InputError("an array of items without a size")
    return Header(
        tuple(int(size[1]) for size in shape if size), found["fortran_order"] == "True", dtype
    )


def read_data(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Read an array's data, piece by piece: memory is taken for what is there."""
    data = io.BytesIO()
    while piece := file.read(_CHUNK):
        data.write(piece)
    if data.tell() != header.num_bytes:
        raise InputError(f"it says {header.num_bytes} bytes, there are {data.tell()}")
    if header.num_bytes == 0:
        return np.empty(header.shape, header.dtype)
    flat = checked_text(np.frombuffer(data.getbuffer(), header.dtype))
    return flat.reshape(header.shape, order="F" if header.fortran_order else "C")


def real_numbers(arrays: Mapping[str, NDArray[Any]], key: str) -> NDArray[np.float64]:
    """Return an array of a file in double precision.

    InputError that names it, if it is not real and finite, or beyond any that a motion has.
    """
    array = np.asarray(arrays[key])
    if array.dtype.kind not in "fiu":
        raise InputError(f"{key} is {array.dtype} {array.shape}, it must be real numbers")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        numbers = array.astype(np.float64)
    if numbers.size and not np.abs(numbers).max() <= LARGEST_NUMBER:  # also if one is none
        finite = np.isfinite(numbers).all()
        told = f"is beyond {LARGEST_NUMBER:g}" if finite else "is not finite"
        raise InputError(f"{key} has a number that {told}")
    return numbers


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error) or type(error).__name__
