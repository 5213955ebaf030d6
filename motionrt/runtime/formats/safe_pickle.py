"""Read pickles without running anything that stands in them.

A pickle is a program; here it can build plain containers, NumPy arrays that are put together when
they are asked for, and inert stand-ins, nothing else. A class that we do not know becomes a
stand-in that keeps what it was given and does nothing. Time and memory are bounded by the file's
size: the unpickler is Python's own written in Python, whose memo is a dictionary and whose reads
are no longer than the file, and copies of containers are counted.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError, MotionrtError

_FREE_COPIES = 1 << 20
"""How many items a pickle may copy from container to container beside what it holds."""
_LARGEST_RANK = 32
_LAST_CHARACTER = 0x10FFFF
_DEEPEST_LISTS = 6
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_TYPE_CODE = re.compile(r"[biufcSU]\d{0,6}|\?|O8?")
_OPCODES: dict[int, Callable[..., None]] = dict(pickle._Unpickler.dispatch)
_SIMPLE_KEYS = (str, bytes, int, float, bool, type(None))


class StandIn:
    """What an unknown class or function becomes: it keeps its data, and is inert."""

    source = ""
    """Module and name in the pickle."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> StandIn:
        """Accept anything."""
        made = super().__new__(cls)
        made.__dict__.update(arguments=arguments, keywords=keywords, state=None, items=[])
        return made

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Accept anything."""

    def __call__(self, *arguments: Any, **keywords: Any) -> StandIn:
        """Return itself: a stand-in for a factory's product."""
        return self

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def append(self, item: Any) -> None:
        """Keep an item, as a list does."""
        self.__dict__["items"].append(item)

    def extend(self, items: list[Any]) -> None:
        """Keep items, as a list does."""
        self.__dict__["items"].extend(items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__["items"].append((key, value))

    def __repr__(self) -> str:
        return f"<stand-in for {type(self).source}>"


class Callee:
    """A function that a pickle may call; its instances cannot be changed from the pickle."""

    __slots__ = ("_run",)
    _run: Callable[..., Any]

    def __init__(self, run: Callable[..., Any]) -> None:
        """Take what is called."""
        object.__setattr__(self, "_run", run)

    def __setattr__(self, name: str, value: Any) -> None:
        raise InputError("it tries to change a function")

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        return self._run(*arguments)


class PlainDict(dict[Any, Any]):
    """An OrderedDict of a pickle; attributes that are put on it are left away."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Leave the attributes away (torch keeps versions there)."""


class PickledType:
    """A NumPy dtype of a pickle: plain numbers, text, or objects."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        """Take a type code such as f8 or U5."""
        if not isinstance(code, str) or not _TYPE_CODE.fullmatch(code):
            raise InputError("an array of an unknown type")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[3] is not None:
            raise InputError("an array of a structured type")
        if state[1] not in ("<", ">", "|", "="):
            raise InputError("an array of an unknown byte order")
        self.order = state[1]

    @property
    def holds_objects(self) -> bool:
        """Whether the array's items are Python objects."""
        return self.code.startswith("O")

    def dtype(self) -> np.dtype[Any]:
        """Return the type."""
        return np.dtype(self.code).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class PickledArray:
    """A NumPy array of a pickle, put together when it is asked for."""

    __slots__ = ("_data", "_fortran", "_type", "shape")

    def __init__(self) -> None:
        """Make one that holds nothing yet."""
        self.shape: tuple[int, ...] = (0,)
        self._type, self._fortran, self._data = PickledType("u1"), False, b""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise InputError("an array of an unknown layout")
        shape, kind, fortran, data = state[-4:]
        if (
            not isinstance(shape, tuple)
            or len(shape) > _LARGEST_RANK
            or any(type(size) is not int or size < 0 for size in shape)
            or not isinstance(kind, PickledType)
        ):
            raise InputError("an array with an impossible shape")
        if kind.holds_objects:
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise InputError("an array with less or more than its items")
        else:
            if isinstance(data, str):  # as Python 2 wrote it
                data = data.encode("latin1")
            size = math.prod(shape) * kind.dtype().itemsize
            if not isinstance(data, (bytes, bytearray)) or len(data) != size:
                raise InputError("an array with less or more than its data")
        self.shape, self._type, self._fortran, self._data = shape, kind, bool(fortran), data

    @property
    def items(self) -> list[Any] | None:
        """Return the objects of an array of objects, flat; None for numbers and text."""
        return self._data if isinstance(self._data, list) else None

    def array(self) -> NDArray[Any]:
        """Return the numbers or texts; InputError if it holds objects."""
        if isinstance(self._data, list):
            raise InputError("an array of objects where numbers were expected")
        dtype, order = self._type.dtype(), "F" if self._fortran else "C"
        try:
            flat = np.frombuffer(self._data, dtype) if self._data else np.empty(0, dtype)
            flat = checked_text(flat)
            return flat.reshape(self.shape, order=order)  # type: ignore[call-overload, no-any-return]
        except ValueError as error:
            raise InputError(f"an array with an impossible shape ({error})") from error


def checked_text(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array (N,) as it is; InputError if it is text with characters that there are not.

    NumPy takes any four bytes for a character, and makes strings of them that Python cannot hold.
    """
    if array.dtype.kind == "U" and array.size:
        points = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if points.max() > _LAST_CHARACTER or ((points >= 0xD800) & (points < 0xE000)).any():
            raise InputError("a text with characters that there are not")
    return array


def as_array(value: Any, largest: int = 1 << 22, depth: int = _DEEPEST_LISTS) -> NDArray[Any]:
    """Return numbers of a pickle (an array, a number, lists of them) as an array; else InputError.

    largest is the most items that lists may hold, depth how deep they may be nested.
    """
    items: Any = value
    if isinstance(value, PickledArray):
        if value.items is None:
            return value.array()
        items = value.items
    elif isinstance(value, (bool, int, float)):
        return np.asarray(_double(value))
    elif not isinstance(value, (list, tuple)):
        raise InputError(f"{_told(value)} where numbers were expected")
    if len(items) > largest or depth < 1:
        raise InputError("more or deeper lists of numbers than it has room for")
    if all(isinstance(item, (bool, int, float)) for item in items):
        return np.asarray([_double(item) for item in items])
    parts = [as_array(item, largest // len(items), depth - 1) for item in items]
    if len({part.shape for part in parts}) != 1:
        raise InputError("a list of arrays that differ in shape")
    if sum(part.size for part in parts) > largest:
        raise InputError("more numbers than it has room for")
    stacked = np.stack(parts)
    return stacked[0] if isinstance(value, PickledArray) and value.shape == () else stacked


def _double(value: float) -> float:
    """Make a number one of double precision; InputError for a whole number beyond it."""
    try:
        return float(value)
    except OverflowError as error:
        raise InputError("a number beyond double precision") from error


def content_of(value: Any) -> Any:
    """Return the one object in an array of one object (as np.save keeps a dict), or the value."""
    if isinstance(value, PickledArray) and value.items is not None and len(value.items) == 1:
        return value.items[0]
    return value


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """Read a pickle file; InputError in one line if it is damaged or tries what it must not."""
    place = Path(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return unpickle(io.BytesIO(data), place, len(data))


def unpickle(file: IO[bytes], place: Path, size: int) -> Any:
    """Read one pickle of so many bytes from a file; InputError as for `read_pickle`."""
    # From memory: a file takes room for as much as it is asked for before it reads.
    return load_inert(InertUnpickler(io.BytesIO(file.read(size)), size), place, InputError)


def load_inert(unpickler: InertUnpickler, place: Path, kind: type[MotionrtError]) -> Any:
    """Run an unpickler; whatever goes wrong is one line of this kind that names the place."""
    try:
        return unpickler.load()
    except MotionrtError as error:
        if str(place) in str(error):
            raise
        raise kind(f"{place}: {error}") from error
    except Exception as error:  # a damaged or hostile pickle fails in any way it likes
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise kind(f"{place}: its pickle cannot be read ({reason})") from error


class InertUnpickler(pickle._Unpickler):
    """An unpickler that finds no code.

    It is Python's own in Python: the one in C takes memory for what a pickle merely announces.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(_OPCODES)

    def __init__(self, file: IO[bytes], size: int) -> None:
        """Read from a file; size is that of the pickle, in bytes."""
        super().__init__(file, encoding="latin1")  # what Python 2 wrote is bytes
        self._size = size
        self._copies = _FREE_COPIES + 4 * size
        self._stand_ins: dict[str, type[StandIn]] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Map a name in the pickle to one of the few things that it may use."""
        if module_name in ("builtins", "__builtin__"):
            makers = {"dict": dict, "list": list, "tuple": tuple}
            if global_name in makers:
                return Callee(lambda *items: self._container(makers[global_name], *items))
            if global_name in ("set", "frozenset"):
                return Callee(lambda *items: self._set(*items))
            if global_name in ("bytes", "bytearray"):
                return Callee(self._bytes)
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return Callee(lambda *items: self._container(PlainDict, *items))
        if (module_name, global_name) == ("_codecs", "encode"):
            return Callee(self._bytes)
        if (module_name, global_name) == ("numpy", "dtype"):
            return Callee(PickledType)
        if module_name in _ARRAY_MODULES:
            if global_name == "_reconstruct":
                return Callee(lambda *_: PickledArray())
            if global_name == "scalar":
                return Callee(_scalar)
        if module_name in _NUMERIC_MODULES and global_name == "_frombuffer":
            return Callee(_array_of_buffer)
        source = ascii(f"{module_name}.{global_name}"[:200])[1:-1]
        if source not in self._stand_ins:
            self._stand_ins[source] = type("StandIn", (StandIn,), {"source": source})
        return self._stand_ins[source]

    def _spend(self, count: int) -> None:
        self._copies -= count
        if self._copies < 0:
            raise InputError("it copies its own data over and over")

    def _container(self, kind: Any, *items: Any) -> Any:
        if not items:
            return kind()
        if len(items) > 1 or not isinstance(items[0], (list, tuple, dict)):
            raise InputError("a container of something else than a list")
        self._spend(len(items[0]))
        if not issubclass(kind, dict):
            return kind(items[0])
        pairs = items[0].items() if isinstance(items[0], dict) else items[0]
        return kind((self._key(key), value) for key, value in pairs)

    def _set(self, *items: Any) -> set[Any]:
        return {self._key(item) for item in self._container(list, *items)}

    def _bytes(self, *arguments: Any) -> bytes:
        if not arguments:
            return b""
        value, encoding = arguments[0], arguments[1] if len(arguments) > 1 else "latin1"
        if isinstance(value, (bytes, bytearray)):
            self._spend(len(value))
            return bytes(value)
        if not isinstance(value, str) or encoding not in ("latin1", "latin-1"):
            raise InputError("bytes of something else than text")
        self._spend(len(value))
        return value.encode("latin1")

    def _key(self, key: Any, depth: int = 2) -> Any:
        """Refuse a key whose hash takes long: tuples within tuples."""
        if isinstance(key, tuple) and depth:
            self._spend(len(key))
            for item in key:
                self._key(item, depth - 1)
        elif not isinstance(key, (*_SIMPLE_KEYS, StandIn, type, Callee)):
            raise InputError("a dictionary with keys that are no names")
        return key

    def _load_call(self, opcode: int) -> None:
        """Call what stands on the stack, its arguments counted: they are copied."""
        arguments = self.stack[-1]  # type: ignore[attr-defined]
        if opcode == pickle.NEWOBJ_EX[0]:
            arguments = self.stack[-2]  # type: ignore[attr-defined]
            self._spend(len(self.stack[-1]))  # type: ignore[attr-defined]
        if not isinstance(arguments, tuple):
            raise InputError("a call without arguments")
        self._spend(len(arguments))
        _OPCODES[opcode](self)

    def _load_build(self) -> None:
        """Give an object its state, if it is one of those that check what they are given."""
        state = self.stack.pop()  # type: ignore[attr-defined]
        target = self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(target, (StandIn, PlainDict, PickledArray, PickledType)):
            raise InputError("a state for something that has none")
        target.__setstate__(state)

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        self._put(self.stack[-1], [key, value])  # type: ignore[attr-defined]

    def _load_setitems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self._put(self.stack[-1], items)  # type: ignore[attr-defined]

    def _put(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, (dict, StandIn)):
            raise InputError("items for something that takes none")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def _load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        made: dict[Any, Any] = {}
        self._put(made, items)
        self.stack.append(made)  # type: ignore[attr-defined]

    def _load_additems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        target = self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(target, set):
            raise InputError("members for something that is no set")
        target.update(self._key(item) for item in items)

    def _load_frozenset(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append(frozenset(self._key(item) for item in items))  # type: ignore[attr-defined]

    def _load_bytearray(self) -> None:
        """Read no more than is there: the length stands in the pickle."""
        length = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        if length > self._size:
            raise InputError("cut off")
        self.stack.append(self.read(length))  # type: ignore[attr-defined]

    dispatch |= {
        pickle.BUILD[0]: _load_build,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
        pickle.ADDITEMS[0]: _load_additems,
        pickle.FROZENSET[0]: _load_frozenset,
        pickle.BYTEARRAY8[0]: _load_bytearray,
        pickle.REDUCE[0]: partial(_load_call, opcode=pickle.REDUCE[0]),
        pickle.NEWOBJ[0]: partial(_load_call, opcode=pickle.NEWOBJ[0]),
        pickle.NEWOBJ_EX[0]: partial(_load_call, opcode=pickle.NEWOBJ_EX[0]),
    }


def _scalar(kind: Any, data: Any = b"") -> Any:
    """Make a number of NumPy's: a Python one."""
    if isinstance(kind, PickledType) and kind.holds_objects:
        return data
    made = PickledArray()
    made.__setstate__((1, (), kind, False, data))
    return made.array().item()


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any = "C", *_: Any) -> PickledArray:
    """Make an array as protocol 5 keeps it."""
    made = PickledArray()
    made.__setstate__((1, shape, kind, order == "F", data))
    return made


def _told(value: Any) -> str:
    if isinstance(value, StandIn):
        return type(value).source or "an unknown object"
    return type(value).__name__
