from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.blend import blended
from motionrt.runtime.body.finishing import finish
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.quality import Figure, body_scale, judge
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton

FPS = 20
FRAMES = 60


def statue(name: str = "cmu22", moved: Any = 0.0, frames: int = FRAMES) -> Motion:
    """Stand in the rest pose, a toe's height above the floor, the root moved by (T, 3) metres."""
    skeleton = load_skeleton(name)
    local = np.tile(np.eye(3, dtype=np.float32), (frames, skeleton.num_joints, 1, 1))
    root = np.zeros((frames, 3)) + moved
    rest = skeleton.rest_positions - skeleton.rest_positions[0]
    root[:, 1] += 0.02 - rest[:, 1].min()
    return Motion.from_local(local, root, skeleton, FPS)


def ways(speed_mps: float, axis: int, height: float = 0.0) -> Any:
    moved = np.full((FRAMES, 3), [0, height, 0])
    moved[:, axis] = np.arange(FRAMES) * speed_mps / FPS
    return moved


def outside(motion: Motion) -> dict[str, Figure]:
    return {figure.name: figure for figure in judge(motion).outside}


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_who_stands_is_a_body(name: str) -> None:
    quality = judge(statue(name))
    assert quality.outside == () and quality.warning() is None
    assert quality.to_json()["height_m"] == pytest.approx(0.02, abs=1e-4)


def test_a_leap_through_the_room_is_seen_where_it_is() -> None:
    moved = np.zeros((FRAMES, 3))
    moved[30:, 2] = 3.0
    found = outside(statue(moved=moved))
    figure = found["root_speed_mps"]
    assert figure.joint == "Hips" and figure.value == pytest.approx(30)
    assert (figure.first_frame, figure.last_frame) == (28, 31)
    assert found["joint_speed_mps"].value == pytest.approx(30)


def test_heights_are_of_the_whole_body_and_depths_of_a_joint() -> None:
    moved = np.zeros((FRAMES, 3))
    moved[10:20, 1] = 2.5
    moved[40, 1] = -0.15
    found = outside(statue(moved=moved))
    assert found["height_m"].value == pytest.approx(2.52, abs=1e-3)
    assert (found["height_m"].first_frame, found["height_m"].last_frame) == (10, 19)
    depth = found["depth_m"]
    assert depth.value == pytest.approx(0.13, abs=1e-3) and "Toe" in str(depth.joint)
    assert (depth.first_frame, depth.last_frame) == (40, 40)
    below = np.zeros((FRAMES, 3))
    below[:, 1] = -0.1  # eight centimetres under the floor: recordings have that
    assert "depth_m" not in outside(statue(moved=below))


def test_a_body_slides_where_nothing_near_the_floor_is_still() -> None:
    found = outside(statue(moved=ways(2.0, 2)))
    assert found["body_slide_m"].value == pytest.approx(2 * (FRAMES - 1) / FPS, abs=1e-3)
    short = ways(3.0, 2)
    short[10:, 2] = short[10, 2]  # half a second
    assert outside(statue(moved=short)) == {}
    high = ways(2.0, 2, height=0.5)  # a flight has nothing to slide on
    assert "body_slide_m" not in outside(statue(moved=high))


def test_a_foot_slides_if_the_motion_says_that_it_stands() -> None:
    creeping = statue(moved=ways(0.2, 0))
    assert outside(creeping) == {}
    contacts = np.zeros((FRAMES, 4), bool)
    contacts[10:50, 1] = True
    figure = outside(replace(creeping, foot_contacts=contacts))["foot_slide_m"]
    assert figure.joint == creeping.skeleton.joint_names[creeping.skeleton.foot_joints[1]]
    assert figure.value == pytest.approx(0.2 * 39 / FPS, abs=1e-3)
    assert (figure.first_frame, figure.last_frame) == (10, 49)
    contacts[30] = False  # two stances, each short enough
    assert outside(replace(creeping, foot_contacts=contacts)) == {}


def test_trembling_is_seen_in_its_second_at_any_rate() -> None:
    noise = np.zeros((FRAMES, 3))
    noise[20:40] = np.random.default_rng(0).normal(size=(20, 3)) * 0.08
    noise[:, 1] = 0
    still = statue()
    trembling = Motion.from_local(
        still.local_rot_mats, still.root_positions + noise, still.skeleton, FPS
    )
    figure = outside(trembling)["jitter_mps3"]
    assert 0 < figure.first_frame <= 20 and 40 <= figure.last_frame < FRAMES
    assert figure.limit == pytest.approx(1500 * body_scale(still.skeleton))
    faster = replace(trembling, fps=60.0)
    limits = {figure.name: figure.limit for figure in judge(faster).figures}
    assert limits["jitter_mps3"] == pytest.approx(figure.limit * 3**1.7)


def test_limits_go_with_the_size_of_the_body() -> None:
    assert body_scale(load_skeleton("cmu22")) == pytest.approx(1, abs=0.01)
    assert body_scale(load_skeleton("g1")) == pytest.approx(0.7, abs=0.03)
    moved = ways(10.0, 2, height=0.5)
    assert "root_speed_mps" not in outside(statue(moved=moved))
    assert "root_speed_mps" in outside(statue("g1", moved=moved))


def test_what_a_motion_cannot_say_is_left_out() -> None:
    one = judge(statue(frames=1)).to_json()
    assert set(one) == {"height_m", "depth_m", "outside"}
    three = judge(statue(frames=3)).to_json()
    assert "jitter_mps3" not in three and three["root_speed_mps"] == 0
    motion = statue()
    described = motion.skeleton.to_dict()
    for name in ("left_foot_joints", "right_foot_joints"):
        described[name] = []
    footless = type(motion.skeleton).from_dict(described)
    contacts = np.ones((FRAMES, 4), bool)
    bare = replace(motion, skeleton=footless, foot_contacts=contacts)
    assert "foot_slide_m" not in judge(bare).to_json()


def test_what_was_put_in_place_may_slide() -> None:
    walk = striding()
    still = finish(walk, in_place=True)
    assert still.info["in_place"] is True and "in_place" not in walk.info
    assert "foot_slide_m" in outside(replace(still, info={}))
    assert not {"body_slide_m", "foot_slide_m"} & judge(still).to_json().keys()
    assert blended(still, still).info["in_place"] is True
    assert "in_place" not in blended(still, walk).info


def test_one_line_names_the_worst_and_counts_the_rest() -> None:
    moved = np.zeros((FRAMES, 3))
    moved[30:] = [0, 400, 400]
    moved[50:, 1] = -300
    told = judge(statue(moved=moved)).warning()
    assert told is not None and "\n" not in told
    assert told.startswith("no body moves like this: ")
    assert "300 m under the floor (at most 0.10) from 2.50 to 2.95 s (frames 50 to 59)" in told
    assert told.endswith("; and 2 more")
    single = judge(statue(moved=np.array([0, 3.0, 0]))).warning()
    assert single == (
        "no body moves like this: the whole body is 3.02 m above the floor (at most 2.01) "
        "from 0.00 to 2.95 s (frames 0 to 59)"
    )


def test_figures_are_jsons() -> None:
    values = judge(statue(moved=ways(20.0, 2))).to_json()
    found = {entry["name"]: entry for entry in values["outside"]}
    assert values["root_speed_mps"] == 20.0
    assert found["root_speed_mps"] == {
        "name": "root_speed_mps",
        "value": 20.0,
        "limit": pytest.approx(12.03, abs=0.01),
        "joint": "Hips",
        "first_frame": 0,
        "last_frame": FRAMES - 1,
    }
