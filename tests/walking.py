"""A walk to test with, as positions of HumanML3D's joints."""

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import load_skeleton


def walking(frames: int = 50, turn: float = 0.02) -> NDArray[np.float64]:
    """Swing the limbs of the rest pose while it walks a curve."""
    rest = load_skeleton("humanml22").rest_positions.astype(np.float64)
    joints = np.repeat(rest[None] + [0, 1, 0], frames, axis=0)
    time = np.arange(frames)
    for limb, sign in (((4, 7, 10, 19, 21), 1), ((5, 8, 11, 18, 20), -1)):
        for depth, joint in enumerate(limb, start=1):
            joints[:, joint, 2] += sign * 0.05 * depth * np.sin(0.3 * time)
    angle = turn * time
    sin, cos = np.sin(angle), np.cos(angle)
    rotation = np.zeros((frames, 3, 3))
    rotation[:, 0, 0], rotation[:, 0, 2] = cos, sin
    rotation[:, 2, 0], rotation[:, 2, 2] = -sin, cos
    rotation[:, 1, 1] = 1
    joints = np.einsum("tij,tnj->tni", rotation, joints)
    path = np.cumsum(np.stack((0.04 * sin, 0 * sin, 0.04 * cos), axis=-1), axis=0)
    return np.asarray(joints + path[:, None], np.float64)
