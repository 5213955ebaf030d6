"""Animated pictures: motions side by side in real time, the camera following each figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.viewer.camera import Camera, view_direction
from motionrt.viewer.canvas import HAIRLINE, INK, MUTED, WHITE, Canvas, mix, shorten
from motionrt.viewer.figure import COLOURS
from motionrt.viewer.scene import Clip, draw_floor, fit, make_clips, on_ground, runs

DESIGN_WIDTH = 420  # the sizes below are pixels of a panel this wide
TOP, FIGURE, BOTTOM = 64, 330, 62
COLUMNS = 3  # panels side by side at most
MAX_PIXELS = 600_000_000  # of all frames together: they are held in memory, a byte each in a GIF
COLOUR_COUNT = 128
LAST_FRAME_SECONDS = 0.6  # held before the loop starts again


def write_gif(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    fps: float = 25.0,
    view: str = "three-quarter",
    width: int | None = None,
) -> None:
    """Write an animated GIF that shows the motions at their own speed and loops.

    Args:
        motions: at least one; three stand side by side, more in further rows. A motion shorter
            than the longest waits in its last pose.
        path: the file to write.
        names: stand in for prompts where a motion has none.
        fps: pictures a second; the format counts in hundredths of a second, so that 25 is exact
            and 30 becomes 33.3. The speed of the motion stays right in either case.
        view: "front", "side" or "three-quarter", from how each motion faces at its first frame.
        width: pixels of the whole picture; 420 for each column if not given.
    """
    if not 1 <= fps <= 50:
        raise InputError(f"fps is {fps:g}; a GIF can have 1 to 50 pictures a second")
    delay = max(round(100 / fps), 2)  # hundredths; browsers slow down anything under 2
    clips, times, width = _planned(motions, path, names, 100 / delay, width)
    count = len(times)
    palette = _palette(_frames(clips, np.linspace(0, times[-1], 6), view, width))
    pictures = [_in_palette(picture, palette) for picture in _frames(clips, times, view, width)]
    durations = [10 * delay] * count
    durations[-1] += round(1000 * LAST_FRAME_SECONDS)
    with atomic_file(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=durations if count > 1 else durations[0],
            loop=0,
            disposal=1,
        )


def write_webp(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    fps: float = 25.0,
    view: str = "three-quarter",
    width: int | None = None,
) -> None:
    """Write an animated WebP: as `write_gif`, in full colours."""
    clips, times, width = _planned(motions, path, names, fps, width, MAX_PIXELS // 3)
    pictures = list(_frames(clips, times, view, width))
    durations = [round(1000 / fps)] * len(times)
    durations[-1] += round(1000 * LAST_FRAME_SECONDS)
    with atomic_file(path) as temporary:
        pictures[0].save(
            temporary,
            format="WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=durations if len(times) > 1 else durations[0],
            loop=0,
            quality=75,
            minimize_size=True,
        )


def pictures_of(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    fps: float = 25.0,
    view: str = "three-quarter",
    width: int | None = None,
) -> Iterator[Image.Image]:
    """Draw the pictures that `write_gif` writes, one at a time; path is for errors."""
    clips, times, width = _planned(motions, path, names, fps, width, None)
    return _frames(clips, times, view, width)


def _planned(
    motions: Sequence[Motion],
    path: str | os.PathLike[str],
    names: Sequence[str] | None,
    fps: float,
    width: int | None,
    max_pixels: int | None = MAX_PIXELS,
) -> tuple[list[Clip], NDArray[np.float64], int]:
    """Return the clips, the moment of each picture in seconds, and the width.

    InputError if all pictures together have more than max_pixels.
    """
    clips = make_clips(list(motions), list(names) if names is not None else None)
    if not 1 <= fps <= 60:
        raise InputError(f"fps is {fps:g}; there can be 1 to 60 pictures a second")
    count = max(int(np.ceil(max(clip.seconds for clip in clips) * fps - 1e-6)), 1)
    width = width or min(len(clips), COLUMNS) * DESIGN_WIDTH
    if max_pixels is not None and count * width * _height(len(clips), width) > max_pixels:
        raise InputError(
            f"{path}: {count} pictures {width} wide are too much; "
            "choose a lower --fps, a smaller --width or a shorter motion"
        )
    return clips, np.arange(count) / fps, width


@dataclass(frozen=True)
class _Panel:
    """One motion's place in the picture; positions are final pixels."""

    clip: Clip
    left: float
    top: float
    unit: float
    path: NDArray[np.float64]  # (T, 3): what the camera follows, the smoothed root on the floor
    direction: NDArray[np.float64]
    scale: float
    floor: float  # pixel y of the followed point

    def draw_still(self, canvas: Canvas) -> None:
        """Draw what every frame has: the title and the bars of the time line."""
        clip, unit = self.clip, self.unit
        x0, x1, y = self.left + 20 * unit, self.left + (DESIGN_WIDTH - 20) * unit, self._bar
        room = x1 - x0
        canvas.text(x0, self.top + 32 * unit, shorten(clip.title, 19 * unit, room), 19 * unit, INK)
        canvas.text(
            x0, self.top + 53 * unit, shorten(clip.details, 12.5 * unit, room), 12.5 * unit, MUTED
        )
        canvas.box(x0, y - unit, x1, y + unit, HAIRLINE)
        if clip.contacts is not None:
            left, right = on_ground(clip.contacts)
            for side, mask, above in (("left", left, y - 6 * unit), ("right", right, y + 2 * unit)):
                for start, stop in runs(mask):
                    a, b = (x0 + room * k / clip.num_frames for k in (start, stop))
                    canvas.box(a, above, b, above + 4 * unit, mix(COLOURS[side], WHITE, 0.35))

    @property
    def _bar(self) -> float:
        return self.top + (TOP + FIGURE + 30) * self.unit

    def draw(self, canvas: Canvas, seconds: float) -> None:
        """Draw the figure on its floor at a time, and that time on the time line."""
        clip, unit = self.clip, self.unit
        place = float(np.clip(seconds * clip.fps, 0, clip.num_frames - 1))
        before, share = int(place), place - int(place)
        after = min(before + 1, clip.num_frames - 1)
        joints = (1 - share) * clip.joints[before] + share * clip.joints[after]
        target = (1 - share) * self.path[before] + share * self.path[after]
        centre = (self.left + DESIGN_WIDTH / 2 * unit, self.floor)
        camera = Camera(target, self.direction, 6 * clip.figure.height, self.scale, centre)
        radius = min(0.48 * DESIGN_WIDTH * unit / self.scale, 1.6 * clip.figure.height)
        draw_floor(canvas, camera, radius)
        clip.figure.draw_shadow(canvas, camera, joints)
        clip.figure.draw(canvas, camera, joints)
        x = self.left + (20 + (DESIGN_WIDTH - 40) * min(seconds / clip.seconds, 1)) * unit
        canvas.circle(x, self._bar, 6.5 * unit, WHITE)
        canvas.circle(x, self._bar, 5 * unit, COLOURS["centre"])


