"""Read a motion from .npy: HumanML3D's features, or positions of its joints."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import FPS, features_to_joints
from motionrt.runtime.humanml.given_motion import checked_array
from motionrt.runtime.humanml.joints import motion_from_joints


def read_npy(path: str | os.PathLike[str], *, fps: float = FPS) -> Motion:
    """Read features (T, 263) in their units, or positions (T, 22, 3); rotations are solved for.

    InputError if it is neither.
    """
    array = read_npy_array(path)
    if array.ndim == 2:
        return motion_from_joints(features_to_joints(array), features=array, fps=fps)
    return motion_from_joints(array, fps=fps)


def read_npy_array(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Return features (T, 263) or positions (T, 22, 3) as the file has them."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: no .npy file ({reason})") from error
    try:
        return checked_array(array)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
