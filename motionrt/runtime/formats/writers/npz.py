"""Write a motion as .npz: Kimodo's arrays, the frame rate and the joint names."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.known_skeletons import skeleton_with_names


def write_npz(motion: Motion, path: str | os.PathLike[str]) -> None:
    """Write the arrays un-batched under Kimodo's names, plus fps and joint_names; uncompressed.

    ``Motion.info`` is added as a JSON text, if there is any. Nothing in it is pickled. Where the
    joint names alone do not say the skeleton, parents and rest_positions are added.
    """
    arrays: dict[str, Any] = dict(motion.to_arrays())
    arrays["fps"] = np.float64(motion.fps)
    arrays["joint_names"] = np.array(motion.skeleton.joint_names, np.str_)
    if motion.info:
        arrays["info"] = np.array(json.dumps(motion.info, default=str), np.str_)
    if skeleton_with_names(motion.skeleton.joint_names) != motion.skeleton:
        arrays["parents"] = motion.skeleton.parents
        arrays["rest_positions"] = motion.skeleton.rest_positions
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
