from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motionrt import constraints
from motionrt.constraints import Root2D, read_constraints, write_constraints


@pytest.mark.parametrize("name", constraints.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(constraints, name) is not None


def test_the_example_of_the_docstring_holds(tmp_path: Path) -> None:
    path = Root2D([0, 60, 119], [[0, 0], [1, 1], [0, 3]])
    write_constraints(tmp_path / "c.json", [path])
    (again,) = read_constraints(tmp_path / "c.json")
    assert isinstance(again, Root2D)
    np.testing.assert_array_equal(again.frame_indices, path.frame_indices)
    np.testing.assert_array_equal(again.smooth_root_2d, path.smooth_root_2d)
