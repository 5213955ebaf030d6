"""Read the mean and deviation of a data set's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.readers.arrays import read_array


def read_row(path: Path, num_features: int, positive: bool = False) -> NDArray[np.float32]:
    """Return the (num_features,) numbers of an .npy file; CheckpointError if it holds others.

    positive: they are deviations, which are above 0.
    """
    try:
        refuse_lfs_pointer(path, CheckpointError)
        row = read_array(path)
    except InputError as error:
        raise CheckpointError(str(error)) from error
    if row.shape != (num_features,) or row.dtype.kind != "f":
        raise CheckpointError(
            f"{path}: {row.dtype} {row.shape}, should be ({num_features},) floats"
        )
    with np.errstate(over="ignore", under="ignore"):  # what float32 cannot hold is refused here
        found = np.asarray(row, np.float32)
    if not np.isfinite(found).all() or (positive and not (found > 0).all()):
        raise CheckpointError(
            f"{path}: holds values that are no {'deviations' if positive else 'means'}"
        )
    return found
