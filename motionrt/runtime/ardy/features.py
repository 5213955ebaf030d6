"""ARDY's motion features: what its networks read and write, and the way from and to motions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import rot6d_to_matrix
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.upright_features import (
    NUM_ROOT_FEATURES,
    STD_EPSILON,
    UprightFeatures,
    horizontal,
)
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]
NUM_LOCAL_ROOT_FEATURES = 4


def standard_scale(std: Floats) -> Floats:
    """Return what normalising divides by: the deviation with a floor under it."""
    scale: Floats = np.sqrt(std**2 + np.float32(STD_EPSILON))
    return scale


class ArdyFeatures(UprightFeatures):
    """`UprightFeatures` of the root joint itself, 12·J + 6 a frame; it has no position beside."""

    first_joint = 1

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        local_root: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        """Take the statistics of all features and of the local root, as mean and deviation."""
        super().__init__(skeleton, fps, mean, std)
        self._local_root: tuple[Floats, Floats] | None = None
        if local_root is not None:
            local_mean, local_std = (np.asarray(part).astype(np.float32) for part in local_root)
            if {local_mean.shape, local_std.shape} != {(NUM_LOCAL_ROOT_FEATURES,)}:
                raise InputError(f"the local root has {NUM_LOCAL_ROOT_FEATURES} statistics")
            self._local_root = (local_mean, standard_scale(local_std))

    @classmethod
    def from_tables(
        cls, skeleton: Skeleton, fps: float, tables: Mapping[str, ArrayLike]
    ) -> ArdyFeatures:
        """Make features of a bundle's tables."""
        local = (tables["local_root_mean"], tables["local_root_std"])
        return cls(skeleton, fps, tables["mean"], tables["std"], local)

    def root_path(self, root_positions: Floats) -> Floats:
        """Return the root's path as it is."""
        return root_positions

    def decode(
        self, features: ArrayLike, joints_from_positions: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Turn unnormalised features (..., T, D) into the arrays of a motion.

        The keys are those of `body.motion.ARRAY_NAMES`. posed_joints come from forward kinematics,
        or with joints_from_positions from the position features (the root joint's height is then
        0: it has none).
        """
        values = self._features(features)
        joints = self.skeleton.num_joints
        leading = values.shape[:-1]
        root = self._block(values, self.root_block).copy()
        rot6d = self._block(values, "global_rot_data").reshape(*leading, joints, 6)
        rotations = rot6d_to_matrix(rot6d)
        local = self.skeleton.global_to_local(rotations)
        posed, _ = self.skeleton.forward_kinematics(local, root)
        if joints_from_positions:
            block = self._block(values, "local_joints_positions")
            ground = horizontal(root)[..., None, :]
            others = block.reshape(*leading, joints - 1, 3) + ground
            posed = np.concatenate([ground, others], axis=-2)
        return {
            "local_rot_mats": local,
            "global_rot_mats": rotations,
            "posed_joints": posed,
            "root_positions": root,
            "smooth_root_pos": root.copy(),
            "foot_contacts": self._block(values, "foot_contacts") > 0.5,
            "global_root_heading": self._block(values, "global_root_heading").copy(),
        }

    # The root of normalised features

    def normalize_root(self, root: ArrayLike) -> Floats:
        """Shift and scale roots (..., 5) to what the network sees."""
        mean, scale = self._statistics()
        first = slice(NUM_ROOT_FEATURES)
        result: Floats = (np.asarray(root, np.float32) - mean[first]) / scale[first]
        return result

    def unnormalize_root(self, root: ArrayLike) -> Floats:
        """Undo `normalize_root`."""
        mean, scale = self._statistics()
        first = slice(NUM_ROOT_FEATURES)
        result: Floats = np.asarray(root, np.float32) * scale[first] + mean[first]
        return result

    def normalized_local_root(self, root: ArrayLike, lengths: ArrayLike | None = None) -> Floats:
        """Turn normalised roots (B, T, 5) into normalised local roots (B, T, 4)."""
        if self._local_root is None:
            raise InputError("these features were made without statistics of the local root")
        mean, scale = self._local_root
        local: Floats = (self.local_root(self.unnormalize_root(root), lengths) - mean) / scale
        return local

    def recentred(self, root: ArrayLike, frames: ArrayLike) -> tuple[Floats, Floats]:
        """Move normalised roots (B, T, 5) so that each one's given frame is over the origin.

        frames is (B,), or one number for all. Returns them and where that was, (B, 3) with height
        0, metres.
        """
        values = self.unnormalize_root(root)
        rows = np.arange(len(values))
        centre = np.zeros((len(values), 3), np.float32)
        centre[:, ::2] = values[rows, np.broadcast_to(frames, rows.shape), 0:3:2]
        values[..., 0:3:2] -= centre[:, None, ::2]
        return self.normalize_root(values), centre

    def translated(self, root: ArrayLike, offset: ArrayLike) -> Floats:
        """Move normalised roots (B, T, 5) by (B, 3) metres, of which the height must be 0."""
        moved = np.asarray(offset, np.float32)
        if np.any(moved[..., 1]):
            raise InputError("a root is moved along the ground only: the offset's height must be 0")
        values = self.unnormalize_root(root)
        values[..., 0:3:2] += moved[:, None, ::2]
        return self.normalize_root(values)

    def headings(self, root: ArrayLike) -> Floats:
        """Return the headings in radians of normalised roots (..., 5), or of whole features."""
        values = self.unnormalize_root(np.asarray(root)[..., :NUM_ROOT_FEATURES])
        angle: Floats = np.arctan2(values[..., 4], values[..., 3])
        return angle
