from __future__ import annotations

import sys
from pathlib import Path

import pytest

from motionrt.runtime.exchange import exchange


def test_two_folders_change_places_or_stay_where_they_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    swapped = exchange(tmp_path / "a", tmp_path / "b")
    if sys.platform == "linux":
        assert swapped
    assert (tmp_path / "a" / ("b" if swapped else "a")).exists()
    assert (tmp_path / "b" / ("a" if swapped else "b")).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the call")
def test_a_name_that_stands_for_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError, match="b"):
        exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").is_dir()
