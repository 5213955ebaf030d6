from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.arrays import read_arrays


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
    with pytest.raises(InputError, match="cannot be read as"):
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
