"""A small walk on the CMU skeleton, and a wave on any skeleton."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton


@pytest.fixture
def walk() -> Motion:
    """Sixty frames: legs swing, arms hang, the root moves 2 m along +z."""
    skeleton = load_skeleton("cmu22")
    frames = 60
    phase = np.linspace(0, 4 * np.pi, frames)
    turns = np.zeros((frames, skeleton.num_joints, 3), np.float32)
    for name, sign in (("LeftUpLeg", 1), ("RightUpLeg", -1)):
        turns[:, skeleton.index(name), 0] = 0.5 * sign * np.sin(phase)
    turns[:, skeleton.index("LeftArm"), 2] = -1.3
    turns[:, skeleton.index("RightArm"), 2] = 1.3
    root = np.zeros((frames, 3), np.float32)
    root[:, 1] = -skeleton.rest_positions[:, 1].min() + skeleton.rest_positions[0, 1]
    root[:, 2] = np.linspace(0, 2, frames)
    contacts = np.stack([np.sin(phase) > 0] * 2 + [np.sin(phase) <= 0] * 2, axis=-1)
    info = {"prompt": "a person walks forward", "seed": 7}
    rotations = axis_angle_to_matrix(turns)
    return Motion.from_local(rotations, root, skeleton, 30.0, foot_contacts=contacts, info=info)


@pytest.fixture
def wave() -> Callable[[str], Motion]:
    """Return a function that moves all joints of a named skeleton a little for 20 frames."""

    def make(skeleton_name: str) -> Motion:
        skeleton = load_skeleton(skeleton_name)
        generator = np.random.default_rng(0)
        axes = generator.normal(size=(1, skeleton.num_joints, 3)) * 0.15
        turns = (axes * np.sin(np.linspace(0, 6, 20))[:, None, None]).astype(np.float32)
        root = np.zeros((20, 3), np.float32)
        root[:, 1] = skeleton.rest_positions[0, 1] - skeleton.rest_positions[:, 1].min()
        return Motion.from_local(axis_angle_to_matrix(turns), root, skeleton, 30.0)

    return make
