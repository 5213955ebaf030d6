from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from motionrt.viewer.canvas import (
    INK,
    SUPERSAMPLE,
    WHITE,
    Canvas,
    mix,
    printable,
    shorten,
    text_width,
)


def pixels(canvas: Canvas) -> NDArray[np.int64]:
    return np.asarray(canvas.finish(), np.int64)


def test_a_new_picture_is_white_and_of_its_size() -> None:
    canvas = Canvas(20, 10)
    assert canvas.finish().size == (20, 10)
    assert (pixels(canvas) == 255).all()


def test_a_copy_is_drawn_on_alone() -> None:
    canvas = Canvas(12, 12)
    canvas.circle(6, 6, 3, INK)
    other = canvas.copy()
    other.box(0, 0, 12, 12, (255, 0, 0))
    assert tuple(pixels(canvas)[0, 0]) == WHITE
    assert tuple(pixels(canvas)[6, 6]) == INK
    assert tuple(pixels(other)[6, 6]) == (255, 0, 0)


def test_edges_are_smooth() -> None:
    canvas = Canvas(30, 30)
    canvas.circle(15, 15, 9.5, (0, 0, 0))
    shades = np.unique(pixels(canvas)[..., 0])
    assert shades[0] == 0 and shades[-1] == 255 and len(shades) > 4
    area = (255 - pixels(canvas)[..., 0]).sum() / 255
    assert area == pytest.approx(np.pi * 9.5**2, rel=0.05)


def test_a_box_ends_where_it_is_told_to() -> None:
    canvas = Canvas(10, 10)
    canvas.box(2, 3, 6, 8, (0, 0, 0))
    dark = np.argwhere(pixels(canvas)[..., 0] == 0)
    assert dark.min(axis=0).tolist() == [3, 2] and dark.max(axis=0).tolist() == [7, 5]
    canvas = Canvas(10, 10)
    canvas.box(2, 3, 2, 8, (0, 0, 0))  # without a width there is nothing
    assert (pixels(canvas) == 255).all()


def test_a_bone_is_as_wide_as_its_ends_and_a_hidden_one_is_a_disc() -> None:
    canvas = Canvas(60, 20)
    canvas.capsule(np.array([10.0, 10.0]), np.array([50.0, 10.0]), (6, 3), (0, 0, 0))
    heights = (pixels(canvas)[..., 0] < 128).sum(axis=0)
    assert abs(int(heights[10]) - 12) <= 1 and abs(int(heights[50]) - 6) <= 1
    assert (np.diff(heights[12:49]) <= 0).all()
    canvas = Canvas(20, 20)
    canvas.capsule(np.array([10.0, 10.0]), np.array([11.0, 10.0]), (8, 1), (0, 0, 0))
    assert (pixels(canvas)[..., 0] < 128).sum() == pytest.approx(np.pi * 64, rel=0.05)


def test_a_shadow_darkens_softly_and_outside_the_picture_not_at_all() -> None:
    canvas = Canvas(40, 40)
    bone = (np.array([20.0, 20.0, 0.0]), np.array([21.0, 20.0, 0.0]), 4.0)
    canvas.shadow([bone], 3, 0.5)
    found = pixels(canvas)[..., 0]
    assert found[20, 20] < found[20, 26] < found[20, 38] == 255
    canvas = Canvas(40, 40)
    canvas.shadow([], 3, 0.5)
    far = np.array([900.0, 900.0, 0.0])
    canvas.shadow([(far, far, 4.0)], 3, 0.5)
    assert (pixels(canvas) == 255).all()


def test_colours_are_mixed_by_their_share() -> None:
    assert mix((0, 0, 0), (100, 200, 50), 0) == (0, 0, 0)
    assert mix((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
    assert mix((0, 0, 0), (100, 200, 50), 1) == (100, 200, 50)


def test_text_is_written_where_its_anchor_is() -> None:
    canvas = Canvas(60, 20)
    canvas.text(30, 15, "walk", 10, (0, 0, 0), anchor="ls")
    dark = np.argwhere(pixels(canvas)[..., 0] < 200)
    assert dark[:, 1].min() >= 29 and dark[:, 0].max() <= 16
    assert dark[:, 1].max() - 30 == pytest.approx(text_width("walk", 10), abs=2)
    assert isinstance(canvas.finish(), Image.Image) and SUPERSAMPLE == 3


def test_letters_that_the_font_lacks_become_others() -> None:
    assert printable("a café\n in  日本…") == "a cafe in ??…"
    assert printable("wait...") == "wait…"


@given(st.text(max_size=200), st.floats(20, 300))
def test_a_shortened_text_fits_and_says_that_it_was_cut(text: str, width: float) -> None:
    found = shorten(text, 10, width)
    assert text_width(found, 10) <= width
    if found != printable(text):
        assert found.endswith("…") and printable(text).startswith(found[:-1])
