"""Motions that a model is given: as features, and as joints that generated ones are joined to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import LARGEST_NUMBER
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import (
    NUM_FEATURES,
    NUM_JOINTS,
    Placement,
    canonical_joints,
    features_to_joints,
    joints_to_features,
)
from motionrt.runtime.humanml.joints import join, join_between, joints_of_motion

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GivenMotion:
    """A motion at the origin, in the reference skeleton's size, and where it stood."""

    joints: Floats
    """(T, 22, 3) at 20 frames a second."""
    placement: Placement

    @staticmethod
    def of(motion: Motion | ArrayLike) -> GivenMotion:
        """Take a Motion, features (T, 263) or joints (T, 22, 3); else InputError."""
        if isinstance(motion, Motion):
            return GivenMotion(*canonical_joints(joints_of_motion(motion)))
        array = checked_array(motion)
        joints = features_to_joints(array) if array.ndim == 2 else array
        return GivenMotion(*canonical_joints(joints))

    def first_features(self, num_frames: int) -> Floats:
        """Return the features of at most so many first frames."""
        return joints_to_features(self.joints[: num_frames + 1])[0]

    def last_features(self, num_frames: int) -> Floats:
        """Return the features of at most so many last frames, facing +z in the first of them."""
        return joints_to_features(self.joints[-num_frames - 1 :])[0]

    def carried_on(self, clip: ArrayLike) -> Floats:
        """Return this motion and a clip (T, 22, 3) behind it, where this motion stood."""
        return self.placement.restore(join(self.joints, clip))

    def led_to(self, other: GivenMotion, clip: ArrayLike, head: int, tail: int) -> Floats:
        """Return this motion, the middle of a clip (T, 22, 3), and the other motion.

        The clip covers the last head frames of this and the first tail frames of the other.
        """
        middle, last = join_between(self.joints, clip, other.joints, head, tail)
        return self.placement.restore(np.concatenate((self.joints, middle, last)))


def features_of(motion: Motion | ArrayLike) -> Floats:
    """Return features (T, 263) of a Motion, of joints (T, 22, 3) at 20 fps, or features as given.

    InputError if it is none of them.
    """
    if isinstance(motion, Motion):
        return joints_to_features(joints_of_motion(motion))[0]
    array = checked_array(motion)
    return array if array.ndim == 2 else joints_to_features(array)[0]


def checked_array(motion: ArrayLike) -> Floats:
    """Return features (T, 263) or joints (T, 22, 3), a batch of one unpacked; else InputError."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            array = np.asarray(motion, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"motion: no numbers ({error})") from error
    if array.ndim == 4 and len(array) == 1:
        array = array[0]  # as upstream saves joints
    if array.shape[1:] not in ((NUM_FEATURES,), (NUM_JOINTS, 3)) or not len(array):
        raise InputError(
            f"motion is {array.shape}, should be features (frames, {NUM_FEATURES}) "
            f"or joints (frames, {NUM_JOINTS}, 3)"
        )
    if not np.abs(array).max() <= LARGEST_NUMBER:  # also if one is none
        finite = np.isfinite(array).all()
        told = f"a number is beyond {LARGEST_NUMBER:g}" if finite else "not all numbers are finite"
        raise InputError(f"motion: {told}")
    return array
