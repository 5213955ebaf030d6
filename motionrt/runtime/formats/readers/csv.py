"""Read a G1 motion from CSV: one row of MuJoCo's qpos a frame."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import NUM_COLUMNS, g1_hinges
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.orders import QUATERNION_ORDERS
from motionrt.runtime.formats.readers.npz import DEFAULT_FPS
from motionrt.runtime.formats.readers.qpos import motion_from_qpos

_SEPARATORS = re.compile(r"[,;\t]")
_CLOCKS = ("frame", "frames", "time", "timestamp", "t", "index", "")


def read_csv(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    rest_zero: bool = False,
    quaternion: str | None = None,
) -> Motion:
    """Read 36 columns of qpos onto the skeleton g1: root position, root quaternion, 29 hinges.

    That is MuJoCo's qpos (w x y z), and the layout of Unitree's LAFAN1 retargeting set (x y z w);
    quaternion says which of the two, otherwise the one is taken in which the robot stands, and
    noted. A first row of names is skipped if it names these columns, and says their order. CSV does
    not state its frame rate: it is 30 unless fps says otherwise. rest_zero says that the angles are
    measured from the skeleton's rest pose. InputError if it is no such table.
    """
    try:
        table, order = _table(Path(path), quaternion)
        rate = DEFAULT_FPS if fps is None else fps
        return motion_from_qpos(table, order, rate, rest_zero=rest_zero)
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def _table(path: Path, quaternion: str | None) -> tuple[NDArray[np.float64], str | None]:
    """Return the rows in MuJoCo's order, and what is known of the quaternions' order."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
    columns: list[int] | None = None
    rows: list[list[float]] = []
    width = NUM_COLUMNS
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        comment = line.startswith("#")
        words = [word.strip() for word in _split(line.lstrip("# ") if comment else line)]
        if not rows and columns is None and not any(_is_number(word) for word in words):
            if comment and len(words) < NUM_COLUMNS:
                continue
            columns, named = _columns_of_names(words, f"{path}: line {number}")
            quaternion, width = quaternion or named, len(words)
            continue
        if comment:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}") from error
        if len(row) != width:
            wanted = "G1's qpos has" if columns is None else "there are names for"
            raise InputError(f"{path}: line {number} has {len(row)} columns, {wanted} {width}")
        rows.append(row if columns is None else [row[column] for column in columns])
    if not rows:
        raise InputError(f"{path}: has no rows")
    return np.array(rows), quaternion


def _split(line: str) -> list[str]:
    words = _SEPARATORS.split(line.strip())
    return words if len(words) > 1 else line.split()


def _columns_of_names(words: list[str], where: str) -> tuple[list[int], str]:
    """Find MuJoCo's columns by a row of names, and the quaternions' order; else InputError.

    A clock may stand in front. The hinges are found by their names where they have MuJoCo's, and
    otherwise stand in its order.
    """
    names = [word.strip("\"' ").lower() for word in words]
    start = 1 if len(names) == NUM_COLUMNS + 1 and names[0] in _CLOCKS else 0
    if len(names) - start != NUM_COLUMNS:
        raise InputError(f"{where} names {len(names)} columns, G1's qpos has {NUM_COLUMNS}")
    turn = names[start + 3 : start + 7]
    letters = "".join(re.sub(r"[^a-z]", "", name)[-1:] for name in turn)
    if letters not in QUATERNION_ORDERS:
        raise InputError(
            f"{where} names columns ({', '.join(turn)}) where G1's qpos has a quaternion; if they "
            "are one, delete that line"
        )
    hinges = [_bare(name) for name in g1_hinges().names]
    found = [_bare(name) for name in names[start + 7 :]]
    order = list(range(start + 7, start + NUM_COLUMNS))
    if set(found) & set(hinges):
        for hinge, name in zip(hinges, g1_hinges().names, strict=True):
            if hinge not in found:
                raise InputError(f"{where} names no column {name}")
        order = [start + 7 + found.index(hinge) for hinge in hinges]
    return [*range(start, start + 7), *order], letters


def _bare(hinge: str) -> str:
    """Return a hinge's name without what says that it is one."""
    return re.sub(r"(^|_)(dof|joint|pos|angle|rad)(?=_|$)|[^a-z0-9]", "", hinge)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
