"""Anti-aliased drawing: everything is drawn at three times its size and averaged down."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SUPERSAMPLE = 3

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
INK: Colour = (31, 41, 55)
MUTED: Colour = (107, 119, 133)
GRID: Colour = (150, 163, 180)
HAIRLINE: Colour = (226, 231, 237)
PANEL: Colour = (247, 249, 251)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return colour with a share (0 to 1) of other in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


class Canvas:
    """A white picture; positions and sizes are in its final pixels and may be fractions."""

    def __init__(self, width: int, height: int) -> None:
        """Start a white picture of width × height final pixels."""
        self.size = (width, height)
        self._image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE), WHITE)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def finish(self) -> Image.Image:
        """Return the picture at its final size."""
        return self._image.reduce(SUPERSAMPLE)

    def copy(self) -> Canvas:
        """Return a picture with the same content that can be drawn on separately."""
        other = Canvas(1, 1)
        other.size = self.size
        other._image = self._image.copy()
        other._draw = ImageDraw.Draw(other._image, "RGBA")
        return other

    def line(
        self, points: Sequence[tuple[float, float]], colour: Colour, width: float, alpha: float = 1
    ) -> None:
        """Draw a polyline."""
        self._draw.line(
            [(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in points],
            fill=(*colour, round(255 * alpha)),
            width=max(1, round(width * SUPERSAMPLE)),
            joint="curve",
        )

    def circle(
        self, x: float, y: float, radius: float, colour: Colour, outline: Colour | None = None
    ) -> None:
        """Draw a disc, with an outline two thirds of a pixel wide if that has a colour."""
        box = [(c + r) * SUPERSAMPLE for r in (-radius, radius) for c in (x, y)]
        self._draw.ellipse(box, fill=colour, outline=outline, width=2 if outline else 0)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * SUPERSAMPLE, y * SUPERSAMPLE) for x, y in points], fill=colour)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float = 0
    ) -> None:
        """Fill a rectangle, corners rounded by radius."""
        corners = [v * SUPERSAMPLE for v in (x0, y0, x1, y1)]
        if corners[2] - corners[0] >= 1 and corners[3] - corners[1] >= 1:
            corners[2:] = [corners[2] - 1, corners[3] - 1]  # Pillow's boxes include their end
            self._draw.rounded_rectangle(corners, radius * SUPERSAMPLE, fill=colour)

    def capsule(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        radii: tuple[float, float],
        colour: Colour,
    ) -> None:
        """Draw a bone: round ends of two radii, joined by their outer tangents."""
        _draw_capsule(self._draw, start, end, radii, colour, SUPERSAMPLE)

    def shadow(
        self,
        bones: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], float]],
        blur: float,
        strength: float,
    ) -> None:
        """Darken softly under bones given as start pixel, end pixel and radius."""
        if not bones:
            return
        ends = np.concatenate([[start[:2], end[:2]] for start, end, _ in bones])
        margin = 3 * blur + max(radius for *_, radius in bones) + 2
        low = np.maximum(np.floor(ends.min(axis=0) - margin), 0).astype(int)
        high = np.minimum(np.ceil(ends.max(axis=0) + margin), self.size).astype(int)
        if (high <= low).any():
            return
        mask = Image.new("L", (int(high[0] - low[0]), int(high[1] - low[1])))
        draw = ImageDraw.Draw(mask)
        for start, end, radius in bones:
            _draw_capsule(draw, start[:2] - low, end[:2] - low, (radius, radius), 255, 1)
        mask = mask.filter(ImageFilter.GaussianBlur(blur)).point(lambda v: v * strength)
        mask = mask.resize(
            (mask.width * SUPERSAMPLE, mask.height * SUPERSAMPLE), Image.Resampling.BILINEAR
        )
        corner = (int(low[0]) * SUPERSAMPLE, int(low[1]) * SUPERSAMPLE)
        self._image.paste(INK, corner, mask)

    def text(
        self, x: float, y: float, text: str, size: float, colour: Colour, anchor: str = "ls"
    ) -> None:
        """Write text at a Pillow anchor ("ls": left end of the baseline)."""
        self._draw.text(
            (x * SUPERSAMPLE, y * SUPERSAMPLE),
            printable(text),
            font=_font(round(size * SUPERSAMPLE)),
            fill=colour,
            anchor=anchor,
        )


def text_width(text: str, size: float) -> float:
    """Return the width of text in pixels."""
    return _font(round(size * SUPERSAMPLE)).getlength(printable(text)) / SUPERSAMPLE


def shorten(text: str, size: float, width: float) -> str:
    """Cut text with an ellipsis so that it fits into width pixels."""
    text = printable(text)
    if len(text) < 1000 and text_width(text, size) <= width:
        return text
    fitting = bisect_left(
        range(1, min(len(text), 1000)),
        True,
        key=lambda length: text_width(text[:length] + "…", size) > width,
    )
    return text[:fitting].rstrip() + "…"


def printable(text: str) -> str:
    """Return text on one line, in the letters that Pillow's built-in font has ("é" becomes "e")."""
    decomposed = unicodedata.normalize("NFKD", " ".join(text.split()))
    letters = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" or c in "·…°" else "?" for c in letters).replace("...", "…")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_capsule(
    draw: ImageDraw.ImageDraw,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    radii: tuple[float, float],
    colour: Colour | int,
    zoom: int,
) -> None:
    (x0, y0), (x1, y1) = start[:2] * zoom, end[:2] * zoom
    r0, r1 = radii[0] * zoom, radii[1] * zoom
    draw.ellipse((x0 - r0, y0 - r0, x0 + r0, y0 + r0), fill=colour)
    draw.ellipse((x1 - r1, y1 - r1, x1 + r1, y1 + r1), fill=colour)
    length = float(np.hypot(x1 - x0, y1 - y0))
    if length <= abs(r0 - r1):  # one end hides the other
        return
    # The outer tangents touch both circles where their normal n has n · axis = (r0 - r1) / length.
    axis = np.array([x1 - x0, y1 - y0]) / length
    across = np.array([-axis[1], axis[0]])
    along = (r0 - r1) / length
    n0 = along * axis + np.sqrt(1 - along * along) * across
    n1 = along * axis - np.sqrt(1 - along * along) * across
    corners = (
        (x0 + n0[0] * r0, y0 + n0[1] * r0),
        (x1 + n0[0] * r1, y1 + n0[1] * r1),
        (x1 + n1[0] * r1, y1 + n1[1] * r1),
        (x0 + n1[0] * r0, y0 + n1[1] * r0),
    )
    draw.polygon(corners, fill=colour)
