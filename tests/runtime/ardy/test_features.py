from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.ardy.features import ArdyFeatures
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError


@pytest.mark.parametrize(("name", "width"), [("core27", 330), ("g1", 414), ("soma30", 366)])
def test_a_motion_comes_back(name: str, width: int, wandering: Callable[..., Motion]) -> None:
    motion = wandering(name, fps=20)
    features = ArdyFeatures(load_skeleton(name), 20)
    encoded = features.encode(motion.local_rot_mats, motion.root_positions)
    assert encoded.shape == (motion.num_frames, width)
    decoded = features.decode(encoded)
    np.testing.assert_allclose(decoded["posed_joints"], motion.posed_joints, atol=1e-5)
    np.testing.assert_allclose(decoded["local_rot_mats"], motion.local_rot_mats, atol=1e-5)
    np.testing.assert_array_equal(decoded["smooth_root_pos"], motion.root_positions)
    by_position = features.decode(encoded, joints_from_positions=True)["posed_joints"]
    np.testing.assert_allclose(by_position[:, 1:], motion.posed_joints[:, 1:], atol=1e-5)
    assert not by_position[:, 0, 1].any()  # the root joint has no height of its own there


def test_roots_are_moved_along_the_ground_only(wandering: Callable[..., Motion]) -> None:
    motion = wandering("core27", fps=20)
    plain = ArdyFeatures(load_skeleton("core27"), 20)
    mean, std = np.full(plain.width, 0.2), np.full(plain.width, 0.7)
    features = ArdyFeatures(load_skeleton("core27"), 20, mean, std)
    encoded = features.encode(motion.local_rot_mats, motion.root_positions)
    root = features.normalize(encoded)[None, :, :5]
    moved, centre = features.recentred(root, -1)
    assert features.unnormalize_root(moved)[0, -1, [0, 2]] == pytest.approx([0, 0], abs=1e-6)
    np.testing.assert_allclose(centre[0], motion.root_positions[-1] * [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(features.translated(moved, centre), root, atol=1e-5)
    with pytest.raises(InputError, match="height must be 0"):
        features.translated(root, np.ones((1, 3)))
    headings = features.headings(features.normalize(encoded))
    np.testing.assert_allclose(headings, np.arctan2(encoded[:, 4], encoded[:, 3]), atol=1e-5)


def test_statistics_that_are_missing_or_misshapen_are_named() -> None:
    skeleton = load_skeleton("core27")
    with pytest.raises(InputError, match="the local root has 4 statistics"):
        ArdyFeatures(skeleton, 20, np.zeros(330), np.ones(330), (np.zeros(3), np.ones(3)))
    features = ArdyFeatures(skeleton, 20, np.zeros(330), np.ones(330))
    with pytest.raises(InputError, match="without statistics of the local root"):
        features.normalized_local_root(np.zeros((1, 4, 5)))