def _frames(
    clips: list[Clip], times: NDArray[np.float64], view: str, width: int
) -> Iterator[Image.Image]:
    """Draw the picture at each of the times, in seconds."""
    columns = min(len(clips), COLUMNS)
    unit = width / columns / DESIGN_WIDTH
    row = _height(1, round(width / columns))
    paths = [_followed(clip) for clip in clips]
    directions = [view_direction(clip.heading, view) for clip in clips]
    extents = [_extents(*args) for args in zip(clips, paths, directions, strict=True)]
    scale = min(fit(box, 0.9 * DESIGN_WIDTH * unit, FIGURE * unit * 0.9) for box in extents)
    panels = []
    for k, (clip, path, direction) in enumerate(zip(clips, paths, directions, strict=True)):
        top = (k // columns) * row
        low, high = extents[k][:, 1].max() * scale, extents[k][:, 1].min() * scale
        low = max(low, 0.16 * clip.figure.height * scale)
        floor = top + (TOP + FIGURE / 2) * unit - (low + high) / 2
        left = (k % columns) * DESIGN_WIDTH * unit
        panels.append(_Panel(clip, left, top, unit, path, direction, scale, floor))
    still = Canvas(width, _height(len(clips), width))
    for panel in panels:
        panel.draw_still(still)
    for seconds in times:
        canvas = still.copy()
        for panel in panels:
            panel.draw(canvas, float(seconds))
        yield canvas.finish()


def _height(num_clips: int, width: int) -> int:
    """Return the picture's height: as many rows of panels as the clips need."""
    columns = min(num_clips, COLUMNS)
    return round(width / columns / DESIGN_WIDTH * (TOP + FIGURE + BOTTOM)) * -(
        -num_clips // columns
    )


def _followed(clip: Clip) -> NDArray[np.float64]:
    """Return the root's path on the floor, averaged over a second so that the camera glides."""
    reach = max(int(clip.fps / 2), 1)
    padded = np.pad(clip.joints[:, 0], ((reach + 1, reach), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0)
    path = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1)
    return np.asarray(path * (1, 0, 1))


def _extents(
    clip: Clip, path: NDArray[np.float64], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return pixel offsets from the followed point, at scale 1, that enclose the figure."""
    frames = np.unique(np.linspace(0, clip.num_frames - 1, 200).astype(int))
    boxes = []
    for frame in frames:
        camera = Camera(path[frame], direction, 6 * clip.figure.height, 1.0, (0, 0))
        pixels = camera.project(clip.figure.outline(clip.joints[frame]))[:, :2]
        boxes += [pixels.min(axis=0), pixels.max(axis=0)]
    return np.stack(boxes)


def _palette(pictures: Iterator[Image.Image]) -> Image.Image:
    """Return one palette for all frames, so that still parts stay still; entry 0 is white."""
    samples = list(pictures)
    tall = Image.new("RGB", (samples[0].width, sum(s.height for s in samples)))
    top = 0
    for sample in samples:
        tall.paste(sample, (0, top))
        top += sample.height
    colours = tall.quantize(COLOUR_COUNT - 1, Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*WHITE, *colours[: 3 * (COLOUR_COUNT - 1)]])
    return palette


def _in_palette(picture: Image.Image, palette: Image.Image) -> Image.Image:
    indices = np.array(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    indices[(np.asarray(picture) == 255).all(axis=-1)] = 0  # Pillow's nearest is only near white
    result = Image.fromarray(indices)
    result.putpalette(palette.getpalette() or [])
    return result
