"""Contact sheets: each motion a row of poses over time, its path from above, its foot contacts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.viewer.camera import Camera, view_direction
from motionrt.viewer.canvas import (
    HAIRLINE,
    INK,
    MUTED,
    PANEL,
    WHITE,
    Canvas,
    Colour,
    mix,
    shorten,
    text_width,
)
from motionrt.viewer.figure import COLOURS
from motionrt.viewer.scene import Clip, draw_floor, fit, make_clips, runs

DESIGN_WIDTH = 1400  # the sizes below are pixels of a sheet this wide
MARGIN = 36
TALLEST = 300  # a figure's height at most
MAP = 236  # width of the panel that shows the path from above, and its height at most
POSES_TOP = 104
LANE = 7  # height of one contact lane
MAX_PIXELS = 100_000_000


def write_sheet(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    num_poses: int = 8,
    view: str = "three-quarter",
    width: int = DESIGN_WIDTH,
) -> None:
    """Draw a contact sheet and write it as PNG, or JPEG by the suffix; see draw_sheet."""
    image = draw_sheet(motions, names=names, num_poses=num_poses, view=view, width=width)
    is_jpeg = Path(path).suffix.lower() in (".jpg", ".jpeg")
    with atomic_file(path) as temporary:
        if is_jpeg:
            image.save(temporary, format="JPEG", quality=92, optimize=True, subsampling=0)
        else:
            image.save(temporary, format="PNG", optimize=True)


def draw_sheet(
    motions: Sequence[Motion],
    *,
    names: Sequence[str] | None = None,
    num_poses: int = 8,
    view: str = "three-quarter",
    width: int = DESIGN_WIDTH,
) -> Image.Image:
    """Draw a contact sheet, one row for each motion.

    Args:
        motions: at least one.
        names: stand in for prompts where a motion has none.
        num_poses: poses in a row, evenly spaced in time; a shorter motion shows all its frames.
        view: "front", "side" or "three-quarter", from how each motion faces at its first frame.
        width: pixels; the height follows from it and the number of rows.

    Returns:
        An RGB image. All rows have one scale, so that figures can be compared.
    """
    clips = make_clips(list(motions), list(names) if names is not None else None)
    if num_poses < 1:
        raise InputError(f"num_poses is {num_poses}; a row needs at least one")
    unit = width / DESIGN_WIDTH
    strip = width - (3 * MARGIN + MAP) * unit
    frames = [_pose_frames(clip, num_poses) for clip in clips]
    boxes = [_extents(clip, chosen, view) for clip, chosen in zip(clips, frames, strict=True)]
    scale = min(
        fit(box, 0.94 * strip / len(chosen), TALLEST * unit)
        for box, chosen in zip(boxes, frames, strict=True)
    )
    rows = []
    height = 0
    for clip, chosen, box in zip(clips, frames, boxes, strict=True):
        row = _Row(clip, chosen, box * scale, scale, view, unit, strip)
        height += row.height
        if width * height > MAX_PIXELS:
            raise InputError(f"a sheet of {len(clips)} rows, {width} wide, is too large to draw")
        rows.append(row)
    sheet = Image.new("RGB", (width, height), WHITE)
    top = 0
    for index, row in enumerate(rows):
        sheet.paste(row.draw(width, rule=index > 0), (0, top))
        top += row.height
    return sheet


def _pose_frames(clip: Clip, num_poses: int) -> NDArray[np.int64]:
    """Return the frames in the middle of num_poses equal spans of time."""
    count = min(num_poses, clip.num_frames)
    return ((np.arange(count) + 0.5) / count * clip.num_frames).astype(np.int64)


def _camera(clip: Clip, frame: int, view: str, scale: float, x: float, y: float) -> Camera:
    """Return a camera that sees the floor below a frame's root at pixel (x, y)."""
    target = clip.joints[frame, 0] * (1, 0, 1)
    return Camera(target, view_direction(clip.heading, view), 6 * clip.figure.height, scale, (x, y))


