"""Coordinates of other programs: another axis up, another hand, other units.

Here y is up, a body at rest faces +z, its left is +x, and lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import Floats
from motionrt.runtime.errors import InputError

AXES = ("+x", "-x", "+y", "-y", "+z", "-z")


@dataclass(frozen=True)
class Frame:
    """A frame of coordinates; InputError if up and forward lie along one axis."""

    up: str = "+y"
    forward: str = "+z"
    """Where a body faces that faces +z here."""
    left_handed: bool = False
    units_per_metre: float = 1.0

    def __post_init__(self) -> None:
        for name, axis in (("up", self.up), ("forward", self.forward)):
            if axis not in AXES:
                raise InputError(f"{name} is {axis!r}; there are {', '.join(AXES)}")
        if self.up[1] == self.forward[1]:
            raise InputError(f"up is {self.up} and forward {self.forward}: they must be square")
        if not (np.isfinite(self.units_per_metre) and self.units_per_metre > 0):
            raise InputError(f"units per metre are {self.units_per_metre}, they must be above zero")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """What brings directions of ours into the frame, (3, 3); a mirror if it is left-handed.

        Its columns are where our x (a body's left), y (up) and z (forward) point.
        """
        up, forward = _axis(self.up), _axis(self.forward)
        left = np.cross(up, forward) * (-1 if self.left_handed else 1)
        return np.stack([left, up, forward], axis=1)

    def positions(self, positions: ArrayLike) -> Floats:
        """Bring positions (..., 3) in our metres into the frame's coordinates and units."""
        values = np.asarray(positions)
        matrix = (self.matrix * self.units_per_metre).astype(values.dtype, copy=False)
        result: Floats = values @ matrix.T
        return result

    def rotations(self, rotations: ArrayLike) -> Floats:
        """Bring rotation matrices (..., 3, 3) into the frame; they stay rotations in any hand.

        A joint's own axes are renamed with those of the world, as they are in a skeleton whose rest
        pose was brought over by `positions`.
        """
        values = np.asarray(rotations)
        matrix = self.matrix.astype(values.dtype, copy=False)
        result: Floats = matrix @ values @ matrix.T
        return result


def in_frame(motion: Motion, frame: Frame) -> Motion:
    """Express a motion and its skeleton in a frame, for writers: what measures motions needs ours.

    Its skeleton's rules about poses and heights do not hold there and are left away.
    """
    skeleton = replace(
        motion.skeleton,
        rest_positions=frame.positions(motion.skeleton.rest_positions),
        t_pose_bones=None,
        has_bvh_rig=False,
        expands_to=None,
        reduces_to=None,
    )
    return Motion(
        fps=motion.fps,
        skeleton=skeleton,
        local_rot_mats=frame.rotations(motion.local_rot_mats),
        root_positions=frame.positions(motion.root_positions),
        posed_joints=frame.positions(motion.posed_joints),
        global_rot_mats=frame.rotations(motion.global_rot_mats),
        foot_contacts=motion.foot_contacts,
        info=dict(motion.info),
    )


def _axis(name: str) -> NDArray[np.float64]:
    axis = np.zeros(3)
    axis["xyz".index(name[1])] = -1 if name[0] == "-" else 1
    return axis
