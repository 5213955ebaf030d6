"""What features mean: those of HumanML3D, or MyoSkeleton's joints; one way in, one way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.humanml.given_motion import GivenMotion, features_of
from motionrt.runtime.humanml.joints import blend_from, motion_from_joints
from motionrt.runtime.motiongpt_qwen.myo_motion import joints_of, myo_motion

Floats = NDArray[np.float32]


class Given(ABC):
    """A motion that a model is given."""

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """How long it is."""

    @abstractmethod
    def first_features(self, num_frames: int) -> Floats:
        """Return the features (T, F) of at most so many first frames."""

    @abstractmethod
    def last_features(self, num_frames: int) -> Floats:
        """Return the features (T, F) of at most so many last frames."""

    @abstractmethod
    def carried_on(self, clip: Floats) -> Floats:
        """Return its joints and those of a clip (T, J, 3) behind them."""

    @abstractmethod
    def led_to(self, other: Any, clip: Floats, head: int, tail: int) -> Floats:
        """Return its joints, the middle of a clip, and the other's joints.

        The clip covers the last head frames of this and the first tail frames of the other.
        """


class Representation(ABC):
    """How a family of features becomes motions."""

    @abstractmethod
    def features(self, motion: Motion | ArrayLike) -> Floats:
        """Return the features (T, F) of a motion, in their units; InputError if it has none."""

    @abstractmethod
    def given(self, motion: Motion | ArrayLike) -> Given:
        """Take a motion that the model is given."""

    @abstractmethod
    def motion(
        self, joints: Floats, features: Floats | None, skeleton: Skeleton, info: Mapping[str, Any]
    ) -> Motion:
        """Make a motion of joints (T, J, 3), and of features (T, F) if they are known."""


@dataclass(frozen=True)
class _HumanGiven(Given):
    motion: GivenMotion

    @property
    def num_frames(self) -> int:
        return len(self.motion.joints) - 1

    def first_features(self, num_frames: int) -> Floats:
        return self.motion.first_features(num_frames)

    def last_features(self, num_frames: int) -> Floats:
        return self.motion.last_features(num_frames)

    def carried_on(self, clip: Floats) -> Floats:
        return self.motion.carried_on(clip)

    def led_to(self, other: _HumanGiven, clip: Floats, head: int, tail: int) -> Floats:
        return self.motion.led_to(other.motion, clip, head, tail)


class HumanMl3d(Representation):
    """263 numbers a frame, 22 joints."""

    def features(self, motion: Motion | ArrayLike) -> Floats:
        """Return the features (T, 263)."""
        return features_of(motion)

    def given(self, motion: Motion | ArrayLike) -> Given:
        """Take a Motion, features or joints."""
        return _HumanGiven(GivenMotion.of(motion))

    def motion(
        self, joints: Floats, features: Floats | None, skeleton: Skeleton, info: Mapping[str, Any]
    ) -> Motion:
        """Solve for rotations, as MotionGPT3's motions have them."""
        return motion_from_joints(joints, skeleton, features, info=info)


@dataclass(frozen=True)
class _MyoGiven(Given):
    joints: Floats
    """(T, J, 3) relative to the pelvis."""

    @property
    def num_frames(self) -> int:
        return len(self.joints)

    def first_features(self, num_frames: int) -> Floats:
        return self._flat(self.joints[:num_frames])

    def last_features(self, num_frames: int) -> Floats:
        return self._flat(self.joints[-num_frames:])

    def carried_on(self, clip: Floats) -> Floats:
        return np.concatenate((self.joints, blend_from(clip, self.joints)))

    def led_to(self, other: _MyoGiven, clip: Floats, head: int, tail: int) -> Floats:
        middle = blend_from(clip[head : len(clip) - tail], self.joints)
        # The same from behind: the sequence reversed carries on from the reversed end.
        middle = blend_from(middle[::-1], other.joints[::-1])[::-1]
        return np.concatenate((self.joints, middle, other.joints))

    @staticmethod
    def _flat(joints: Floats) -> Floats:
        return joints.reshape(len(joints), -1)


@dataclass(frozen=True)
class MyoSkeleton(Representation):
    """Joint positions relative to the pelvis, three numbers a joint."""

    skeleton: Skeleton

    def features(self, motion: Motion | ArrayLike) -> Floats:
        """Return the positions (T, J * 3)."""
        joints = joints_of(motion, self.skeleton)
        return joints.reshape(len(joints), -1)

    def given(self, motion: Motion | ArrayLike) -> Given:
        """Take a Motion of the skeleton, or its joints."""
        return _MyoGiven(joints_of(motion, self.skeleton))

    def motion(
        self, joints: Floats, features: Floats | None, skeleton: Skeleton, info: Mapping[str, Any]
    ) -> Motion:
        """Fit rotations to the tree of joints."""
        return myo_motion(joints, skeleton, info)


def representation_of(name: str, skeleton: Skeleton) -> Representation:
    """Return the representation that a bundle names."""
    return HumanMl3d() if name == "humanml3d" else MyoSkeleton(skeleton)
