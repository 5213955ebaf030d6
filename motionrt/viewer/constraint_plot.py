"""A picture of constraints: the ground from above, and the poses that are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from motionrt.runtime.body.heading import forward_vectors, hip_heading
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.constraints.kinds import Constraint, Root2D
from motionrt.runtime.files import atomic_file
from motionrt.viewer.camera import Camera, view_direction
from motionrt.viewer.canvas import HAIRLINE, INK, MUTED, PANEL, WHITE, Canvas, Colour
from motionrt.viewer.figure import make_figure

COLOURS: dict[str, Colour] = {
    "root2d": (55, 68, 88),
    "fullbody": (22, 140, 110),
    "left-hand": (238, 108, 52),
    "left-foot": (214, 158, 24),
    "right-hand": (41, 112, 214),
    "right-foot": (122, 86, 204),
    "end-effector": (200, 62, 120),
}
HELD: Colour = (214, 40, 57)
MARGIN = 28.0
MAP = 420.0
"""Width and height of the ground, pixels."""
POSE_WIDTH = 150.0
POSES_IN_ROW = 6
MAX_POSES = 24
_ROW = 250.0
_ARROW = 22.0


@dataclass(frozen=True)
class _Pose:
    frame: int
    type: str
    joints: NDArray[np.float64]
    held: tuple[int, ...]
    heading: float


def plot_constraints(
    path: str | os.PathLike[str], constraints: Sequence[Constraint], skeleton: Skeleton
) -> None:
    """Draw constraints and write the picture as PNG; they must fit the skeleton."""
    image = draw_constraints(constraints, skeleton)
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def draw_constraints(constraints: Sequence[Constraint], skeleton: Skeleton) -> Image.Image:
    """Draw the ground from above (x to the left of the body that faces up, +z up) and the poses.

    Held joints are red; of more than 24 poses only those are drawn that are evenly spread.
    """
    poses = _poses(constraints, skeleton)
    dropped = max(0, len(poses) - MAX_POSES)
    if dropped:
        chosen = np.linspace(0, len(poses) - 1, MAX_POSES).round().astype(int)
        poses = [poses[i] for i in chosen]
    rows = -(-len(poses) // POSES_IN_ROW)
    width = MARGIN * 2 + MAP + (MARGIN + min(len(poses), POSES_IN_ROW) * POSE_WIDTH if rows else 0)
    height = MARGIN * 2 + 30 + max(MAP, rows * _ROW)
    canvas = Canvas(round(width), round(height))
    count = sum(len(item.frame_indices) for item in constraints)
    title = f"{len(constraints)} constraints on {count} frames, {skeleton.name}"
    if dropped:
        title += f"; {dropped} poses are not drawn"
    canvas.text(MARGIN, MARGIN + 8, title, 17, INK)
    _draw_ground(canvas, constraints, skeleton)
    figure = make_figure(skeleton)
    for number, pose in enumerate(poses):
        row, column = divmod(number, POSES_IN_ROW)
        x = MARGIN * 2 + MAP + (column + 0.5) * POSE_WIDTH
        y = MARGIN + 30 + row * _ROW
        forward = forward_vectors(np.array(pose.heading))
        camera = Camera(
            pose.joints[0] * (1, 0, 1),
            view_direction(forward, "three-quarter"),
            6 * figure.height,
            (_ROW - 70) / (1.15 * figure.height),
            (x, y + _ROW - 50),
        )
        figure.draw(canvas, camera, pose.joints)
        for px, py, _ in camera.project(pose.joints[list(pose.held)]):
            canvas.circle(px, py, 4, HELD, WHITE)
        colour = COLOURS[pose.type]
        canvas.text(x, y + _ROW - 24, f"frame {pose.frame}", 14, INK, "ms")
        canvas.text(x, y + _ROW - 8, pose.type, 13, colour, "ms")
    return canvas.finish()


def _poses(constraints: Sequence[Constraint], skeleton: Skeleton) -> list[_Pose]:
    poses = []
    for constraint in constraints:
        if isinstance(constraint, Root2D):
            continue
        positions, _ = skeleton.forward_kinematics(
            constraint.local_rot_mats(skeleton), constraint.root_positions
        )
        held = constraint.observe(skeleton).position_joints
        whole = len(held) == skeleton.num_joints
        headings = hip_heading(positions, skeleton)
        poses += [
            _Pose(int(frame), constraint.type, joints, () if whole else held, float(heading))
            for frame, joints, heading in zip(
                constraint.frame_indices, positions.astype(np.float64), headings, strict=True
            )
        ]
    return sorted(poses, key=lambda pose: pose.frame)


def _draw_ground(canvas: Canvas, constraints: Sequence[Constraint], skeleton: Skeleton) -> None:
    x0, y0 = MARGIN, MARGIN + 30
    canvas.box(x0, y0, x0 + MAP, y0 + MAP, PANEL, radius=8)
    canvas.text(x0 + 12, y0 + 22, "from above, metres; a body at heading 0 faces up", 13, MUTED)
    spots: list[tuple[int, NDArray[np.float64], float | None, str]] = []
    for item in constraints:
        observation = item.observe(skeleton)
        assert observation.smooth_root_2d is not None
        headings = observation.heading
        for row, frame in enumerate(item.frame_indices.tolist()):
            heading = None if headings is None else headings[row]
            angle = None if heading is None else float(np.arctan2(heading[1], heading[0]))
            place = observation.smooth_root_2d[row].astype(np.float64)
            spots.append((frame, place, angle, item.type))
    if not spots:
        canvas.text(x0 + MAP / 2, y0 + MAP / 2, "no constraints", 15, MUTED, "mm")
        return
    spots.sort(key=lambda spot: spot[0])
    places = np.array([place for _, place, _, _ in spots])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    span = max(float(np.ptp(places, axis=0).max()) * 1.35, 1.0)
    scale = MAP / span

    def pixel(place: NDArray[np.float64]) -> tuple[float, float]:
        # +x is the left of a body that faces +z: seen from above with +z up, it is to the left.
        x, z = (place - middle) * scale
        return x0 + MAP / 2 - float(x), y0 + MAP / 2 - float(z)

    step = next(s for s in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 1e9) if span / s <= 8)
    for axis in (0, 1):
        first = np.ceil((middle[axis] - span / 2) / step) * step
        for value in np.arange(first, middle[axis] + span / 2, step):
            ends = np.array([middle - span / 2, middle + span / 2])
            ends[:, axis] = value
            canvas.line([pixel(end) for end in ends], HAIRLINE, 1)
            px, py = pixel(ends[0])
            text = f"{value:g}" if abs(value) > 1e-9 else "0"
            if axis == 0:
                canvas.text(px, y0 + MAP - 6, f"x {text}", 11, MUTED, "ms")
            else:
                canvas.text(x0 + 6, py - 3, f"z {text}", 11, MUTED)
    if len(spots) > 1:
        canvas.line([pixel(place) for place in places], MUTED, 1.5, alpha=0.6)
    label_at: list[tuple[float, float]] = []
    for frame, place, angle, kind in spots:
        px, py = pixel(place)
        if angle is not None:
            end = (px - _ARROW * np.sin(angle), py - _ARROW * np.cos(angle))
            canvas.line([(px, py), end], COLOURS[kind], 2)
        canvas.circle(px, py, 5, COLOURS[kind], WHITE)
        if all(np.hypot(px - x, py - y) > 16 for x, y in label_at):
            canvas.text(px + 8, py - 8, str(frame), 12, INK)
            label_at.append((px, py))
