"""Read a motion from .npz: ours, Kimodo's, AMASS or a tracking task's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import ARRAY_NAMES, Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.formats.known_skeletons import skeleton_with_names
from motionrt.runtime.formats.readers.amass import is_amass, motion_from_amass
from motionrt.runtime.formats.readers.arrays import read_arrays
from motionrt.runtime.formats.readers.tracking import is_tracking, motion_from_tracking

DEFAULT_FPS = 30.0
"""The frame rate of files that do not state one, as Kimodo's do not."""

_SKEWED = 0.05
"""So far may R Rᵀ be from the identity: half precision is allowed."""
_BY_NUM_JOINTS = {27: "core27", 30: "soma30", 77: "soma77", 34: "g1", 22: "smplx22"}


def read_npz(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    skeleton: Skeleton | None = None,
    z_up: bool = True,
    quaternion: str | None = None,
    joint_order: str | None = None,
) -> Motion:
    """Read an .npz; fps and skeleton are for files that do not say theirs, z_up is for AMASS.

    quaternion and joint_order are for tracking tasks (mjlab, BeyondMimic). Without joint names the
    skeleton follows from the number of joints (22 is SMPL-X).
    """
    arrays = read_arrays(path)
    if is_amass(arrays):
        return motion_from_amass(arrays, str(path), z_up=z_up, fps=fps)
    if is_tracking(arrays):
        return motion_from_tracking(arrays, str(path), fps, quaternion, joint_order)
    if not any(name in arrays for name in ("local_rot_mats", "global_rot_mats")):
        raise InputError(
            f"{path}: no local_rot_mats or global_rot_mats in it; "
            f"there are {', '.join(list(arrays)[:12]) or 'no arrays'}"
        )
    try:
        if fps is None:
            fps = float(_number(arrays["fps"])) if "fps" in arrays else DEFAULT_FPS
        found = skeleton or _skeleton(arrays)
        known = {name: arrays[name] for name in ARRAY_NAMES if name in arrays}
        for name in ("local_rot_mats", "global_rot_mats"):
            _check_rotations(name, known.get(name))
        return Motion.from_arrays(known, found, fps, _info(arrays))
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def _check_rotations(name: str, matrices: NDArray[Any] | None) -> None:
    """Raise InputError for matrices (..., 3, 3) that are no rotations: they would grow on the way.

    What is no such array at all is left to `Motion`.
    """
    if matrices is None or matrices.shape[-2:] != (3, 3) or matrices.dtype.kind not in "fiu":
        return
    with np.errstate(all="ignore"):
        values = matrices.astype(np.float32)
        products = np.einsum("...ij,...kj->...ik", values, values)
        skewed = (np.abs(products - np.eye(3, dtype=np.float32)) > _SKEWED).any(axis=(-1, -2))
    if skewed.any():
        frame = int(np.argwhere(np.atleast_1d(skewed))[0][0])
        raise InputError(f"{name}: frame {frame} has a matrix that is no rotation")


def _info(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Read what a generated clip says of itself; nothing if it is not what we write."""
    try:
        info = json.loads(str(arrays["info"][()]))
    except (InputError, KeyError, ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def _skeleton(arrays: Mapping[str, NDArray[Any]]) -> Skeleton:
    rotations = arrays.get("local_rot_mats", arrays.get("global_rot_mats"))
    assert rotations is not None
    if rotations.ndim != 4:
        raise InputError(f"rotations are {rotations.shape}, one clip is (T, J, 3, 3)")
    joints = rotations.shape[1]
    if "joint_names" not in arrays:
        if joints not in _BY_NUM_JOINTS:
            raise InputError(f"{joints} joints and no joint_names: which skeleton is not known")
        return load_skeleton(_BY_NUM_JOINTS[joints])
    told = np.atleast_1d(arrays["joint_names"])
    if told.dtype.kind not in "US" or told.shape != (joints,):
        raise InputError(f"joint_names is {told.dtype} {told.shape}, it must be {joints} texts")
    names = tuple(one_line(name) for name in told)
    found = skeleton_with_names(names)
    if "parents" in arrays and "rest_positions" in arrays:
        parents, rest = arrays["parents"], arrays["rest_positions"]
        if parents.dtype.kind not in "iu" or parents.shape != (joints,):
            raise InputError(f"parents is {parents.dtype} {parents.shape}, it must be ({joints},)")
        if rest.dtype.kind not in "fiu" or rest.shape != (joints, 3):
            raise InputError(f"rest_positions is {rest.dtype} {rest.shape}, not ({joints}, 3)")
        custom = Skeleton.from_dict(
            {
                "name": "custom",
                "joint_names": names,
                "parents": parents.tolist(),
                "rest_positions": rest,
                **joint_groups(names),
            }
        )
        known = [load_skeleton(name) for name in SKELETON_NAMES]
        same = [s for s in known if s == replace(custom, name=s.name)]
        return same[0] if same else custom
    if found is not None:
        return found
    raise InputError(f"no skeleton has its {len(names)} joint names, and it has no rest_positions")


def _number(value: NDArray[Any]) -> float:
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise InputError(f"fps is {value.dtype} {value.shape}, it must be one number")
    return float(value.reshape(()))
