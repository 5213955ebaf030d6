"""Read a SMPL, SMPL-H or SMPL-X motion from AMASS .npz: the 22 body joints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.arrays import read_arrays, real_numbers
from motionrt.runtime.formats.writers.amass import Y_UP_TO_Z_UP

_NUM_BODY_VALUES = 63
_RATES = ("mocap_frame_rate", "mocap_framerate", "fps")


def read_amass(
    path: str | os.PathLike[str], *, z_up: bool = True, fps: float | None = None
) -> Motion:
    """Read AMASS .npz onto smplx22; see `motion_from_amass`."""
    arrays = read_arrays(path)
    if not is_amass(arrays):
        raise InputError(f"{path}: not AMASS, it needs trans and poses (or pose_body)")
    return motion_from_amass(arrays, str(path), z_up=z_up, fps=fps)


def is_amass(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether the arrays of an .npz look like AMASS."""
    return "trans" in arrays and ("poses" in arrays or "pose_body" in arrays)


def motion_from_amass(
    arrays: Mapping[str, NDArray[Any]], where: str, *, z_up: bool = True, fps: float | None = None
) -> Motion:
    """Turn AMASS arrays into a motion on smplx22.

    z_up says how the file's world lies (AMASS's own is z up); fps is for files that do not say.
    Body shape, fingers, jaw and eyes are dropped: bones are those of smplx22. Only what is needed
    is read: SMPL-X files (*_stageii.npz) hold markers besides, and a pickle.
    """
    try:
        trans = real_numbers(arrays, "trans")
        if "poses" not in arrays and "root_orient" not in arrays:
            raise InputError("pose_body without root_orient")
        if "pose_body" in arrays and "root_orient" in arrays:
            parts = [real_numbers(arrays, name) for name in ("root_orient", "pose_body")]
            poses = np.concatenate(parts, axis=-1)
        else:
            poses = real_numbers(arrays, "poses")
            if poses.ndim == 3 and poses.shape[2] == 3:
                poses = poses.reshape(len(poses), -1)
        if trans.ndim != 2 or trans.shape[1] != 3 or poses.ndim != 2 or len(poses) != len(trans):
            raise InputError(f"trans is {trans.shape}, poses {poses.shape}; one clip is (T, ...)")
        if poses.shape[1] < 3 + _NUM_BODY_VALUES:
            raise InputError(f"poses have {poses.shape[1]} columns, a body needs 66")
        if fps is None:
            rates = [real_numbers(arrays, name) for name in _RATES if name in arrays]
            if not rates or rates[0].size != 1:
                raise InputError("it does not say its frame rate; give fps")
            fps = float(rates[0].reshape(()))
        skeleton = load_skeleton("smplx22")
        local = axis_angle_to_matrix(poses[:, :66].reshape(len(poses), 22, 3))
        root = trans + skeleton.rest_positions[0]
        if z_up:
            local[:, 0] = Y_UP_TO_Z_UP.T @ local[:, 0]
            root = root @ Y_UP_TO_Z_UP
        return Motion.from_local(local, root, skeleton, fps)
    except InputError as error:
        if where in str(error):
            raise
        raise InputError(f"{where}: {error}") from error
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"{where}: AMASS arrays that do not fit together ({error})") from error
