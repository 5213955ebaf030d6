from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.frame import AXES, Frame, in_frame
from motionrt.runtime.errors import InputError

FRAMES = [
    Frame(up, forward, left_handed, scale)
    for up in AXES
    for forward in AXES
    if up[1] != forward[1]
    for left_handed, scale in ((False, 1.0), (True, 100.0))
]


@pytest.mark.parametrize("frame", FRAMES)
def test_axes_go_where_the_frame_has_them(frame: Frame) -> None:
    def axis(name: str) -> np.ndarray:
        return np.asarray(np.eye(3)["xyz".index(name[1])] * (-1 if name[0] == "-" else 1))

    scale = frame.units_per_metre
    np.testing.assert_allclose(frame.positions(np.array([0.0, 1, 0])), scale * axis(frame.up))
    np.testing.assert_allclose(frame.positions(np.array([0.0, 0, 1])), scale * axis(frame.forward))
    assert np.linalg.det(frame.matrix) == pytest.approx(-1 if frame.left_handed else 1)


@pytest.mark.parametrize(
    ("frame", "left"),
    [  # a body's left, by what is known of each program
        (Frame("+z", "-y"), [1, 0, 0]),  # Blender: the front view looks along +y
        (Frame("+y", "+z", True), [-1, 0, 0]),  # Unity: right is +x
        (Frame("+z", "+x", True), [0, -1, 0]),  # Unreal's actors: right is +y
        (Frame("+y", "-z"), [-1, 0, 0]),  # Roblox: right is +x
        (Frame("+z", "+x"), [0, 1, 0]),  # MuJoCo and ROS: left is +y
    ],
)
def test_left_is_where_a_program_has_it(frame: Frame, left: list[float]) -> None:
    np.testing.assert_allclose(frame.positions(np.array([1.0, 0, 0])), left, atol=1e-12)


@pytest.mark.parametrize("frame", FRAMES[::5])
def test_a_motion_in_a_frame_poses_its_skeleton(frame: Frame) -> None:
    motion = striding(seconds=1, heading=0.4)
    there = in_frame(motion, frame)
    places, turns = there.skeleton.forward_kinematics(there.local_rot_mats, there.root_positions)
    scale = frame.units_per_metre
    np.testing.assert_allclose(places, frame.positions(motion.posed_joints), atol=1e-4 * scale)
    np.testing.assert_allclose(turns, there.global_rot_mats, atol=1e-4)
    assert np.linalg.det(turns).min() > 0.999


@pytest.mark.parametrize(
    "wrong",
    [
        {"up": "y"},
        {"forward": "+w"},
        {"up": "+z", "forward": "-z"},
        {"units_per_metre": 0.0},
        {"units_per_metre": float("inf")},
    ],
)
def test_no_frame_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"up|forward|units"):
        Frame(**wrong)
