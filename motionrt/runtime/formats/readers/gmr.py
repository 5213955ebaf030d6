"""Read a G1 motion from the .pkl of GMR (General Motion Retargeting)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.g1 import NUM_COLUMNS
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.qpos import motion_from_qpos
from motionrt.runtime.formats.safe_pickle import StandIn, as_array, content_of, read_pickle

KEYS = ("root_pos", "root_rot", "dof_pos")


def read_gmr(
    path: str | os.PathLike[str], *, fps: float | None = None, quaternion: str | None = None
) -> Motion:
    """Read a pickled dict of fps, root_pos (T, 3), root_rot (T, 4) and dof_pos (T, 29).

    Nothing in the pickle is executed. The world is MuJoCo's (z up), the hinges stand in its order.
    GMR writes root_rot as x y z w, others under the same names as w x y z: quaternion says which,
    otherwise the one is taken in which the robot stands, and noted. local_body_pos and
    link_body_list are left away. InputError if it is no such file.
    """
    try:
        return _motion(content_of(read_pickle(path)), fps, quaternion)
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def _motion(content: Any, fps: float | None, quaternion: str | None) -> Motion:
    if not isinstance(content, Mapping):
        told = f"a {content.source}" if isinstance(content, StandIn) else type(content).__name__
        raise InputError(f"no motion of GMR: a dict of {', '.join(KEYS)} is wanted, it is {told}")
    missing = [key for key in KEYS if key not in content]
    if missing:
        has = ", ".join(str(key)[:40] for key in list(content)[:8]) or "nothing"
        raise InputError(f"no motion of GMR: no {', '.join(missing)} in it; there are {has}")
    root, turns, angles = (_array(content, key) for key in KEYS)
    if root.ndim != 2 or root.shape[1:] != (3,) or turns.shape != (len(root), 4):
        raise InputError(f"root_pos is {root.shape}, root_rot {turns.shape}; one clip is (T, ...)")
    if angles.shape != (len(root), NUM_COLUMNS - 7):
        raise InputError(f"dof_pos is {angles.shape}, G1's is ({len(root)}, {NUM_COLUMNS - 7})")
    if fps is None:
        if "fps" not in content:
            raise InputError("it does not say its frame rate; give fps (--input-fps)")
        rate = _array(content, "fps")
        if rate.size != 1:
            raise InputError("fps is no single number")
        fps = float(rate.reshape(-1)[0])
    table = np.concatenate([root, turns, angles], axis=1)
    return motion_from_qpos(table, quaternion, fps, usual="xyzw", documented=True)


def _array(content: Mapping[Any, Any], key: str) -> NDArray[np.float64]:
    try:
        array = as_array(content[key])
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{key}: not real numbers but {array.dtype}")
    return np.asarray(array, np.float64)
