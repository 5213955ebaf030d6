"""Kimodo's motion features: what its network reads and writes, and the way from and to motions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.rotation import (
    Floats,
    matrix_to_rot6d,
    rot6d_to_matrix,
    rotation_about_y,
)
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.root_smoother import smooth_root

NUM_ROOT_FEATURES = 5
"""Smooth root position (3) and heading (2): the root stage's part; the rest is the body's."""

STD_EPSILON = 1e-5
"""Added to the variance when normalising."""

CONTACT_MAX_SPEED_MPS = 0.15
CONTACT_MAX_HEIGHT_M = 0.10


def frame_differences(values: ArrayLike, lengths: ArrayLike | None = None) -> Floats:
    """Differences to the next frame along axis 1 of (B, T, ...).

    The frame at length - 1 repeats the one before it, as does the last frame if lengths is None;
    frames after it keep their raw differences, and the very last is zero.
    """
    array = np.asarray(values)
    result = np.zeros_like(array)
    frames = array.shape[1]
    if frames < 2:
        return result
    result[:, :-1] = array[:, 1:] - array[:, :-1]
    rows = np.arange(len(array))
    last = np.full(len(array), frames - 1) if lengths is None else np.asarray(lengths) - 1
    rows, last = rows[last > 0], last[last > 0]
    result[rows, last] = result[rows, last - 1]
    return result


class MotionFeatures:
    """Features of one skeleton at one frame rate: widths, slices, encoding, decoding.

    A frame has 12·J + 9 features: smooth_root_pos (3, y is the root joint's height),
    global_root_heading (cosine, sine), local_joints_positions (3·J, relative to the smooth root's x
    and z), global_rot_data (6·J, world rotations), velocities (3·J, metres a second) and
    foot_contacts (4). All arrays are float32; leading axes are free unless a method says otherwise.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float = 30.0,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
    ) -> None:
        """Take the statistics of all 12·J + 9 features, the root's five first, if there are any."""
        self.skeleton = skeleton
        self.fps = float(fps)
        joints = skeleton.num_joints
        widths = {
            "smooth_root_pos": 3,
            "global_root_heading": 2,
            "local_joints_positions": 3 * joints,
            "global_rot_data": 6 * joints,
            "velocities": 3 * joints,
            "foot_contacts": 4,
        }
        self.slices: dict[str, slice] = {}
        start = 0
        for name, width in widths.items():
            self.slices[name] = slice(start, start + width)
            start += width
        self.width = start
        self.mean: NDArray[np.float32] | None = None
        self.std: NDArray[np.float32] | None = None
        if (mean is None) != (std is None):
            raise InputError("features need both mean and std, or neither")
        if mean is not None and std is not None:
            self.mean = np.asarray(mean).astype(np.float32)
            self.std = np.asarray(std).astype(np.float32)
            if self.mean.shape != (self.width,) or self.std.shape != (self.width,):
                raise InputError(
                    f"mean {self.mean.shape} and std {self.std.shape} must be ({self.width},) "
                    f"for skeleton {skeleton.name}"
                )

    def normalize(self, features: ArrayLike) -> NDArray[np.float32]:
        """Shift and scale features to what the network sees; InputError without statistics."""
        mean, scale = self._statistics()
        result: NDArray[np.float32] = (np.asarray(features, np.float32) - mean) / scale
        return result

    def unnormalize(self, features: ArrayLike) -> NDArray[np.float32]:
        """Undo `normalize`; InputError without statistics."""
        mean, scale = self._statistics()
        result: NDArray[np.float32] = np.asarray(features, np.float32) * scale + mean
        return result

    def encode(
        self,
        local_rot_mats: ArrayLike,
        root_positions: ArrayLike,
        lengths: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Turn motions into unnormalised features (T, D), or (B, T, D) for a batch.

        local_rot_mats is ([B,] T, J, 3, 3), root_positions ([B,] T, 3), lengths (B,) the valid
        frames of each (all, if None). Frames beyond a length are filled but mean nothing; as in
        Kimodo the smoother sees them all the same, so pad with the last position or not at all.
        """
        local = np.asarray(local_rot_mats, np.float32)
        root = np.asarray(root_positions, np.float32)
        if local.shape[-3:] != (self.skeleton.num_joints, 3, 3) or local.ndim not in (4, 5):
            raise InputError(
                f"local rotations are {local.shape}, for skeleton {self.skeleton.name} they must "
                f"be ([B,] T, {self.skeleton.num_joints}, 3, 3)"
            )
        if root.shape != (*local.shape[:-3], 3):
            raise InputError(f"root positions are {root.shape}, not {(*local.shape[:-3], 3)}")
        if local.ndim == 4:
            only = None if lengths is None else np.reshape(np.asarray(lengths), (1,))
            one: NDArray[np.float32] = self.encode(local[None], root[None], only)[0]
            return one
        joints, rotations = self.skeleton.forward_kinematics(local, root)
        smooth = smooth_root(root)
        heading = hip_heading(joints, self.skeleton)
        positions = joints - _horizontal(smooth)[..., None, :]
        velocities = frame_differences(joints, lengths) * np.float32(self.fps)
        features: NDArray[np.float32] = np.concatenate(
            [
                smooth,
                np.stack([np.cos(heading), np.sin(heading)], axis=-1),
                _flat(positions, 2),
                _flat(matrix_to_rot6d(rotations), 2),
                _flat(velocities, 2),
                self.foot_contacts(joints, velocities).astype(np.float32),
            ],
            axis=-1,
            dtype=np.float32,
        )
        return features

    def foot_contacts(self, posed_joints: ArrayLike, velocities: ArrayLike) -> NDArray[np.bool_]:
        """Find which of the four foot joints stand: slow and low. Both arguments (..., J, 3)."""
        feet = list(self.skeleton.left_foot_joints[:2] + self.skeleton.right_foot_joints[:2])
        if len(feet) != 4:
            raise InputError(f"skeleton {self.skeleton.name} does not name its ankles and toes")
        speed = np.linalg.norm(np.asarray(velocities)[..., feet, :], axis=-1)
        height = np.asarray(posed_joints)[..., feet, 1]
        result: NDArray[np.bool_] = (speed < CONTACT_MAX_SPEED_MPS) & (
            height < CONTACT_MAX_HEIGHT_M
        )
        return result

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
        root = positions[..., 0, :] + _horizontal(smooth)
        posed, rotations = self.skeleton.forward_kinematics(local, root)
        if joints_from_positions:
            posed = positions + _horizontal(smooth)[..., None, :]
        return {
            "local_rot_mats": local,
            "global_rot_mats": rotations,
            "posed_joints": posed,
            "root_positions": root,
            "smooth_root_pos": smooth.copy(),
            "foot_contacts": self._block(values, "foot_contacts") > 0.5,
            "global_root_heading": self._block(values, "global_root_heading").copy(),
        }

    def rotate(self, features: ArrayLike, angle_rad: ArrayLike) -> NDArray[np.float32]:
        """Turn unnormalised motions (..., T, D) about +y; angle_rad broadcasts against (...)."""
        values = self._features(features).copy()
        angle = np.asarray(angle_rad, np.float32)[..., None]  # one for all frames of a clip
        turn = rotation_about_y(np.broadcast_to(angle, values.shape[:-1]))
        for name in ("smooth_root_pos", "local_joints_positions", "velocities"):
            block = self._block(values, name)
            vectors = block.reshape(*block.shape[:-1], -1, 3)
            block[...] = _turned(turn, vectors).reshape(block.shape)
        block = self._block(values, "global_rot_data")
        vectors = block.reshape(*block.shape[:-1], -1, 3)  # two columns a joint
        block[...] = _turned(turn, vectors).reshape(block.shape)
        cosine, sine = np.cos(angle), np.sin(angle)
        heading = self._block(values, "global_root_heading")
        old_cosine, old_sine = heading[..., 0].copy(), heading[..., 1].copy()
        heading[..., 0] = old_cosine * cosine - old_sine * sine
        heading[..., 1] = old_sine * cosine + old_cosine * sine
        return values

    def translate_2d(self, features: ArrayLike, offset_xz: ArrayLike) -> NDArray[np.float32]:
        """Move unnormalised motions (..., T, D) by (..., 2) metres: only the smooth root moves."""
        values = self._features(features).copy()
        offset = np.asarray(offset_xz, np.float32)[..., None, :]
        values[..., 0] += offset[..., 0]
        values[..., 2] += offset[..., 1]
        return values

    def canonicalize(self, features: ArrayLike) -> NDArray[np.float32]:
        """Turn and move motions (..., T, D) so that frame 0 faces +z over the origin."""
        values = self._features(features)
        heading = self._block(values, "global_root_heading")[..., 0, :]
        values = self.rotate(values, -np.arctan2(heading[..., 1], heading[..., 0]))
        return self.translate_2d(values, -values[..., 0, 0:3:2])

    def local_root(
        self, features: ArrayLike, lengths: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Turn global root features into local ones: (B, T, >=5) gives (B, T, 4).

        Per frame: heading rate (radians a second), x and z velocity (metres a second), height.
        """
        values = np.asarray(features, np.float32)
        cosine, sine = values[..., 3], values[..., 4]
        heading = np.arctan2(sine, cosine)
        last = np.full(len(values), values.shape[1]) if lengths is None else np.asarray(lengths)
        rate = frame_differences(heading, last)
        rate = np.arctan2(np.sin(rate), np.cos(rate))
        velocity = frame_differences(values[..., 0:3:2], last)
        fps = np.float32(self.fps)
        return np.concatenate(
            [(rate * fps)[..., None], velocity * fps, values[..., 1:2]], axis=-1, dtype=np.float32
        )

    def _features(self, features: ArrayLike) -> NDArray[np.float32]:
        values = np.asarray(features, np.float32)
        if values.ndim < 2 or values.shape[-1] != self.width:
            raise InputError(
                f"features are {values.shape}, for skeleton {self.skeleton.name} they must be "
                f"(..., T, {self.width})"
            )
        return values

    def _block(self, values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        return values[..., self.slices[name]]

    def _statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.mean is None or self.std is None:
            raise InputError("these features were made without statistics; give mean and std")
        return self.mean, np.sqrt(self.std**2 + np.float32(STD_EPSILON))


def statistics_from_parts(
    parts: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Join Kimodo's statistics (global_root and body, each mean and std) into (D,) mean and std."""
    mean = [np.asarray(parts[name][0]).astype(np.float32) for name in ("global_root", "body")]
    std = [np.asarray(parts[name][1]).astype(np.float32) for name in ("global_root", "body")]
    return np.concatenate(mean), np.concatenate(std)


def _horizontal(positions: Floats) -> Floats:
    result = positions.copy()
    result[..., 1] = 0
    return result


def _flat(values: Floats, axes: int) -> Floats:
    return values.reshape(*values.shape[:-axes], -1)


def _turned(turn: Floats, vectors: Floats) -> Floats:
    result: Floats = vectors @ np.swapaxes(turn, -1, -2)
    return result