def _extents(clip: Clip, frames: NDArray[np.int64], view: str) -> NDArray[np.float64]:
    """Return pixel offsets from the floor point, at scale 1, that enclose the poses."""
    return np.concatenate(
        [
            _camera(clip, frame, view, 1.0, 0, 0).project(clip.figure.outline(clip.joints[frame]))
            for frame in frames
        ]
    )[:, :2]


class _Row:
    """One motion on the sheet; positions are final pixels from the row's top left corner."""

    def __init__(
        self,
        clip: Clip,
        frames: NDArray[np.int64],
        extents: NDArray[np.float64],
        scale: float,
        view: str,
        unit: float,
        strip: float,
    ) -> None:
        self.clip, self.frames, self.scale, self.view = clip, frames, scale, view
        self.unit, self.strip = unit, strip
        self.left = MARGIN * unit
        self.lanes = 0 if clip.contacts is None else clip.contacts.shape[1]
        poses_top = POSES_TOP * unit
        below = max(float(extents[:, 1].max()), 0.16 * clip.figure.height * scale)
        self.floor = max(poses_top - float(extents[:, 1].min()), poses_top + 150 * unit)
        self.axis = self.floor + below + 22 * unit
        self.bottom = self.axis + (self.lanes * (LANE + 2) + (6 if self.lanes > 2 else 0)) * unit
        self.height = round(self.bottom + 52 * unit)

    def draw(self, width: int, rule: bool) -> Image.Image:
        """Draw the row; rule draws a line at its top that parts it from the row above."""
        canvas = Canvas(width, self.height)
        if rule:
            canvas.box(self.left, 0, width - self.left, self.unit, HAIRLINE)
        self._draw_title(canvas, width, legend=not rule)
        self._draw_poses(canvas)
        self._draw_time(canvas)
        self._draw_map(canvas, width)
        return canvas.finish()

    def _draw_title(self, canvas: Canvas, width: int, legend: bool) -> None:
        unit = self.unit
        room = width - 2 * self.left
        title = shorten(self.clip.title, 27 * unit, room - 150 * unit)
        canvas.text(self.left, 50 * unit, title, 27 * unit, INK)
        canvas.text(
            self.left, 77 * unit, shorten(self.clip.details, 16.5 * unit, room), 16.5 * unit, MUTED
        )
        x = width - self.left
        for side in ("right", "left") if legend else ():
            canvas.text(x, 48 * unit, side, 16.5 * unit, MUTED, "rs")
            x -= text_width(side, 16.5 * unit) + 12 * unit
            canvas.circle(x, 42.5 * unit, 5.5 * unit, COLOURS[side])
            x -= 24 * unit

    def _x(self, seconds: float) -> float:
        return self.left + self.strip * seconds / self.clip.seconds

    def _draw_poses(self, canvas: Canvas) -> None:
        clip, unit = self.clip, self.unit
        cell = self.strip / len(self.frames)
        radius = min(0.7 * cell / self.scale, 0.55 * clip.figure.height)
        for k, frame in enumerate(self.frames):
            x = self.left + (k + 0.5) * cell
            camera = _camera(clip, int(frame), self.view, self.scale, x, self.floor)
            draw_floor(canvas, camera, radius, step=0.25)
            clip.figure.draw_shadow(canvas, camera, clip.joints[frame])
        for k, frame in enumerate(self.frames):
            x = self.left + (k + 0.5) * cell
            camera = _camera(clip, int(frame), self.view, self.scale, x, self.floor)
            clip.figure.draw(canvas, camera, clip.joints[frame])
            tip = self.axis - 4 * unit  # points at the pose's time on the strip
            canvas.polygon(
                [(x - 5 * unit, tip - 7 * unit), (x + 5 * unit, tip - 7 * unit), (x, tip)], MUTED
            )

    def _draw_time(self, canvas: Canvas) -> None:
        """Draw when each foot is on the ground, above a time axis in seconds."""
        clip, unit = self.clip, self.unit
        y = self.axis
        for lane in range(self.lanes):
            assert clip.contacts is not None
            side = "left" if lane < self.lanes / 2 else "right"
            if lane == (self.lanes + 1) // 2 and self.lanes > 2:
                y += 6 * unit
            canvas.box(self.left, y, self.left + self.strip, y + LANE * unit, PANEL)
            for start, stop in runs(clip.contacts[:, lane]):
                canvas.box(
                    self._x(start / clip.fps),
                    y,
                    self._x(stop / clip.fps),
                    y + LANE * unit,
                    mix(COLOURS[side], WHITE, 0.12),
                    radius=2 * unit,
                )
            y += (LANE + 2) * unit
        if self.lanes:
            x = self.left + self.strip + MARGIN * unit
            canvas.text(x, (self.axis + y) / 2 + 4 * unit, "feet on the ground", 14 * unit, MUTED)
        y += 4 * unit
        canvas.box(self.left, y, self.left + self.strip, y + max(unit, 0.67), HAIRLINE)
        step = _nice_step(clip.seconds, 10)
        for tick in np.arange(0, clip.seconds + 1e-9, step):
            x = self._x(tick)
            canvas.line([(x, y), (x, y + 5 * unit)], MUTED, max(unit, 0.67))
            anchor = (
                "ls" if tick == 0 else "rs" if clip.seconds - tick < 0.02 * clip.seconds else "ms"
            )
            label = f"{tick:g} s" if tick == 0 else f"{tick:g}"
            canvas.text(x, y + 21 * unit, label, 14 * unit, MUTED, anchor)

    def _draw_map(self, canvas: Canvas, width: int) -> None:
        """Draw the root's path from above; ahead of the figure's first heading is up."""
        clip, unit = self.clip, self.unit
        size = np.array([MAP * unit, min(MAP * unit, self.axis - POSES_TOP * unit)])
        corner = np.array([width - self.left - size[0], POSES_TOP * unit])
        (x0, y0), (x1, y1) = corner, corner + size
        canvas.box(x0, y0, x1, y1, PANEL, radius=10 * unit)
        ahead = clip.heading[[0, 2]]
        axes = np.array([[-ahead[1], ahead[0]], ahead])  # to the figure's right, and ahead
        path = clip.joints[:, 0][:, [0, 2]] @ axes.T
        middle = (path.max(axis=0) + path.min(axis=0)) / 2
        scale = float((size / np.maximum(np.ptp(path, axis=0) * 1.35, 1.5)).min())
        half = size / 2 / scale
        step = _nice_step(2 * float(half.max()), 7)

        def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(corner + size / 2 + (points - middle) * (scale, -scale))

        for axis in (0, 1):
            low, high = middle[axis] - half[axis], middle[axis] + half[axis]
            for line in np.arange(np.floor(low / step) + 1, np.ceil(high / step)) * step:
                ends = np.stack([middle - half, middle + half])
                ends[:, axis] = line
                canvas.line([(x, y) for x, y in place(ends)], HAIRLINE, max(unit, 0.67))

        def shade(frame: int) -> Colour:
            return mix(COLOURS["centre"], WHITE, 0.8 * (1 - frame / max(clip.num_frames - 1, 1)))

        pixels = place(path)
        for k in range(len(pixels) - 1):
            canvas.capsule(pixels[k], pixels[k + 1], (1.3 * unit, 1.3 * unit), shade(k))
        for frame in self.frames:  # an arrowhead that faces as the figure does
            front = axes @ clip.headings[frame][[0, 2]] * (1, -1)
            across = np.array([-front[1], front[0]])
            arrow = (front, 0.75 * across - 0.8 * front, -0.4 * front, -0.75 * across - 0.8 * front)
            for radius, paint in ((10 * unit, PANEL), (7.4 * unit, shade(int(frame)))):
                canvas.polygon([tuple(pixels[frame] + radius * point) for point in arrow], paint)
        x, y = x1 - 14 * unit, y1 - 14 * unit
        canvas.box(x - step * scale, y, x, y + 2 * unit, MUTED)
        canvas.text(x, y - 5 * unit, f"{step:g} m", 14 * unit, MUTED, "rs")
        canvas.text(x0 + 12 * unit, y0 + 22 * unit, "from above", 14 * unit, MUTED)


def _nice_step(span: float, most: int) -> float:
    """Return 1, 2 or 5 times a power of ten (seconds, metres) that parts span into at most most."""
    power = 10.0 ** np.floor(np.log10(span / most))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m * most >= span * (1 - 1e-9)))
