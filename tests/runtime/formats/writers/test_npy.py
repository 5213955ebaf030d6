from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from motionrt.runtime.body.motion import Motion


def test_positions_of_any_skeleton_are_a_batch_of_one(
    wandering: Callable[..., Motion], tmp_path: Path
) -> None:
    motion = wandering("g1", frames=5)
    motion.save(tmp_path / "a.npy")
    stored = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert stored.dtype == np.float32 and stored.shape == (1, 5, motion.skeleton.num_joints, 3)
    np.testing.assert_array_equal(stored[0], motion.posed_joints)
