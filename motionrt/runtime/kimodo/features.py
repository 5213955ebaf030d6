"""Kimodo's motion features: what its network reads and writes, and the way from and to motions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.root_smoother import smooth_root
from motionrt.runtime.body.rotation import rot6d_to_matrix
from motionrt.runtime.body.upright_features import UprightFeatures, horizontal


class MotionFeatures(UprightFeatures):
    """`UprightFeatures` of the smoothed root, 12·J + 9 a frame, the root joint among the body's.

    The path's height is the root joint's.
    """

    root_block = "smooth_root_pos"

    def root_path(self, root_positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Smooth the root's path."""
        return smooth_root(root_positions)

    def decode(
        self, features: ArrayLike, joints_from_positions: bool = False
    ) -> dict[str, NDArray[np.generic]]:
        """Turn unnormalised features (..., T, D) into the arrays of a motion.

        The keys are those of `body.motion.ARRAY_NAMES`. posed_joints come from forward kinematics,
        or with joints_from_positions from the position features.
        """
        values = self._features(features)
        joints = self.skeleton.num_joints
        leading = values.shape[:-1]
        smooth = self._block(values, "smooth_root_pos")
        rot6d = self._block(values, "global_rot_data").reshape(*leading, joints, 6)
        positions = self._block(values, "local_joints_positions").reshape(*leading, joints, 3)
        rotations = rot6d_to_matrix(rot6d)
        local = self.skeleton.global_to_local(rotations)
        root = positions[..., 0, :] + horizontal(smooth)
        posed, rotations = self.skeleton.forward_kinematics(local, root)
        if joints_from_positions:
            posed = positions + horizontal(smooth)[..., None, :]
        return {
            "local_rot_mats": local,
            "global_rot_mats": rotations,
            "posed_joints": posed,
            "root_positions": root,
            "smooth_root_pos": smooth.copy(),
            "foot_contacts": self._block(values, "foot_contacts") > 0.5,
            "global_root_heading": self._block(values, "global_root_heading").copy(),
        }


def statistics_from_parts(
    parts: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Join Kimodo's statistics (global_root and body, each mean and std) into (D,) mean and std."""
    mean = [np.asarray(parts[name][0]).astype(np.float32) for name in ("global_root", "body")]
    std = [np.asarray(parts[name][1]).astype(np.float32) for name in ("global_root", "body")]
    return np.concatenate(mean), np.concatenate(std)
