"""Read a torch checkpoint without running anything that stands in it.

A ``.pt``, ``.pth`` or ``.ckpt`` file is a zip archive: one pickle, and the bytes of every tensor's
storage. Before torch 1.6 it was five pickles and the storages after them. The runtime's unpickler
reads them, which runs nothing; here it knows torch's tensors too. They stay on disk until they are
asked for, so an optimizer's state costs no memory, and what they hold is bounded by the file.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from motionrt.export.readers.weights import Weights
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.safe_pickle import Callee, InertUnpickler, StandIn, load_inert

__all__ = [
    "StandIn",
    "StoredTensor",
    "open_pickled",
    "read_checkpoint",
    "read_state_dict",
    "weights_of",
]

_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGE_DTYPES.values()}
_REBUILDS = (
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
)
_LOCAL_HEADER = struct.Struct("<26xHH")
"""A zip member's local header up to the lengths of its name and of its extra field."""
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What files from before torch 1.6 begin with."""
_LARGEST_PICKLE = 256 << 20
_MOST_PACKED = 20
"""A member of the archive may be so many times what it is packed; torch packs none."""
_LARGEST_RANK = 64
_DEEPEST_NEST = 4
_LARGEST_REPEAT = 1 << 20
"""How many numbers a tensor may have that are fewer in its data, one step of 0 apart."""
_LARGEST_NUMBER = 1 << 40
"""Of a shape or a stride."""
_FREE_BYTES, _MOST_SHARED = 64 << 20, 8
"""What all tensors of a file may take beside their file's size, and how many times that size:
tied tables have one storage and several names."""


@dataclass(frozen=True)
class _Storage:
    """One tensor's bytes: a member of the archive."""

    archive: _Archive | _OldFile
    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is still on disk."""

    storage: _Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """What it takes in memory, each number once for every place in its shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> Tensor:
        """Map the bytes and return the tensor; pages are read when used, and never written back."""
        data = self.storage.archive.bytes_of(self.storage)
        flat = data[: len(data) // self.dtype.itemsize * self.dtype.itemsize].view(self.dtype)
        return flat.as_strided(self.shape, self.stride, self.offset)


class _Archive:
    """The zip file around a checkpoint's pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_lfs_pointer(path, CheckpointError)
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise CheckpointError(
                f"{path}: no torch checkpoint, or a damaged one ({error}); download it again"
            ) from error
        self._members = {member.filename: member for member in self._zip.infolist()}
        pickles = [name for name in self._members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(
                f"{path}: no torch checkpoint ({len(pickles)} files named data.pkl in it, not one)"
            )
        self._root = pickles[0].removesuffix("data.pkl")
        order = self._root + "byteorder"
        if order in self._members and self._read(self._members[order]).strip() != b"little":
            raise CheckpointError(f"{path}: saved in big-endian order, which is not supported")

    def pickle(self) -> bytes:
        """Read the pickle; refuse one of absurd size."""
        member = self._members[self._root + "data.pkl"]
        if member.file_size > _LARGEST_PICKLE:
            raise CheckpointError(f"{self.path}: its pickle has {member.file_size} bytes; refused")
        return self._read(member)

    def bytes_of(self, storage: _Storage) -> Tensor:
        """Return a storage as a uint8 tensor, mapped from the file where it is not compressed."""
        member = self._members[f"{self._root}data/{storage.key}"]
        size = storage.length * storage.dtype.itemsize
        if size == 0:
            return torch.empty(0, dtype=torch.uint8)
        if member.compress_type != zipfile.ZIP_STORED:
            return torch.frombuffer(bytearray(self._read(member)), dtype=torch.uint8)[:size]
        with self.path.open("rb") as file:
            file.seek(member.header_offset)
            header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise CheckpointError(f"{self.path}: damaged; download it again")
        name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if start + size > self.path.stat().st_size:
            raise CheckpointError(f"{self.path}: cut off; download it again")
        mapped = np.memmap(self.path, np.uint8, "c", offset=start, shape=(size,))
        return torch.from_numpy(mapped)

    def storage(self, key: Any, dtype: torch.dtype) -> _Storage:
        """Look a storage up by its name in the archive."""
        member = self._members.get(f"{self._root}data/{key}")
        if not isinstance(key, str) or member is None:
            raise CheckpointError(f"{self.path}: the data of a tensor is missing ({key!r})")
        return _Storage(self, key, dtype, member.file_size // dtype.itemsize)

    def _read(self, member: zipfile.ZipInfo) -> bytes:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Others take memory for what their headers announce.
            raise CheckpointError(f"{self.path}: packed in a way that torch has not; save it again")
        if member.compress_size > self.path.stat().st_size:
            raise CheckpointError(f"{self.path}: cut off; download it again")
        if member.file_size > max(1 << 20, _MOST_PACKED * member.compress_size):
            raise CheckpointError(
                f"{self.path}: {member.filename[-80:]!a} would unpack to {member.file_size} bytes; "
                "refused"
            )
        try:
            return self._zip.read(member)
        except (
            OSError,
            EOFError,
            MemoryError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise CheckpointError(f"{self.path}: damaged ({error}); download it again") from error


class _Inside:
    """A file of which no more is asked than there is: a buffer is made for what is asked."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()))


class _OldFile:
    """A checkpoint from before torch 1.6: five pickles, then the storages behind their lengths."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = path.stat().st_size
        self._claimed: dict[str, int] = {}
        """Storage -> its bytes, as the pickle has it."""
        self._starts: dict[str, int] = {}

    def read(self) -> Any:
        """Read the pickles and where the storages lie."""
        with self.path.open("rb") as file:
            if self._next(file) != _MAGIC or self._next(file) != _PROTOCOL:
                raise CheckpointError(
                    f"{self.path}: no torch checkpoint (neither an archive nor torch's older form)"
                )
            system = self._next(file)
            if not isinstance(system, dict) or system.get("little_endian") is not True:
                raise CheckpointError(f"{self.path}: saved in big-endian order; not supported")
            content = self._next(file)
            keys = self._next(file)
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise CheckpointError(f"{self.path}: no torch checkpoint (no list of storages)")
            for key in keys:
                self._find(file, key)
        if absent := self._claimed.keys() - self._starts.keys():
            raise CheckpointError(f"{self.path}: the data of a tensor is missing ({min(absent)!a})")
        return content

    def _next(self, file: IO[bytes]) -> Any:
        inside: Any = _Inside(file, self._size)
        return load_inert(_TorchUnpickler(self, inside, self._size), self.path, CheckpointError)

    def _find(self, file: IO[bytes], key: str) -> None:
        """Note where a storage begins, and go to its end."""
        length, start = file.read(8), file.tell()
        size = self._claimed.get(key)
        if size is None:
            raise CheckpointError(f"{self.path}: damaged; download it again")
        if len(length) < 8 or start + size > self._size:
            raise CheckpointError(f"{self.path}: cut off; download it again")
        self._starts[key] = start
        file.seek(start + size)

    def storage(self, key: Any, dtype: torch.dtype, length: Any) -> _Storage:
        """Take what a pickle says of a storage."""
        if not isinstance(key, str) or type(length) is not int or length < 0:
            raise CheckpointError(f"{self.path}: tensor data without a name or a length")
        size = length * dtype.itemsize
        if size > self._size or self._claimed.setdefault(key, size) != size:
            raise CheckpointError(f"{self.path}: tensor data larger than the file; cut off?")
        return _Storage(self, key, dtype, length)

    def bytes_of(self, storage: _Storage) -> Tensor:
        """Return a copy of a storage as a uint8 tensor."""
        size = self._claimed[storage.key]
        with self.path.open("rb") as file:
            file.seek(self._starts[storage.key])
            data = bytearray(file.read(size))
        if len(data) < size:
            raise CheckpointError(f"{self.path}: cut off; download it again")
        return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0).byte()


def _rebuild(name: str, *arguments: Any) -> StoredTensor:
    """Do what torch's function of this name does."""
    if name.startswith("_rebuild_parameter"):
        if not arguments or not isinstance(arguments[0], StoredTensor):
            raise CheckpointError("a parameter that holds no tensor")
        return arguments[0]
    if len(arguments) < 4:
        raise CheckpointError("a tensor without a shape")
    dtype = arguments[6] if name == "_rebuild_tensor_v3" and len(arguments) > 6 else None
    storage, offset, shape, stride = arguments[:4]
    return _tensor(storage, offset, shape, stride, dtype)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, dtype: Any) -> StoredTensor:
    """Make a tensor of a storage; CheckpointError unless it lies within it."""
    if not isinstance(storage, _Storage):
        raise CheckpointError("a tensor without a storage")
    dtype = storage.dtype if dtype is None else dtype
    if not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise CheckpointError("a tensor without a shape")
    numbers = [offset, *shape, *stride]
    if (
        not isinstance(dtype, torch.dtype)
        or any(type(n) is not int or not 0 <= n <= _LARGEST_NUMBER for n in numbers)
        or len(shape) != len(stride)
        or len(shape) > _LARGEST_RANK
    ):
        raise CheckpointError("a tensor with an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    length = storage.length * storage.dtype.itemsize // dtype.itemsize
    if 0 not in shape and (last >= length or math.prod(shape) > max(length, _LARGEST_REPEAT)):
        raise CheckpointError("a tensor that is larger than its data")
    return StoredTensor(storage, dtype, offset, tuple(shape), tuple(stride))


class _TorchUnpickler(InertUnpickler):
    """An inert unpickler that knows tensors too."""

    def __init__(self, archive: _Archive | _OldFile, file: IO[bytes], size: int) -> None:
        super().__init__(file, size)
        self._archive = archive

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Map a name in the pickle to one of the few things that it may use."""
        if (module_name, global_name) == ("torch", "Size"):
            module_name, global_name = "builtins", "tuple"
        if module_name == "torch._utils" and global_name in _REBUILDS:
            return Callee(partial(_rebuild, global_name))
        if module_name == "torch" and global_name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[global_name]
        if module_name == "torch" and global_name in _DTYPES:
            return _DTYPES[global_name]
        if module_name == "torch.storage" and global_name == "UntypedStorage":
            return torch.uint8
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> Any:
        """Find the storage that a pickle refers to."""
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # a module's class with its source, in files from before torch 1.6
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise CheckpointError("a reference that is no tensor's data")
        _, dtype, key, _, length, *view = pid
        if not isinstance(dtype, torch.dtype):
            raise CheckpointError("tensor data of an unknown type")
        if isinstance(self._archive, _OldFile):
            if view != [None]:
                raise CheckpointError("tensor data that is a part of other data; save it again")
            return self._archive.storage(key, dtype, length)
        return self._archive.storage(key, dtype)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Read a checkpoint file of any torch as plain containers, ``StoredTensor`` and ``StandIn``.

    CheckpointError if the file is no torch checkpoint, is damaged, or its pickle tries what no
    checkpoint needs. Nothing in the file is executed.
    """
    refuse_lfs_pointer(path, CheckpointError)
    try:
        with Path(path).open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
        if not is_archive:
            return _OldFile(Path(path)).read()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise CheckpointError(f"{path}: cannot be read ({reason})") from error
    archive = _Archive(Path(path))
    data = archive.pickle()
    unpickler = _TorchUnpickler(archive, io.BytesIO(data), len(data))
    return load_inert(unpickler, Path(path), CheckpointError)


def read_state_dict(
    path: str | os.PathLike[str], key: str = "state_dict"
) -> dict[str, StoredTensor]:
    """Return the tensors of a checkpoint: those under key if it has one, else at the top.

    Older files nest key within key. Entries that are no tensors are left out. CheckpointError as
    for ``read_checkpoint``, and if no tensor is found.
    """
    content = read_checkpoint(path)
    for _ in range(_DEEPEST_NEST):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            break
        content = content[key]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no state dict")
    tensors = {
        name: value
        for name, value in dict.items(content)
        if isinstance(name, str) and isinstance(value, StoredTensor)
    }
    if not tensors:
        raise CheckpointError(f"{path}: holds no tensors")
    return tensors


def weights_of(tensors: Mapping[str, StoredTensor], path: Path) -> Weights:
    """Return the tensors of a file as weights.

    CheckpointError if they would take many times what the file holds: tensors may share data, and
    a few bytes can name the same data again and again.
    """
    size = path.stat().st_size
    total = sum(tensor.num_bytes for tensor in tensors.values())
    if total > _FREE_BYTES + _MOST_SHARED * size:
        raise CheckpointError(
            f"{path}: its tensors would take {total} bytes, the file has {size}; refused"
        )
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return Weights(path, shapes, lambda name: tensors[name].load())


def open_pickled(path: str | os.PathLike[str], key: str = "state_dict") -> Weights:
    """Return the weights of a checkpoint of any training framework; see ``read_state_dict``."""
    return weights_of(read_state_dict(path, key), Path(path))
