"""A glTF 2.0 file: its JSON, the buffers it names, and its accessors as arrays.

Why not a library (docs/formats.md has the numbers): those that exist map the JSON to classes, and
leave accessors, sparse ones, normalised integers and bounds to the caller.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError, one_line

MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MAX_BESIDE_BYTES = 1 << 30
"""What is read of buffers in other files, all together."""
_FREE_NUMBERS, _NUMBERS_PER_BYTE = 1_000_000, 4
"""So many numbers are decoded of any file, and so many more for each of its bytes: accessors may
overlap, or have no data at all (zeros), and a small file would fill any memory."""


@dataclass
class GltfFile:
    """An opened .glb or .gltf; every method raises InputError where the file is damaged."""

    path: Path
    document: dict[str, Any]
    chunk: bytes | None
    """The binary chunk of a .glb."""
    num_bytes: int
    """How much was read so far."""
    _buffers: dict[int, bytes] = field(default_factory=dict)
    _arrays: dict[tuple[int, bool], NDArray[np.float64]] = field(default_factory=dict)
    _num_numbers: int = 0

    @classmethod
    def open(cls, path: Path) -> GltfFile:
        """Read the file itself, whatever its suffix says; OSError if it cannot be read."""
        raw = path.read_bytes()
        if raw[:4] == struct.pack("<I", MAGIC):
            text, chunk = _chunks(raw)
        elif raw[:16].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            text, chunk = raw, None
        else:
            raise InputError("no .glb file and no .gltf file")
        try:
            document = json.loads(text.rstrip(b"\0").decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"its JSON does not parse ({one_line(error)})") from error
        if not isinstance(document, dict):
            raise InputError("its JSON is no object")
        version = str(document.get("asset", {}).get("version", "2.0"))
        if not version.startswith("2"):
            raise InputError(f"glTF version {one_line(version, 20)}, only 2 is read")
        return cls(path, document, chunk, len(raw))

    def accessor(self, index: Any, *, rotations: bool = False) -> NDArray[np.float64]:
        """Read an accessor as (count, width).

        Integers are taken as they are unless the accessor says that they are normalised: then they
        are -1..1 or 0..1, as rotations always are. The array is shared: do not write to it.
        """
        accessor = item(self.document.get("accessors", []), index)
        key = (int(index), rotations)
        if key not in self._arrays:
            try:
                self._arrays[key] = self._decoded(accessor, rotations)
            except InputError as error:
                raise InputError(f"accessor {index} {error}") from error
        return self._arrays[key]

    def _decoded(self, accessor: dict[str, Any], rotations: bool) -> NDArray[np.float64]:
        dtype, width = _layout(accessor["componentType"], accessor["type"])
        count = whole(accessor["count"])
        if count < 1:
            raise InputError("has no elements")
        self._num_numbers += count * width
        if self._num_numbers > _FREE_NUMBERS + _NUMBERS_PER_BYTE * self.num_bytes:
            raise InputError(f"has {count} elements, more than a file of this size can mean")
        values = np.zeros((count, width))
        if "bufferView" in accessor:
            values[:] = self._elements(accessor, count, dtype, width)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            number = whole(sparse["count"])
            if not 1 <= number <= count:
                raise InputError(f"replaces {number} of {count} elements")
            kind, _ = _layout(sparse["indices"]["componentType"], "SCALAR")
            if kind.kind != "u":
                raise InputError("has sparse indices that are no whole numbers")
            places = self._elements(sparse["indices"], number, kind, 1)[:, 0].astype(np.int64)
            if places.max() >= count or (np.diff(places) <= 0).any():
                raise InputError("has sparse indices out of order")
            values[places] = self._elements(sparse["values"], number, dtype, width)
        if dtype.kind in "iu" and dtype.itemsize < 4 and (rotations or accessor.get("normalized")):
            values = np.maximum(values / np.iinfo(dtype).max, -1)
        if not np.isfinite(values).all():
            raise InputError("has a number that is not finite")
        return values

    def _elements(
        self, place: dict[str, Any], count: int, dtype: np.dtype[Any], width: int
    ) -> NDArray[Any]:
        """Elements (count, width) of a buffer view, from place's byteOffset on."""
        view = item(self.document.get("bufferViews", []), place["bufferView"])
        if "EXT_meshopt_compression" in view.get("extensions", {}):
            raise InputError("is compressed (EXT_meshopt_compression); write it without")
        data = self.buffer(view["buffer"])
        size = dtype.itemsize * width
        stride = whole(view.get("byteStride", size))
        start = whole(view.get("byteOffset", 0)) + whole(place.get("byteOffset", 0))
        if start < 0 or stride < size or start + stride * (count - 1) + size > len(data):
            raise InputError("reaches beyond the data: damaged")
        return np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))

    def buffer(self, index: Any) -> bytes:
        """Read a buffer whole, wherever it lies."""
        buffer = item(self.document.get("buffers", []), index)
        if index not in self._buffers:
            uri = buffer.get("uri")
            missing = len(self.chunk or b"") if uri is None else None
            size = whole(buffer.get("byteLength", missing))
            if uri is None:
                if index != 0 or self.chunk is None:
                    raise InputError(f"needs buffer {index}, which has no data")
                data = self.chunk
            elif not isinstance(uri, str):
                raise InputError(f"needs buffer {index}, whose URI is no text")
            elif uri[:5].lower() == "data:":
                data = _data_uri(uri)
            else:
                data = self._beside(uri, size)
            self._buffers[index] = data[: max(size, 0)]
        return self._buffers[index]

    def beside(self, uri: str) -> bytes:
        """Read a file that lies in the same folder or below it, an image, whole."""
        return self._beside(uri, None)

    def _beside(self, uri: str, size: int | None) -> bytes:
        """Read a file that lies in the same folder or below it, and in no other by any link."""
        from urllib.parse import unquote

        name = unquote(uri)
        told = f"needs {_short(name)!r}"
        parts = name.split("/")
        if not name or set(name) & set("\\:\0") or ".." in parts or name.startswith("/"):
            raise InputError(f"{told}: only files in the folder of the .gltf are read")
        folder = self.path.parent.resolve()
        place = (folder / name).resolve()
        if not place.is_relative_to(folder):
            raise InputError(f"{told}: a link that leaves the folder is not followed")
        if not place.is_file():
            raise InputError(f"{told}, which is not there")
        size = place.stat().st_size if size is None else size
        if size < 0 or sum(map(len, self._buffers.values())) + size > _MAX_BESIDE_BYTES:
            raise InputError(f"{told}: {size} bytes are too many")
        try:
            with place.open("rb") as file:
                data = file.read(size)
        except OSError as error:
            raise InputError(f"{told}: cannot be read ({error.strerror})") from error
        self.num_bytes += len(data)
        return data


