from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton
from motionrt.viewer.figure import facing, make_figure, side_of


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("LeftArm", "left"),
        ("right_hip_pitch_skel", "right"),
        ("l_hand", "left"),
        ("R_Knee", "right"),
        ("LHipJoint", "left"),
        ("mixamorig:RightToeBase", "right"),
        ("Hips", "centre"),
        ("lower_back", "centre"),
        ("pelvis_skel", "centre"),
        ("Root", "centre"),
    ],
)
def test_side_follows_from_the_name(name: str, side: str) -> None:
    assert side_of(name) == side


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_every_skeleton_becomes_two_arms_two_legs_a_trunk_and_a_head(name: str) -> None:
    skeleton = load_skeleton(name)
    figure = make_figure(skeleton)
    assert sorted(part.side for part in figure.parts) == ["centre", *["left"] * 2, *["right"] * 2]
    assert figure.head is not None
    rest = skeleton.rest_positions.astype(np.float64)
    assert figure.head.centre(rest)[1] > rest[list(skeleton.hip_joints), 1].max() + 0.3
    assert 0.9 < figure.height < 2.0
    drawn = [child for part in figure.parts for _, child in part.bones]
    assert len(drawn) == len(set(drawn))
    missing = {skeleton.joint_names[j] for j in set(range(1, len(rest))) - set(drawn)}
    assert missing <= {"HeadEnd", "Jaw", "LeftEye", "RightEye"}  # the head ball stands for them


def test_fingers_are_thinner_than_the_forearm() -> None:
    skeleton = load_skeleton("soma77")
    radii = make_figure(skeleton).radii
    finger, arm = skeleton.index("LeftHandIndex3"), skeleton.index("LeftForeArm")
    assert 0 < radii[finger] < 0.5 * radii[arm]


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_figures_face_forward_at_rest_and_turn_with_their_joints(
    name: str, wave: Callable[[str], Motion]
) -> None:
    motion = wave(name)
    figure = make_figure(motion.skeleton)
    rest = motion.skeleton.rest_positions[None].astype(np.float64)
    assert facing(figure, motion.skeleton, rest)[0] @ [0, 0, 1] > 0.98
    quarter = rest @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # rows: +z goes to +x
    assert facing(figure, motion.skeleton, quarter)[0] @ [1, 0, 0] > 0.98
    nowhere = np.zeros_like(rest)
    headings = facing(figure, motion.skeleton, np.concatenate([nowhere, quarter, nowhere, nowhere]))
    np.testing.assert_array_equal(headings, [[0, 0, 1], headings[1], headings[1], headings[1]])


def test_a_skeleton_without_sides_or_head_is_drawn_as_a_trunk() -> None:
    rest = np.array([[0, 0, 0], [0, 0.5, 0], [0, 1, 0]], np.float32)
    skeleton = Skeleton("chain", ("a", "b", "c"), np.array([-1, 0, 1]), rest)
    figure = make_figure(skeleton)
    assert [(part.side, part.bones) for part in figure.parts] == [("centre", ((0, 1), (1, 2)))]
    assert figure.head is None
    np.testing.assert_array_equal(facing(figure, skeleton, rest[None].astype(float)), [[0, 0, 1]])
