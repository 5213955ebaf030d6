"""A camera that looks at one point, and where it stands to see a figure from a named side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import rotation_about_y, unit
from motionrt.runtime.errors import InputError

# Degrees that the camera stands away from the figure's front, towards its right side: somebody who
# walks forward then walks towards the viewer ("front") or to the right in the picture.
VIEWS = {"front": 0.0, "three-quarter": 40.0, "side": 90.0}
ELEVATION = 14.0  # degrees above the horizon


@dataclass(frozen=True)
class Camera:
    """A perspective camera that looks at target.

    direction is the unit vector from the target to the eye, distance the metres between them,
    scale the pixels that a metre takes at the target, and centre the target's pixel (x, y).
    """

    target: NDArray[np.float64]
    direction: NDArray[np.float64]
    distance: float
    scale: float
    centre: tuple[float, float]

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn world points (..., 3) into (..., 3): pixel x, pixel y (down) and depth.

        Depth is metres behind the target, seen from the eye; points behind the eye are held in
        front of it, where they land far outside the picture.
        """
        right = unit(np.array([self.direction[2], 0.0, -self.direction[0]]))  # up × direction
        axes = np.stack([right, np.cross(self.direction, right), -self.direction])
        x, y, depth = np.moveaxis((np.asarray(points, np.float64) - self.target) @ axes.T, -1, 0)
        zoom = self.scale * self.distance / np.maximum(self.distance + depth, 0.05 * self.distance)
        return np.stack([self.centre[0] + zoom * x, self.centre[1] - zoom * y, depth], axis=-1)


def view_direction(heading: NDArray[np.float64], view: str) -> NDArray[np.float64]:
    """Return the unit vector from a figure to a camera that sees it from a side named in VIEWS.

    heading is the horizontal unit vector (3,) that the figure faces.
    """
    if view not in VIEWS:
        raise InputError(f"view is {view!r}; choose one of {', '.join(VIEWS)}")
    azimuth, elevation = np.radians(VIEWS[view]), np.radians(ELEVATION)
    flat = rotation_about_y(-azimuth) @ heading
    return np.asarray(np.cos(elevation) * flat + np.sin(elevation) * np.array([0.0, 1.0, 0.0]))
