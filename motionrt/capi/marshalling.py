"""Texts and arrays on their way into C and out of it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_float
from typing import Any, TypeAlias

from motionrt.runtime.errors import InputError

View: TypeAlias = "memoryview[Any]"
"""A memoryview of numbers."""
Floats: TypeAlias = Any
"""Anything that holds float32 one behind the other: bytes, array.array, a numpy array."""


def encoded_list(texts: Sequence[str]) -> Any:
    """Return texts as an array of C strings."""
    return (c_char_p * len(texts))(*map(encoded, texts))


def encoded(text: str | None) -> bytes | None:
    """Return a text as a C string; InputError for one with a zero character."""
    if text is None:
        return None
    if "\0" in text:
        raise InputError(f"{text!r}: a text with a zero character")
    return text.encode("utf-8", "replace")


def encoded_path(path: str | os.PathLike[str] | None) -> bytes | None:
    """Return a path as the library opens it: UTF-8 on Windows, else its own bytes."""
    if path is None:
        return None
    return encoded(os.fspath(path)) if sys.platform == "win32" else os.fsencode(path)


def decoded(value: bytes) -> str:
    """Return a C string as a text."""
    return value.decode("utf-8", "replace")


def float_pointer(values: Floats, kept: list[Any]) -> Any:
    """Return a pointer to a copy of float32 values; kept gets the copy, which C needs alive."""
    try:
        view = memoryview(values)
        if view.format != "f" or not view.contiguous:
            raise TypeError
        content = (c_float * (view.nbytes // 4)).from_buffer_copy(view.cast("B"))
    except TypeError:
        flat = [float(value) for value in flattened(values)]
        content = (c_float * len(flat))(*flat)
    kept.append(content)
    return ctypes.cast(content, POINTER(c_float))


def flag_array(values: Any) -> Any:
    """Return truth values, nested or not, as an array of uint8."""
    flags = [bool(flag) for flag in flattened(values)]
    return (ctypes.c_uint8 * len(flags))(*flags)


def flattened(values: Any) -> list[Any]:
    """Return the numbers of nested lists, or of a numpy array, in one list."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        return [values]
    return [number for value in values for number in flattened(value)]


def array_view(
    address: int | None, shape: tuple[int, ...], kind: Any, letter: str, owner: object
) -> View | None:
    """Return memory of C as a memoryview, which keeps its owner alive; None for no address.

    kind is the element's C type, letter the same in ``struct``'s words.
    """
    if not address:
        return None
    count = 1
    for size in shape:
        count *= size

    class Memory(kind * count):  # type: ignore[misc]  # an attribute needs a class of its own
        pass

    memory = Memory.from_address(address)
    memory.owner = owner
    flat: Any = memoryview(memory).cast("B")
    shaped: View = flat.cast(letter, shape)
    return shaped
