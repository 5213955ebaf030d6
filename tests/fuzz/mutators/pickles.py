"""Changes of pickles: their opcodes, one by one."""

from __future__ import annotations

import pickle
import pickletools
import struct
from functools import lru_cache
from random import Random

from fuzz.mutators.havoc import LARGEST, TEXTS, few, havoc, havoc_numbers

_GLOBALS = (
    "numpy dtype;numpy._core.multiarray _reconstruct;numpy.core.multiarray scalar;"
    "numpy._core.numeric _frombuffer;numpy ndarray;collections OrderedDict;builtins set;"
    "builtins list;builtins dict;builtins tuple;"
    "builtins bytes;builtins bytearray;builtins frozenset;builtins getattr;builtins exec;"
    "os system;_codecs encode;torch._utils _rebuild_tensor_v2;torch FloatStorage;"
    "torch._utils _rebuild_parameter;a b;copyreg _reconstructor;builtins object;"
    "builtins range;builtins complex"
).split(";")


def _u4(code: bytes, value: int) -> bytes:
    return code + struct.pack("<I", value)


def _short_text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")[:255]
    return pickle.SHORT_BINUNICODE + bytes([len(encoded)]) + encoded


_PARTS = (
    *(bytes([code]) for code in b"(0.12JlaesutqdbR}])NQ" + bytes(range(0x85, 0x99))),
    *(b"c" + name.replace(" ", "\n").encode() + b"\n" for name in _GLOBALS),
    *(_short_text(text) for text in TEXTS),
    _u4(pickle.LONG_BINPUT, 0xFFFFFFFF),
    _u4(pickle.LONG_BINPUT, 1 << 24),
    _u4(pickle.LONG_BINGET, 0),
    _u4(pickle.LONG_BINGET, 1 << 30),
    pickle.BINPUT + b"\0",
    pickle.BINGET + b"\0",
    pickle.BINPUT + b"\1",
    pickle.BINGET + b"\1",
    pickle.BINGET + b"\2",
    pickle.BINPUT + b"\2",
    pickle.BINUNICODE8 + struct.pack("<Q", 1 << 40),
    pickle.BINBYTES8 + struct.pack("<Q", 1 << 62),
    pickle.BYTEARRAY8 + struct.pack("<Q", 1 << 33),
    _u4(pickle.BINBYTES, 0xFFFFFFF0),
    pickle.LONG4 + struct.pack("<i", -1),
    pickle.LONG4 + struct.pack("<i", 1 << 30),
    pickle.LONG1 + b"\xff",
    pickle.LONG1 + b"\xff" + b"\x7f" * 255,
    pickle.LONG + b"9" * 5000 + b"L\n",
    pickle.INT + b"00\n",
    pickle.FLOAT + b"nan\n",
    pickle.BINFLOAT + struct.pack(">d", float("inf")),
    _u4(pickle.BININT, 0x7FFFFFFF),
    pickle.BININT1 + b"\0",
    pickle.BININT2 + b"\xff\xff",
    pickle.FRAME + struct.pack("<Q", 1 << 50),
    pickle.FRAME + struct.pack("<Q", 1),
    pickle.EXT1 + b"\1",
    pickle.PERSID + b"x\n",
    pickle.BINPERSID,
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
    pickle.PROTO + b"\5",
    pickle.PROTO + b"\xff",
    pickle.UNICODE + b"\\ud800\n",
    pickle.STRING + b"'\\x41'\n",
    pickle.STRING + b"bad\n",
    pickle.INST + b"os\nsystem\n",
)


def mutate_pickle(rng: Random, data: bytes) -> bytes:
    """Change some opcodes of a pickle, or what they carry."""
    parts = list(_parts(data))
    if not parts or rng.random() < 0.05:
        return havoc(rng, data)
    for _ in range(few(rng)):
        if not parts:
            break
        first, place = rng.randrange(len(parts)), rng.randrange(len(parts))
        last = first + 1 + rng.randrange(4)
        kind = rng.randrange(12)
        if kind == 0:
            del parts[first:last]
        elif kind == 1:
            parts[place:place] = parts[first:last]
        elif kind == 2:
            parts[first], parts[place] = parts[place], parts[first]
        elif kind <= 5:
            parts[place:place] = [rng.choice(_PARTS)]
        elif kind <= 7:
            parts[place] = rng.choice(_PARTS)
        elif kind == 8 and rng.random() < 0.1:
            size = 1 + sum(map(len, parts[first:last]))
            parts[place:place] = parts[first:last] * rng.randrange(1, 2 + LARGEST // size // 4)
        else:
            parts[place] = _other_argument(rng, parts[place])
    return b"".join(parts)[:LARGEST]


def _other_argument(rng: Random, part: bytes) -> bytes:
    """Change what an opcode carries: a text or bytes with their length put right."""
    code, rest = part[:1], part[1:]
    if code in (pickle.SHORT_BINUNICODE, pickle.SHORT_BINBYTES, pickle.SHORT_BINSTRING):
        changed = havoc(rng, rest[1:])[:255]
        return code + bytes([len(changed)]) + changed
    if code in (pickle.BINUNICODE, pickle.BINBYTES, pickle.BINSTRING):
        body = rest[4:]
        changed = havoc_numbers(rng, body, "<d") if rng.random() < 0.7 else havoc(rng, body)
        return code + struct.pack("<I", len(changed)) + changed
    if code == pickle.GLOBAL:
        return b"c" + rng.choice(_GLOBALS).replace(" ", "\n").encode() + b"\n"
    return code + havoc(rng, rest) if rest else part


@lru_cache(64)
def _parts(data: bytes) -> tuple[bytes, ...]:
    places = []
    try:
        places += [place for _, _, place in pickletools.genops(data) if place is not None]
    except Exception:  # any bytes come here; what was read so far is used
        pass
    ends = [*places[1:], len(data)]
    return tuple(data[start:end] for start, end in zip(places, ends, strict=False))
