from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.viewer.camera import Camera
from motionrt.viewer.canvas import Canvas
from motionrt.viewer.scene import draw_floor, fit, make_clip, make_clips, on_ground, runs


@pytest.mark.parametrize(
    ("info", "name", "title"),
    [
        ({"prompt": " a walk "}, "file", "a walk"),
        ({"prompts": ["walk ", "jump"]}, "file", "walk, then jump"),
        ({"prompt": "  ", "texts": ["sit"]}, "file", "sit"),
        ({"prompt": 3}, "file", "file"),
        ({}, "", "cmu22"),
    ],
)
def test_a_title_is_the_prompt_else_the_file_else_the_skeleton(
    walk: Motion, info: dict[str, Any], name: str, title: str
) -> None:
    assert make_clip(replace(walk, info=info), name).title == title


def test_details_are_length_rate_skeleton_and_seed(walk: Motion) -> None:
    assert make_clip(walk).details == "2.0 s · 30 fps · 60 frames · cmu22 · seed 7"
    one = walk.crop(0, 1)
    one.info.clear()
    assert make_clip(one).details == "0.03 s · 30 fps · 1 frame · cmu22"
    clip = make_clip(walk)
    assert (clip.num_frames, clip.seconds) == (60, 2.0)
    np.testing.assert_allclose(clip.heading, [0, 0, 1], atol=1e-6)


def test_a_joint_too_far_away_is_refused_by_its_frame(walk: Motion) -> None:
    walk.posed_joints[7, 3, 0] = 2e5
    with pytest.raises(InputError, match=r"^file: frame 7 has a joint more than 1e\+05 m"):
        make_clip(walk, "file")


def test_several_motions_need_one_at_least(walk: Motion, wave: Callable[[str], Motion]) -> None:
    assert [clip.title for clip in make_clips([walk, wave("g1")], ["a", "b"])] == [
        "a person walks forward",
        "b",
    ]
    with pytest.raises(InputError, match="no motion to draw"):
        make_clips([], None)


def test_points_fill_the_box_that_they_are_fitted_to() -> None:
    points = np.array([[-1.0, 3.0], [0.5, 7.0]])
    assert fit(points, 100, 1000) == 50  # a metre to the left of the centre: half the width
    assert fit(points, 1000, 100) == 25
    assert np.isfinite(fit(np.zeros((1, 2)), 100, 100))


def test_feet_are_the_halves_of_the_contacts_and_runs_are_spans() -> None:
    contacts = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    left, right = on_ground(contacts)
    assert left.tolist() == [True, True, False, False]
    assert right.tolist() == [False, False, True, False]
    assert runs(left) == [(0, 2)] and runs(right) == [(2, 3)]
    assert runs(np.zeros(3, bool)) == []
    assert runs(np.array([True, False, True])) == [(0, 1), (2, 3)]


def test_the_floor_fades_out() -> None:
    canvas = Canvas(200, 100)
    camera = Camera(np.zeros(3), np.array([0, 0.6, 0.8]), 10.0, 30.0, (100.0, 50.0))
    draw_floor(canvas, camera, 2.0)
    found = 255 - np.asarray(canvas.finish(), np.int64)[..., 0]
    assert found[40:60, 80:120].sum() > 0
    assert found[:, :20].sum() == 0 and found[:, -20:].sum() == 0
