"""The restricted unpickler: what it reads, and that nothing else happens."""

import io
import pickle
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robots import other_numpy

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.safe_pickle import (
    PickledArray,
    StandIn,
    as_array,
    content_of,
    read_pickle,
    unpickle,
)

RAN: list[str] = []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("reduced",)


class Config:
    def __init__(self) -> None:
        self.rate = 30

    def __setstate__(self, state: dict[str, Any]) -> None:
        RAN.append("setstate")


def load(program: bytes) -> Any:
    return unpickle(io.BytesIO(program), Path("clip.pkl"), len(program))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_things_come_back(protocol: int) -> None:
    content = {
        "rows": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "big": np.array([1, 2], ">i4"),
        "none": np.zeros((0, 3)),
        "scalar": np.float32(2.5),
        "objects": np.array([{"a": 1}], object),
        "texts": np.array(["walk", "run"]),
        "plain": (None, True, "x", b"\xff\x00", [1, 2.5], {3}, frozenset((4,)), bytearray(b"y")),
    }
    found = load(pickle.dumps(content, protocol))
    for name in ("rows", "fortran", "big", "none"):
        np.testing.assert_array_equal(as_array(found[name]), content[name])
    assert found["scalar"] == 2.5
    assert content_of(found["objects"]) == {"a": 1}
    assert found["texts"].array().tolist() == ["walk", "run"]
    assert found["plain"] == content["plain"]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_both_names_of_numpys_modules_are_read(protocol: int) -> None:
    data = pickle.dumps({"a": np.arange(4.0), "b": np.float64(3)}, protocol)
    other = other_numpy(data)
    assert other != data
    for program in (data, other):
        found = load(program)
        assert as_array(found["a"]).tolist() == [0, 1, 2, 3] and found["b"] == 3


def test_unknown_classes_are_inert() -> None:
    data = pickle.dumps({"config": Config(), "bomb": Bomb(), "rows": np.ones(2)})
    RAN.clear()
    found = load(data)
    assert RAN == []
    assert isinstance(found["config"], StandIn) and isinstance(found["bomb"], StandIn)
    with pytest.raises(InputError, match=r"Config where numbers were expected"):
        as_array(found["config"])


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'exit 1'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'/etc/passwd'\ntR.",
        b"c__builtin__\nexec\n(S'raise SystemExit'\ntR.",
    ],
)
def test_programs_do_nothing(program: bytes) -> None:
    assert isinstance(load(program), StandIn)


def reconstructed(state: bytes) -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return made + state + b"b."


FLOATS = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"no pickle",
        b"(lp0\n",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a frame of exabytes
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # bytes of exabytes
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # a bytearray of terabytes
        reconstructed(b"(I1\n(I1000000000000\nt" + FLOATS + b"I00\nS''\nt"),
        reconstructed(b"(I1\n(I-1\nt" + FLOATS + b"I00\nS''\nt"),
        reconstructed(b"(I1\n(I1\ntS'f8'\nI00\nS'12345678'\nt"),
        reconstructed(b"S'state'\n"),
        b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",
        b"cnumpy\ndtype\n(S'f8,f8'\nI0\nI1\ntR.",
        b"cbuiltins\nlist\n(N(dS'_run'\nS'x'\nstb.",  # a function's attribute
        b"cbuiltins\ndict\n(S'ab'\ntR.",
        b"]]s.",
    ],
)
def test_damage_and_mischief_are_one_line(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.pkl"
    path.write_bytes(program)
    tracemalloc.start()
    with pytest.raises(InputError, match=str(path)) as caught:
        read_pickle(path)
    assert "\n" not in str(caught.value)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("program", [b"\x95" + b"\xff" * 4 + bytes(4), b"\x8b\xff\xff\xff\x7f"])
def test_a_file_takes_no_room_for_what_it_announces(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04" + program)
    tracemalloc.start()
    with path.open("rb") as file, pytest.raises(InputError, match="pickle cannot be read"):
        unpickle(file, path, path.stat().st_size)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("value", [10**400, [1.0, -(10**400)]])
def test_whole_numbers_beyond_double_precision_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="beyond double precision"):
        as_array(value)


def test_text_that_python_cannot_hold_is_refused(tmp_path: Path) -> None:
    data = pickle.dumps(np.full(2, 0x41414141, "<u4").view("<U1"))
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(InputError, match="characters that there are not"):
        read_pickle(tmp_path / "a.pkl").array()


def test_little_programs_stay_little() -> None:
    pair_of_pairs = b"\x80\x04K\x01" + b"2\x86" * 60
    programs = {
        "a key whose hash takes ages": b"\x80\x04}K\x01" + b"2\x86" * 60 + b"Ns.",
        "a set of it": pair_of_pairs + b"\x94\x8f(h\x00\x90.",
        "one list copied over and over": (
            b"\x80\x04cbuiltins\nlist\n\x94(" + b"N" * 100_000 + b"l\x94]("
            b"" + b"h\x00h\x01\x85R" * 5_000 + b"e."
        ),
        "a memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    }
    for name, program in programs.items():
        start = time.monotonic()
        tracemalloc.start()
        try:
            load(program)
        except InputError as error:
            assert "\n" not in str(error), name
        assert tracemalloc.get_traced_memory()[1] < 300e6, name
        tracemalloc.stop()
        assert time.monotonic() - start < 20, name


def test_lists_that_hold_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    wide: Any = 1.0
    for _ in range(12):
        wide = [wide] * 10
    deep: Any = 1.0
    for _ in range(1000):
        deep = [deep]
    for lists in (loop, wide, deep):
        with pytest.raises(InputError):
            as_array(lists)
    array = PickledArray()
    with pytest.raises(InputError):
        as_array([array, as_array])


def test_numbers_in_lists_are_arrays() -> None:
    assert as_array([[1, 2], [3, 4.5]]).tolist() == [[1, 2], [3, 4.5]]
    found = load(pickle.dumps([np.ones(3), np.zeros(3)]))
    assert as_array(found).shape == (2, 3)
    with pytest.raises(InputError, match="differ in shape"):
        as_array([[1, 2], [3]])


def test_names_of_strangers_are_told_in_one_line() -> None:
    found = load(b"\x80\x04\x8c\x03a\nb\x8c\x02\xc2\x9b\x93.")
    with pytest.raises(InputError) as caught:
        as_array(found())
    assert str(caught.value) == r"a\nb.\x9b where numbers were expected"
