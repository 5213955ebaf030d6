from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton


@pytest.fixture(scope="session")
def wandering() -> Callable[..., Motion]:
    """Make a motion whose joints turn at random, smoothly and through every angle."""

    def make(skeleton: str, frames: int = 24, seed: int = 0, fps: float = 30) -> Motion:
        rng = np.random.default_rng(seed)
        found = load_skeleton(skeleton)
        turns = axis_angle_to_matrix(rng.normal(size=(frames, found.num_joints, 3)) * 0.2)
        local = turns.copy()
        for frame in range(1, frames):
            local[frame] = local[frame - 1] @ turns[frame]
        root = np.cumsum(rng.normal(size=(frames, 3)) * 0.03, axis=0)
        root[:, 1] += 0.95
        contacts = rng.uniform(size=(frames, 4)) > 0.5
        return Motion.from_local(local, root, found, fps, foot_contacts=contacts)

    return make
