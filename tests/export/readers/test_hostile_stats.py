"""Statistics files of a Kimodo checkpoint that broke NumPy's reader."""

from pathlib import Path

import pytest
from places import DATA

from motionrt.export.readers.checkpoint_folder import read_statistics
from motionrt.runtime.errors import CheckpointError

HOSTILE = DATA / "field" / "hostile"


@pytest.mark.parametrize("name", sorted(path.name for path in HOSTILE.glob("kimodo_stats-*")))
def test_they_are_one_line(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"damaged") as caught:
        read_statistics(Path(HOSTILE / name), 5)
    assert name in str(caught.value) and "\n" not in str(caught.value)
