"""Write a SMPL-X motion as AMASS .npz."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import matrix_to_axis_angle
from motionrt.runtime.body.skeleton import skeleton_asset
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file

Y_UP_TO_Z_UP = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32)
"""From y up, +z forward to AMASS's z up, +y forward."""


def write_amass(motion: Motion, path: str | os.PathLike[str], *, z_up: bool = True) -> None:
    """Write AMASS .npz; see `amass_arrays`."""
    arrays: dict[str, Any] = dict(amass_arrays(motion, z_up=z_up))
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def amass_arrays(motion: Motion, *, z_up: bool = True) -> dict[str, NDArray[Any]]:
    """Make the arrays of an AMASS file for SMPL-X; InputError for another skeleton.

    With z_up the world is AMASS's (z up, +y forward), without it stays y up, +z forward. Hands
    are the mean hands, jaw and eyes are zero, the body is the one Kimodo was trained on.
    """
    if "amass" not in motion.skeleton.extra_formats:
        raise InputError(f"AMASS files hold SMPL-X bodies, the motion is on {motion.skeleton.name}")
    asset = skeleton_asset(motion.skeleton.name)
    frames = motion.num_frames
    root_rotations, root = motion.global_rot_mats[:, 0], motion.root_positions
    if z_up:
        root_rotations, root = Y_UP_TO_Z_UP @ root_rotations, root @ Y_UP_TO_Z_UP.T
    hands = np.asarray(asset["mean_hands"], np.float64)
    return {
        "trans": (root - motion.skeleton.rest_positions[0]).astype(np.float32),
        "root_orient": matrix_to_axis_angle(root_rotations).astype(np.float32),
        "pose_body": matrix_to_axis_angle(motion.local_rot_mats[:, 1:])
        .astype(np.float32)
        .reshape(frames, 63),
        "gender": np.array("neutral"),
        "surface_model_type": np.array("smplx"),
        "betas": np.asarray(asset["betas"], np.float32),
        "num_betas": np.array(len(asset["betas"])),
        "mocap_frame_rate": np.array(motion.fps),
        "pose_jaw": np.zeros((frames, 3)),
        "pose_eye": np.zeros((frames, 6)),
        "pose_hand": np.tile(hands, (frames, 1)),
        "mocap_time_length": np.array(frames / motion.fps),
    }
