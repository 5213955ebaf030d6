from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.arrays import Header, read_array, read_arrays


def test_every_array_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.arange(3), two=np.array("text"))
    found = read_arrays(tmp_path / "a.npz")
    assert found["one"].tolist() == [0, 1, 2] and str(found["two"]) == "text"


def test_what_is_no_archive_is_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(InputError, match="a single array, not an"):
        read_arrays(tmp_path / "a.npy")
    with pytest.raises(InputError, match="no such file"):
        read_arrays(tmp_path / "b.npz")
    with pytest.raises(InputError, match="is a folder"):
        read_arrays(tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 700), place=st.integers(0, 700), value=st.integers(1, 255))
def test_a_cut_or_altered_file_is_read_or_refused_in_one_line(
    tmp_path: Path, cut: int, place: int, value: int
) -> None:
    whole = tmp_path / "whole.npz"
    if not whole.exists():
        np.savez_compressed(whole, one=np.arange(30), two=np.eye(4))
    data = bytearray(whole.read_bytes())
    data[place % len(data)] ^= value
    path = tmp_path / "a.npz"
    path.write_bytes(bytes(data[: max(len(data) - cut, 0)]))
    try:
        read_arrays(path)
    except InputError as refusal:
        assert "\n" not in str(refusal) and str(path) in str(refusal)


def header_file(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }   \n",
        b'{"shape":(2L,),"descr":"<f8","fortran_order":False}',  # Python 2, another order
        b"{'descr': '<f8', 'fortran_order': True, 'shape': (2, 1)}\n",
    ],
)
def test_headers_of_any_writer_are_read(tmp_path: Path, header: bytes) -> None:
    path = header_file(tmp_path / "a.npy", header, np.arange(2.0).tobytes())
    assert read_array(path).ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,",
        b"{'descr': '<f8',\n",
        b"(" * 5000,
        b"{'descr': '<f8', 'fortran_order': False}",
        b"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
        b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,)}",
        b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (,,)}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 40 + b")}",
        b"{'descr': '<q9', 'fortran_order': False, 'shape': (2,)}",
        b"{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}",
    ],
)
def test_other_headers_are_told_in_our_words(tmp_path: Path, header: bytes) -> None:
    path = header_file(tmp_path / "a.npy", header, bytes(16))
    with pytest.raises(InputError, match=r"no \.npy file \((its header|an impossible|an array of)"):
        read_array(path)


def test_text_that_python_cannot_hold_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", bad=np.full(2, 0x41414141, "<u4").view("<U1"), good=np.array("é"))
    found = read_arrays(tmp_path / "a.npz")
    assert str(found["good"]) == "é"
    with pytest.raises(InputError, match="characters that there are not"):
        found["bad"]


def test_a_header_knows_its_size() -> None:
    assert Header((2, 3), False, np.dtype("<f4")).num_bytes == 24
