"""Features of motions that are an upright root and a body relative to it, frame by frame.

What Kimodo's and ARDY's networks read and write; a family says which root it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.rotation import Floats, matrix_to_rot6d, rotation_about_y
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

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


class UprightFeatures(ABC):
    """Features of one skeleton at one frame rate: widths, slices, encoding, changes of place.

    A frame has the root's path (3, y is its height), global_root_heading (cosine, sine),
    local_joints_positions (3 a joint, relative to the path's x and z), global_rot_data (6·J, world
    rotations), velocities (3·J, metres a second) and foot_contacts (4). All arrays are float32;
    leading axes are free unless a method says otherwise.
    """

    root_block = "root_pos"
    """What the root's path is called."""
    first_joint = 0
    """The first joint that has a position feature."""

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float = 30.0,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
    ) -> None:
        """Take the statistics of all features, the root's five first, if there are any."""
        self.skeleton = skeleton
        self.fps = float(fps)
        joints = skeleton.num_joints
        widths = {
            self.root_block: 3,
            "global_root_heading": 2,
            "local_joints_positions": 3 * (joints - self.first_joint),
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

    @abstractmethod
    def root_path(self, root_positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the path (B, T, 3) that stands for the root joint's (B, T, 3)."""

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
        frames of each (all, if None). Frames beyond a length are filled but mean nothing; a path
        that is smoothed sees them all the same, so pad with the last position or not at all.
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
        path = self.root_path(root)
        heading = hip_heading(joints, self.skeleton)
        positions = (joints - horizontal(path)[..., None, :])[..., self.first_joint :, :]
        velocities = frame_differences(joints, lengths) * np.float32(self.fps)
        features: NDArray[np.float32] = np.concatenate(
            [
                path,
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

    def rotate(self, features: ArrayLike, angle_rad: ArrayLike) -> NDArray[np.float32]:
        """Turn unnormalised motions (..., T, D) about +y; angle_rad broadcasts against (...)."""
        values = self._features(features).copy()
        angle = np.asarray(angle_rad, np.float32)[..., None]  # one for all frames of a clip
        turn = rotation_about_y(np.broadcast_to(angle, values.shape[:-1]))
        for name in (self.root_block, "local_joints_positions", "velocities"):
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
        """Move unnormalised motions (..., T, D) by (..., 2) metres: only the root moves."""
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


def horizontal(positions: Floats) -> Floats:
    """Take x and z of positions (..., 3), the height zero."""
    result = positions.copy()
    result[..., 1] = 0
    return result


def _flat(values: Floats, axes: int) -> Floats:
    return values.reshape(*values.shape[:-axes], -1)


def _turned(turn: Floats, vectors: Floats) -> Floats:
    result: Floats = vectors @ np.swapaxes(turn, -1, -2)
    return result


def columns_of(start: int, joints: Sequence[int], width: int) -> NDArray[np.int64]:
    """Return the columns of joints in a block that begins at start, width a joint."""
    first = start + width * np.asarray(joints, np.int64)
    result: NDArray[np.int64] = (first[:, None] + np.arange(width)).ravel()
    return result
