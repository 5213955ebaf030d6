"""Headings: where a body faces, in radians about +y.

0 faces +z, pi/2 faces +x; turning the body by an angle about +y adds that angle.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import Floats
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

_F = TypeVar("_F", bound=np.floating[Any])


def checked_headings(given: object) -> NDArray[np.float32]:
    """Return headings in radians, one or an array of them; InputError for what is none."""
    try:
        with np.errstate(over="ignore"):  # what is not finite is refused below
            heading = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"first heading {given!r}: must be a number, or one a motion") from None
    if not np.isfinite(heading).all():
        raise InputError(f"first heading {given}: must be finite")
    return heading


def heading_across(left_to_right: NDArray[_F]) -> NDArray[_F]:
    """Find the headings (...) of bodies from vectors (..., 3) from their left to their right.

    Heights do not count, nor do lengths; a vector without a horizontal part gives 0.
    """
    # 0 - x and not -x: zero must not become -0, which is a half turn to arctan2.
    heading: NDArray[_F] = np.arctan2(left_to_right[..., 2], 0 - left_to_right[..., 0])
    return heading


def forward_vectors(heading_rad: NDArray[_F]) -> NDArray[_F]:
    """Make the horizontal unit vectors (..., 3) that headings (...) face."""
    sine = np.sin(heading_rad)
    vectors: NDArray[_F] = np.stack([sine, np.zeros_like(sine), np.cos(heading_rad)], axis=-1)
    return vectors


def hip_heading(posed_joints: ArrayLike, skeleton: Skeleton) -> Floats:
    """Find the headings (...) of posed joints (..., J, 3) by the line between the hips.

    InputError if the skeleton does not say which joints are its hips.
    """
    if len(skeleton.hip_joints) != 2:
        raise InputError(f"skeleton {skeleton.name} does not say which joints are its hips")
    joints = np.asarray(posed_joints)
    right, left = skeleton.hip_joints
    return heading_across(joints[..., right, :] - joints[..., left, :])
