"""Write joint positions as .npy, as MotionGPT3's own tools do."""

from __future__ import annotations

import os

import numpy as np

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.files import atomic_file


def write_npy(motion: Motion, path: str | os.PathLike[str]) -> None:
    """Write the positions (1, T, J, 3) in metres, float32; the first axis is a batch of one."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(motion.posed_joints[None], np.float32))