def item(items: Any, index: Any) -> Any:
    """Take an element of a list of the document, which must be an object."""
    if (
        not isinstance(index, int)
        or isinstance(index, bool)
        or not isinstance(items, list)
        or not 0 <= index < len(items)
    ):
        raise InputError(f"an index {_short(index)} points at nothing: damaged")
    if not isinstance(items[index], dict):
        raise InputError(f"element {index} is no object: damaged")
    return items[index]


def whole(value: Any) -> int:
    """Take a whole number of the document."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 53:
        raise InputError(f"has {_short(value)} where a whole number must be: damaged")
    return value


def _layout(component: Any, kind: Any) -> tuple[np.dtype[Any], int]:
    if component not in _DTYPES or kind not in _WIDTHS:
        raise InputError(f"is of unknown type {_short(kind)} of {_short(component)}")
    return np.dtype(_DTYPES[component]), _WIDTHS[kind]


def _chunks(raw: bytes) -> tuple[bytes, bytes | None]:
    """Split a .glb into its JSON and its binary chunk."""
    if len(raw) < 20:
        raise InputError(f"truncated: {len(raw)} bytes")
    version, total = struct.unpack_from("<II", raw, 4)
    if version != 2:
        raise InputError(f"glTF version {version}, only 2 is read")
    if total > len(raw):
        raise InputError(f"truncated: {len(raw)} bytes of {total}")
    chunks: dict[int, bytes] = {}
    place = 12
    while place + 8 <= total:
        length, kind = struct.unpack_from("<II", raw, place)
        if place + 8 + length > total:
            raise InputError("a chunk is longer than the file")
        if kind in (JSON_CHUNK, BIN_CHUNK):
            chunks.setdefault(kind, raw[place + 8 : place + 8 + length])
        place += 8 + length
    return chunks.get(JSON_CHUNK, b""), chunks.get(BIN_CHUNK)


def _data_uri(uri: str) -> bytes:
    import binascii
    from urllib.parse import unquote_to_bytes

    head, comma, body = uri[5:].partition(",")
    if not comma:
        raise InputError("has a data: URI without data")
    data = unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        try:
            data = binascii.a2b_base64(data + b"=" * (-len(data) % 4))
        except binascii.Error as error:
            raise InputError(f"has a data: URI that is no base64 ({error})") from error
    return data


def _short(text: Any) -> str:
    return one_line(text, 60)
