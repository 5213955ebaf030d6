"""Changes that know nothing of the format: bytes, numbers in place, blocks, texts."""

from __future__ import annotations

import re
import struct
from random import Random

LARGEST = 1 << 18
"""No mutator makes inputs larger than about this, in bytes: speed finds more than size."""

_INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_FLOATS = tuple(
    struct.pack(order, value)
    for order in ("<f", "<d")
    for value in (0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-40, 1.0, -1.0, 3e38, 1e9)
)
NUMBERS = (
    "0;-0;1;-1;1e308;-1e308;1e999;nan;inf;-inf;1e-400;4294967296;9223372036854775808;"
    "99999999999999999999;1_0;0x10;1e;.;-;٣;" + "1" * 400
).split(";")
TEXTS = ("", " ", "\0", "\x1b[31m", "\n", "%s%n", "../..", "é", "\U0001f600", "A" * 300, "\ud800")
_NUMBER = re.compile(r"[-+]?\d[\d.]*(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")


def few(rng: Random) -> int:
    """Choose how many changes to make: mostly one, so that much stays as it was."""
    return 1 if rng.random() < 0.65 else rng.choice((2, 2, 3, 5))


def havoc(rng: Random, data: bytes) -> bytes:
    """Change a few bytes or blocks anywhere."""
    result = bytearray(data)
    for _ in range(few(rng)):
        if not result:
            result = bytearray(rng.randbytes(rng.randrange(1, 64)))
        _CHANGES[rng.randrange(len(_CHANGES))](rng, result)
    return bytes(result[:LARGEST])


def _flip(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _integer(rng: Random, data: bytearray) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(_INTEGERS) & ((1 << 8 * size) - 1)
    place = rng.randrange(len(data))
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _float(rng: Random, data: bytearray) -> None:
    number = rng.choice(_FLOATS)
    place = rng.randrange(len(data)) & ~3
    data[place : place + len(number)] = number


def _delete(rng: Random, data: bytearray) -> None:
    place = rng.randrange(len(data))
    del data[place : place + _length(rng, len(data))]


def _copy(rng: Random, data: bytearray) -> None:
    start, place = rng.randrange(len(data)), rng.randrange(len(data) + 1)
    data[place:place] = data[start : start + _length(rng, len(data))]


def _overwrite(rng: Random, data: bytearray) -> None:
    start, place = rng.randrange(len(data)), rng.randrange(len(data))
    block = data[start : start + _length(rng, len(data))]
    data[place : place + len(block)] = block


def _cut(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _insert(rng: Random, data: bytearray) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.randbytes(rng.randrange(1, 9))


def _length(rng: Random, most: int) -> int:
    return min(most, 1 << rng.randrange(12)) if rng.random() < 0.9 else most


_CHANGES = (_flip, _set, _integer, _float, _delete, _copy, _overwrite, _cut, _insert)


def havoc_numbers(rng: Random, data: bytes, item: str = "<f") -> bytes:
    """Change a few packed numbers and leave the length as it is."""
    size = struct.calcsize(item)
    result = bytearray(data)
    for _ in range(few(rng)):
        if len(result) < size:
            break
        place = rng.randrange(len(result) // size) * size
        if rng.random() < 0.5:
            result[place : place + size] = rng.choice([f for f in _FLOATS if len(f) <= size])[:size]
        else:
            result[place : place + size] = rng.randbytes(size)
        del result[len(data) :]
    return bytes(result)


def havoc_text(rng: Random, data: bytes) -> bytes:
    """Change numbers, words and lines of a text; sometimes its bytes."""
    if rng.random() < 0.1:
        return havoc(rng, data)
    text = data.decode("utf-8", "replace")
    for _ in range(few(rng)):
        text = rng.choice(_TEXT_CHANGES)(rng, text)
    return text[:LARGEST].encode("utf-8", "surrogatepass")


def _some(rng: Random, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """A match from a random place on."""
    place = rng.randrange(len(text) + 1)
    return pattern.search(text, max(0, place - 1)) or pattern.search(text)


def _other_number(rng: Random, text: str) -> str:
    found = _some(rng, _NUMBER, text)
    if found is None:
        return text
    new = rng.choice(NUMBERS)
    if rng.random() < 0.7:
        digits = found.group()
        new = rng.choice((digits + "0", "-" + digits, digits[:-1], digits + "9" * 8, digits + "e9"))
    return text[: found.start()] + new + text[found.end() :]


def _other_word(rng: Random, text: str) -> str:
    found, other = _some(rng, _WORD, text), _some(rng, _WORD, text)
    if found is None or other is None:
        return text
    new = rng.choice((other.group(), other.group(), rng.choice(TEXTS), found.group().swapcase()))
    return text[: found.start()] + new + text[found.end() :]


def _other_lines(rng: Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text + rng.choice(TEXTS)
    first, place = rng.randrange(len(lines)), rng.randrange(len(lines))
    last = min(len(lines), first + 1 + rng.randrange(4))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[first:last]
    elif kind == 1:
        lines[place:place] = lines[first:last]
    elif kind == 2:
        lines[first], lines[place] = lines[place], lines[first]
    elif kind == 3:
        del lines[first:]
    elif rng.random() < 0.1:  # a file that became long
        times = min(2000, LARGEST // (1 + sum(map(len, lines[first:last]))))
        lines[place:place] = lines[first:last] * rng.randrange(1, 2 + times)
    return "".join(lines)


def _other_text(rng: Random, text: str) -> str:
    place = rng.randrange(len(text) + 1)
    drop = rng.randrange(3)
    return text[:place] + rng.choice((*TEXTS, *NUMBERS)) + text[place + drop :]


_TEXT_CHANGES = (*[_other_number] * 3, _other_word, _other_lines, _other_text)
