"""Changes of .npy files: the array, its header, or how the two fit."""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from fuzz.mutators.havoc import LARGEST, few, havoc, havoc_numbers, havoc_text
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_DTYPES = "<f4 <f8 >f8 <f2 <i4 <i8 |u1 |b1 <c8 <U3 |S4 <M8[s] |V8 |O <f4,<f4 <u8 <U0".split()
_SHAPES = (
    "();(0,);(1,);(3,);(1000000000000,);(-1,);(0, 99999999999);(1, 1, 1, 1);(2.5,);(True,);3;None;"
    "(1,)*40;(((((1,),),),),)"
).split(";")
_SIZES = (0, 1, 2, 3, 4, 5, 22, 263)


def mutate_npy(rng: Random, data: bytes) -> bytes:
    """Change an .npy file; most of them stay whole."""
    kind = rng.random()
    if kind < 0.6:
        array = _loaded(data)
        if array is not None:
            return npy(other_array(rng, array))
    split = _split(data)
    if split is None or kind > 0.95:
        return havoc(rng, data)
    header, body = split
    if kind < 0.75:
        return joined(header, havoc_numbers(rng, body, rng.choice(("<f", "<d"))))
    if kind < 0.9:
        return joined(_other_header(rng, header), body)
    return joined(havoc_text(rng, header), body if rng.random() < 0.5 else havoc(rng, body))


def npy(array: NDArray[Any]) -> bytes:
    """Write an .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def other_array(rng: Random, array: NDArray[Any]) -> NDArray[Any]:
    """Change an array's shape, type or numbers."""
    for _ in range(few(rng)):
        try:
            array = _one_change(rng, array)
        except Exception:  # NumPy has many; the array stays as it was
            continue
    return array if array.nbytes < LARGEST or not array.ndim else array[:1]


def _one_change(rng: Random, array: NDArray[Any]) -> NDArray[Any]:
    kind = rng.randrange(10)
    axis = rng.randrange(array.ndim) if array.ndim else 0
    if kind <= 2 and array.size and array.dtype.kind == "f":
        array = array.copy()
        number = rng.choice((np.nan, np.inf, 0, -1, 1e38, 1e-38, 1e30, 5, 1e9))
        if rng.random() < 0.5:
            array.flat[rng.randrange(array.size)] = number
        else:
            with np.errstate(all="ignore"):
                array *= array.dtype.type(number)
    elif kind == 3 and array.ndim:
        array = (
            np.take(array, np.arange(rng.choice(_SIZES)), axis=axis, mode="wrap")
            if (array.shape[axis] and array.size)
            else array
        )
    elif kind == 4:
        array = rng.choice((array[None], array[..., None], array.reshape(-1), array.T))
    elif kind == 5 and array.ndim and len(array):
        array = np.asarray(array[0])
    elif kind == 6 and array.dtype.kind in "biufc":  # NumPy dies of texts that are none
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = array.astype(rng.choice(_DTYPES[:12]))
    elif kind == 7:
        array = np.asarray(
            rng.choice((0, 1.5, np.nan, np.inf, -1, 10**18, "x", "\x1b[0m", b"x", True, 1j))
        )
    elif kind == 8:
        shape = [rng.choice(_SIZES) for _ in range(rng.randrange(4))]
        array = np.zeros(shape, rng.choice(_DTYPES[:9]))
    elif kind == 9 and array.size and array.dtype.kind in "US":
        array = array.copy()
        array.flat[rng.randrange(array.size)] = array.flat[rng.randrange(array.size)]
    return array


def _other_header(rng: Random, header: bytes) -> bytes:
    text = header.decode("latin1")
    kind = rng.randrange(4)
    if kind == 0:
        start, end = text.find("(", text.find("shape")), text.find(")") + 1
        if 0 <= start < end:
            text = text[:start] + rng.choice(_SHAPES) + text[end:]
    elif kind == 1:
        start = text.find("'", text.find("descr") + 7)
        end = text.find("'", start + 1)
        if 0 <= start < end:
            text = text[: start + 1] + rng.choice(_DTYPES) + text[end:]
    elif kind == 2:
        old = rng.choice(("False", "'shape'", "}", "{"))
        text = text.replace(old, rng.choice(("True", "'shap'", "", "(" * 200)))
    else:
        text = rng.choice(("(", "{" * 50, "{'descr': '<f4',\n", "[]", "1", "'''", "\\", text * 40))
    return text.encode("latin1")


def _split(data: bytes) -> tuple[bytes, bytes] | None:
    if not data.startswith(_MAGIC) or len(data) < 10:
        return None
    (length,) = struct.unpack_from("<H", data, 8)
    return data[10 : 10 + length], data[10 + length :]


def joined(header: bytes, body: bytes) -> bytes:
    """Put an .npy file together."""
    header = header[:65000]
    return _MAGIC + b"\1\0" + struct.pack("<H", len(header)) + header + body


@lru_cache(256)
def _loaded(data: bytes) -> NDArray[Any] | None:
    if not data.startswith(_MAGIC) or b"(" not in data[:256] or len(data) > LARGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.asarray(np.load(io.BytesIO(data)))
    except Exception:  # any bytes come here
        return None
    # Of items without a size there may be any number, and NumPy walks over each.
    return array if array.size <= LARGEST else None
