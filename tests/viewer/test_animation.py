from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.viewer import write_gif
from motionrt.viewer.figure import COLOURS


def frames_of(path: Path) -> tuple[list[NDArray[Any]], list[int]]:
    """Return a GIF's frames as RGB arrays and their durations in milliseconds."""
    pictures, durations = [], []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            pictures.append(np.asarray(image.convert("RGB"), int))
            durations.append(image.info["duration"])
    return pictures, durations


def near(picture: NDArray[Any], side: str, by: int = 70) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - np.array(COLOURS[side])).max(axis=-1) < by)


def test_gif_runs_at_the_motions_speed(walk: Motion, tmp_path: Path) -> None:
    write_gif([walk], tmp_path / "walk.gif")
    pictures, durations = frames_of(tmp_path / "walk.gif")
    assert pictures[0].shape == (456, 420, 3)
    assert len(pictures) == 50  # two seconds at 25
    assert durations[:-1] == [40] * 49 and durations[-1] == 640
    with Image.open(tmp_path / "walk.gif") as image:
        assert image.info["loop"] == 0


def test_every_frame_has_the_whole_figure_on_white(walk: Motion, tmp_path: Path) -> None:
    write_gif([walk], tmp_path / "walk.gif", fps=10)
    pictures, _ = frames_of(tmp_path / "walk.gif")
    assert len(pictures) == 20
    for picture in pictures:
        assert (picture[0, 0] == 255).all()
        body = picture[60:400]
        for side in ("left", "right", "centre"):
            rows, columns = np.nonzero(near(body, side))
            assert len(rows) > 1000, side
            assert rows.min() > 0 and columns.min() > 20 and columns.max() < 399
    moved = (np.abs(pictures[0][60:380] - pictures[4][60:380]).max(axis=-1) > 60).sum()
    assert moved > 2000  # the legs swing


def test_two_motions_stand_side_by_side_and_the_shorter_waits(walk: Motion, tmp_path: Path) -> None:
    write_gif([walk, walk.crop(0, 30)], tmp_path / "two.gif", fps=10)
    pictures, _ = frames_of(tmp_path / "two.gif")
    assert pictures[0].shape == (456, 840, 3) and len(pictures) == 20
    for half in (np.s_[:, :420], np.s_[:, 420:]):
        assert near(pictures[0][half], "right").sum() > 2000
    changed = np.abs(pictures[12] - pictures[18]).max(axis=-1) > 60
    assert changed[60:380, :420].sum() > 1000 and not changed[60:380, 420:].any()


def test_one_frame_is_a_picture(walk: Motion, tmp_path: Path) -> None:
    write_gif([walk.crop(0, 1)], tmp_path / "one.gif", width=300)
    pictures, _ = frames_of(tmp_path / "one.gif")
    assert len(pictures) == 1 and pictures[0].shape[1] == 300
    assert near(pictures[0], "left").sum() > 500


def test_the_same_motion_gives_the_same_file(walk: Motion, tmp_path: Path) -> None:
    for name in ("a.gif", "b.gif"):
        write_gif([walk], tmp_path / name, fps=5)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_wrong_input_is_refused_and_leaves_nothing(walk: Motion, tmp_path: Path) -> None:
    walk.fps = 0.001  # sixty thousand seconds
    with pytest.raises(InputError, match="are too much"):
        write_gif([walk], tmp_path / "slow.gif")
    with pytest.raises(InputError, match="fps is 0"):
        write_gif([walk], tmp_path / "slow.gif", fps=0)
    assert not list(tmp_path.iterdir())
