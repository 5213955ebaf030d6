"""Which files an ONNX graph takes its weights from, without the ``onnx`` package.

An ONNX file is a protocol buffer; a tensor whose numbers are elsewhere names the file in its field
external_data. Source: onnx.proto of ONNX 1.17; https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from motionrt.runtime.errors import BundleError

_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
"""Message -> field -> the message in it, of those that lead to tensors."""
_KEY, _VALUE = 1, 2
_FIXED_SIZES = {1: 8, 5: 4}
_DEEPEST = 100
"""Messages in messages: graphs are nested a few times."""


def external_data(path: Path, shown: Path | None = None) -> set[str]:
    """Return the files that an ONNX graph names, relative to it; BundleError if it is none.

    shown is the graph's path in the message.
    """
    try:
        found: set[str] = set()
        _collect(np.memmap(path, np.uint8, "r").data, "model", found, 0)
    except (IndexError, ValueError, OSError) as error:
        raise BundleError(
            f"{shown or path}: no ONNX graph ({error}); export the bundle again"
        ) from error
    return found


def _collect(data: memoryview, kind: str, found: set[str], depth: int) -> None:
    """Add the files that a message names."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    children = _CHILDREN[kind]
    for number, part in _fields(data):
        if kind == "tensor" and number == 13:
            entry = {field: bytes(value) for field, value in _fields(part)}
            if entry.get(_KEY) == b"location":
                found.add(entry.get(_VALUE, b"").decode("utf-8"))
        elif number in children:
            _collect(part, children[number], found, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields of a message that have a length, by number; others are passed over."""
    place, end = 0, len(data)
    while place < end:
        tag, place = _varint(data, place)
        wire = tag & 7
        if wire == 0:
            _, place = _varint(data, place)
        elif wire == 2:
            size, place = _varint(data, place)
            if size > end - place:
                raise ValueError("cut off")
            yield tag >> 3, data[place : place + size]
            place += size
        elif wire in _FIXED_SIZES:
            place += _FIXED_SIZES[wire]
        else:
            raise ValueError("no protocol buffer")
    if place != end:
        raise ValueError("cut off")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte; return it and where it ends."""
    value = shift = 0
    while shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise ValueError("a number of more than ten bytes")
