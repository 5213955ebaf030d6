from __future__ import annotations

from pathlib import Path

import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file, atomic_folder


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "one"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: cannot write \(No space left"):
        with atomic_file(path):
            raise OSError(28, "No space left on device")
    assert path.read_text() == "old"


def test_a_folder_replaces_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with atomic_folder(path) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(InputError, match="exists already"), atomic_folder(path):
        pass
    with pytest.raises(ZeroDivisionError), atomic_folder(path, replace=True) as folder:
        (folder / "b").write_text("2")
        raise ZeroDivisionError
    assert [entry.name for entry in path.iterdir()] == ["a"]
    with atomic_folder(path, replace=True) as folder:
        (folder / "b").write_text("2")
    assert [entry.name for entry in path.iterdir()] == ["b"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_refuses_a_folder_where_a_file_goes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"), atomic_file(tmp_path):
        pass
