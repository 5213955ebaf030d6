"""Read a G1 motion from CSV: one row of MuJoCo's qpos a frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from motionrt.runtime.body.g1 import NUM_COLUMNS, motion_arrays_from_qpos
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.npz import DEFAULT_FPS


def read_csv(
    path: str | os.PathLike[str], *, fps: float | None = None, rest_zero: bool = False
) -> Motion:
    """Read 36 columns of qpos without a header onto the skeleton g1.

    CSV does not state its frame rate: it is 30 unless fps says otherwise. rest_zero says that the
    angles are measured from the skeleton's rest pose. InputError if it is no such table.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.split(",")]
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}") from error
        if len(row) != NUM_COLUMNS:
            raise InputError(
                f"{path}: line {number} has {len(row)} columns, G1's qpos has {NUM_COLUMNS}"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: has no rows")
    table = np.array(rows)
    if not np.isfinite(table).all():
        frame = int(np.argwhere(~np.isfinite(table))[0][0])
        raise InputError(f"{path}: frame {frame} has a number that is not finite")
    try:
        local, root = motion_arrays_from_qpos(table, rest_zero=rest_zero)
        return Motion.from_local(local, root, load_skeleton("g1"), fps or DEFAULT_FPS)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
