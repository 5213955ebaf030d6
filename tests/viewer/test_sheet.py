from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES
from motionrt.runtime.errors import InputError
from motionrt.viewer import draw_sheet, write_sheet
from motionrt.viewer.figure import COLOURS

POSES = (36, 36 + 1056)  # where the poses stand in a sheet 1400 wide, left to right


def painted(image: Image.Image, side: str) -> NDArray[np.bool_]:
    """Return where an image has a side's colour, as pure or as pale as distance makes it."""
    pixels = np.asarray(image, np.float64)
    pure = np.array(COLOURS[side], np.float64)
    haze = np.clip(((pixels - pure) * (255 - pure)).sum(-1) / ((255 - pure) ** 2).sum(), 0, 0.3)
    expected = pure + haze[..., None] * (255 - pure)
    return np.asarray(np.abs(pixels - expected).max(axis=-1) < 12)


def cells(mask: NDArray[np.bool_], count: int) -> list[NDArray[np.bool_]]:
    """Cut out the columns of each pose, from below the title to above the marks of time."""
    edges = np.linspace(*POSES, count + 1).astype(int)
    return [mask[85:370, a:b] for a, b in pairwise(edges)]


def test_every_pose_shows_both_sides_and_a_head(walk: Motion) -> None:
    image = draw_sheet([walk], num_poses=6)
    assert image.size[0] == 1400 and 400 < image.size[1] < 700
    for side, least in (("left", 700), ("right", 900), ("centre", 1500)):
        counts = [int(cell.sum()) for cell in cells(painted(image, side), 6)]
        assert min(counts) > least, (side, counts)


def test_figures_are_whole_and_as_tall_as_the_sheet_says(walk: Motion) -> None:
    image = draw_sheet([walk], num_poses=6)
    anywhere = painted(image, "left") | painted(image, "right") | painted(image, "centre")
    for cell in cells(anywhere, 6):
        rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
        assert 220 < np.ptp(rows) < 290  # a figure is 300 pixels tall at most, marks included
        assert columns[0] > 0 and columns[-1] < cell.shape[1] - 1  # within its own cell


def test_left_limbs_are_on_the_right_of_a_figure_that_faces_us(walk: Motion) -> None:
    image = draw_sheet([walk], num_poses=6, view="front")
    both = zip(cells(painted(image, "left"), 6), cells(painted(image, "right"), 6), strict=True)
    for left, right in both:
        assert np.nonzero(left)[1].mean() > np.nonzero(right)[1].mean() + 20


def test_contact_strip_shows_the_contacts(walk: Motion) -> None:
    with_contacts = draw_sheet([walk])
    without = draw_sheet([replace(walk, foot_contacts=None)])
    assert with_contacts.height > without.height
    # The walk starts with the left foot down (phase 0 to pi: frames 1 to 14) and the right one up.
    strip = np.s_[with_contacts.height - 94 : with_contacts.height - 54, POSES[0] : POSES[1]]
    left, right = painted(with_contacts, "left")[strip], painted(with_contacts, "right")[strip]
    per_frame = np.ptp(POSES) / 60
    early, late = (slice(int(a * per_frame), int(b * per_frame)) for a, b in ((3, 13), (18, 28)))
    assert left[:, early].any(axis=0).all() and not right[:, early].any()
    assert right[:, late].any(axis=0).all() and not left[:, late].any()


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_every_skeleton_is_drawn(name: str, wave: Callable[[str], Motion]) -> None:
    image = draw_sheet([wave(name)], num_poses=3)
    for side in ("left", "right"):
        mask = painted(image, side)[85:, : POSES[1]]
        assert all(cell.sum() > 500 for cell in np.array_split(mask, 3, axis=1))


def test_rows_share_one_scale(walk: Motion, wave: Callable[[str], Motion]) -> None:
    one = draw_sheet([walk])
    two = draw_sheet([walk, walk])
    assert two.height == 2 * one.height
    top = np.asarray(two)[: one.height]
    np.testing.assert_array_equal(top, np.asarray(one))


def test_a_far_away_motion_is_drawn_the_same(walk: Motion) -> None:
    shift = np.array([300, 0, -200], np.float32)  # whole grid cells: the floor looks the same too
    moved = replace(
        walk, root_positions=walk.root_positions + shift, posed_joints=walk.posed_joints + shift
    )
    here, there = (np.asarray(draw_sheet([m]), int)[:370, : POSES[1]] for m in (walk, moved))
    assert (np.abs(here - there).max(axis=-1) > 40).mean() < 0.002


def test_short_motions_show_each_frame_once(walk: Motion) -> None:
    image = draw_sheet([walk.crop(0, 2)], num_poses=8)
    counts = [int(cell.sum()) for cell in cells(painted(image, "right"), 2)]
    assert min(counts) > 900
    draw_sheet([walk.crop(0, 1)])


@pytest.mark.parametrize("width", [160, 700, 2000])
def test_width_scales_the_whole_sheet(walk: Motion, width: int) -> None:
    image = draw_sheet([walk], width=width)
    assert image.width == width
    assert image.height / width == pytest.approx(draw_sheet([walk]).height / 1400, rel=0.02)


def test_the_same_motion_gives_the_same_file(walk: Motion, tmp_path: Path) -> None:
    write_sheet([walk], tmp_path / "a.png")
    write_sheet([walk], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.format == "PNG"


def test_any_prompt_can_be_a_title(walk: Motion) -> None:
    for prompt in ("", "你好 é\n\t…", "word " * 10_000, ["walks", "sits"], 3):
        walk.info["prompt"] = prompt
        assert draw_sheet([walk]).width == 1400


def test_wrong_input_is_refused(walk: Motion) -> None:
    far = replace(walk, posed_joints=walk.posed_joints * np.float32(1e7))
    with pytest.raises(InputError, match="frame 0 has a joint more than"):
        draw_sheet([far])
    with pytest.raises(InputError, match="no motion"):
        draw_sheet([])
    with pytest.raises(InputError, match="num_poses is 0"):
        draw_sheet([walk], num_poses=0)
