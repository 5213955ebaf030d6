"""Statistics files of a Kimodo checkpoint that broke NumPy's reader."""

from pathlib import Path

import numpy as np
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


def test_a_signalling_nan_is_refused_without_a_warning(tmp_path: Path) -> None:
    values = np.zeros(5)
    values.view(np.uint64)[2] = 0x7FF0000000000001
    np.save(tmp_path / "mean.npy", values)
    with pytest.raises(CheckpointError, match="not all numbers are finite"):
        read_statistics(tmp_path / "mean.npy", 5)
