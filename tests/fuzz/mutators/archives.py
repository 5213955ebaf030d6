"""Changes of zip archives: .npz of arrays, torch's files of a pickle and its storages."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from functools import lru_cache
from random import Random

from fuzz.mutators.arrays import joined, mutate_npy
from fuzz.mutators.havoc import TEXTS, few, havoc, havoc_numbers
from fuzz.mutators.pickles import mutate_pickle

Members = list[tuple[str, bytes]]
_BOMB = 40 << 20


def mutate_archive(rng: Random, data: bytes) -> bytes:
    """Change an archive: mostly a member by its own rules, the archive then whole again."""
    members = _members(data)
    if not members or rng.random() < 0.08:
        return havoc(rng, data)
    result = list(members)
    for _ in range(few(rng)):
        _change(rng, result)
    method = zipfile.ZIP_STORED if rng.random() < 0.7 else zipfile.ZIP_DEFLATED
    packed = written(result, method)
    return _other_directory(rng, packed) if rng.random() < 0.06 else packed


def written(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    """Write an archive; names may repeat."""
    body, directory = io.BytesIO(), io.BytesIO()
    for name, data in members:
        encoded = name.encode("utf-8", "replace")[:60000]
        packed = data
        if method == zipfile.ZIP_DEFLATED:
            packer = zlib.compressobj(1, zlib.DEFLATED, -15)
            packed = packer.compress(data) + packer.flush()
        common = struct.pack(
            "<HHHHHIIIHH", 20, 0x800, method, 0, 33, zlib.crc32(data), len(packed), len(data),
            len(encoded), 0,
        )  # fmt: skip
        place = body.tell()
        body.write(b"PK\3\4" + common + encoded + packed)
        directory.write(b"PK\1\2" + struct.pack("<H", 20) + common)
        directory.write(struct.pack("<HHHII", 0, 0, 0, 0, place) + encoded)
    start, listed = body.tell(), directory.getvalue()
    end = struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, len(members), len(members), len(listed), start, 0
    )
    return body.getvalue() + listed + end


def _change(rng: Random, members: Members) -> None:
    if not members:
        return
    place = rng.randrange(len(members))
    name, data = members[place]
    kind = rng.randrange(20)
    if kind == 0:
        del members[place]
    elif kind == 1:
        members.append((rng.choice(members)[0], data))
    elif kind == 2:
        members[place] = (rng.choice((*TEXTS, name.upper(), "a/" + name, "../" + name)), data)
    elif kind == 3:
        members[place] = (rng.choice(members)[0], data)
    elif kind == 4 and rng.random() < 0.05:  # what unpacks to much
        size = rng.randrange(1 << 16, _BOMB) // 9 * 9
        members[place] = (name, _zeros(size, name))
    else:
        members[place] = (name, _other_member(rng, name, data))


def _other_member(rng: Random, name: str, data: bytes) -> bytes:
    if data.startswith(b"\x93NUMPY"):
        return mutate_npy(rng, data)
    if name.endswith(".pkl"):
        return mutate_pickle(rng, data)
    return havoc_numbers(rng, data) if rng.random() < 0.5 else havoc(rng, data)


def _zeros(size: int, name: str) -> bytes:
    if not name.endswith(".npy"):
        return bytes(size)
    frames = size // 36
    shape = f"({frames}, 1, 3, 3)"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return joined(header.encode(), bytes(frames * 36))


def _other_directory(rng: Random, data: bytes) -> bytes:
    """Change numbers of the archive's own records."""
    result = bytearray(data)
    marks = [b"PK\3\4", b"PK\1\2", b"PK\5\6"]
    start = data.find(rng.choice(marks), rng.randrange(len(data)) if rng.random() < 0.5 else 0)
    if start < 0:
        return havoc(rng, data)
    place = start + 4 + rng.randrange(42)
    value = rng.choice((0, 1, 8, 12, 0xFF, 0xFFFF, 0xFFFFFFFF, 0x41414141))
    size = rng.choice((1, 2, 4))
    result[place : place + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(result)


@lru_cache(64)
def _members(data: bytes) -> Members:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [
                (item.filename, archive.read(item))
                for item in archive.infolist()
                if item.file_size < 1 << 20
            ]
    except Exception:  # any bytes come here
        return []
