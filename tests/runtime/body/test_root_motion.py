from __future__ import annotations

import math

import numpy as np
import pytest
from strides import SPEED_MPS, rounds, striding

from motionrt.runtime.body.loop import looped
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import (
    carried_by_root,
    headings,
    in_place,
    loop_step,
    moved_each,
    placed,
    root_path,
)
from motionrt.runtime.body.rotation import rotation_about_y
from motionrt.runtime.errors import InputError


def test_a_path_lies_on_the_floor_without_the_sway_of_steps() -> None:
    motion = striding()
    path, heading = root_path(motion)
    assert not path[:, 1].any()
    speed = np.linalg.norm(np.diff(path, axis=0), axis=-1) * motion.fps
    np.testing.assert_allclose(speed, SPEED_MPS, atol=0.05)
    middle = slice(30, -30)
    assert np.abs(heading[middle]).max() < 0.04 < np.abs(headings(motion)).max()


def test_in_place_stays_above_the_origin_and_faces_ahead() -> None:
    motion = striding(turn_radps=0.8, heading=0.7)
    still = in_place(motion)
    assert np.abs(still.root_positions[:, ::2]).max() < 0.05
    assert np.abs(headings(still)).max() < 0.2
    np.testing.assert_array_equal(still.root_positions[:, 1], motion.root_positions[:, 1])
    np.testing.assert_array_equal(still.local_rot_mats[:, 1:], motion.local_rot_mats[:, 1:])
    side = in_place(motion, face=math.pi / 2)
    turned = still.posed_joints @ rotation_about_y(math.pi / 2).T
    np.testing.assert_allclose(side.posed_joints, turned, atol=1e-5)


@pytest.mark.parametrize("smooth", [0.0, 0.25])
def test_in_place_along_the_path_is_the_motion(smooth: float) -> None:
    motion = striding(turn_radps=0.8, heading=0.7)
    still = in_place(motion, smooth_seconds=smooth)
    path, heading = root_path(motion, smooth)
    turn = rotation_about_y(heading)
    back = np.einsum("tij,tnj->tni", turn, still.posed_joints) + path[:, None]
    np.testing.assert_allclose(back, motion.posed_joints, atol=1e-5)
    carried = carried_by_root(motion, smooth)
    np.testing.assert_allclose(still.root_positions, carried.hips, atol=1e-5)
    np.testing.assert_allclose(still.local_rot_mats, carried.local_rot_mats, atol=1e-5)
    if not smooth:
        np.testing.assert_allclose(still.root_positions[:, ::2], 0, atol=1e-6)
        np.testing.assert_allclose(headings(still), 0, atol=1e-5)


@pytest.mark.parametrize("turn", [0.0, 0.8])
def test_a_loop_in_place_closes(turn: float) -> None:
    loop = in_place(looped(striding(turn_radps=turn, heading=0.7)).motion)
    np.testing.assert_allclose(loop.posed_joints[-1], loop.posed_joints[0], atol=2e-4)
    step, angle = loop_step(loop) or (np.ones(2), 1.0)
    assert not step.any() and angle == 0


def test_the_path_of_a_loop_is_one() -> None:
    loop = looped(striding(turn_radps=0.8, heading=2.0)).motion
    path, heading = root_path(loop)
    _, turn = loop_step(loop) or (0, 0.0)
    many = rounds(loop)
    middle = loop.num_frames - 1
    many_path, many_heading = root_path(many)
    there = many_path[middle : 2 * middle + 1]
    bend = many_heading[middle] - heading[0]
    assert bend == pytest.approx(turn, abs=1e-2)
    moved = (path - path[0]) @ rotation_about_y(bend).T + there[0]
    np.testing.assert_allclose(moved, there, atol=0.01)


def test_a_loop_is_placed_by_its_path() -> None:
    loop = placed(looped(striding(heading=1.2)).motion, face=0.0)
    path, heading = root_path(loop)
    np.testing.assert_allclose(path[0], 0, atol=1e-5)
    assert heading[0] == pytest.approx(0, abs=1e-5)
    assert abs(path[-1, 0]) < 0.15 < path[-1, 2]


@pytest.mark.parametrize("face", [0.0, math.pi / 2, -1.0])
def test_a_motion_is_placed_as_one(face: float) -> None:
    motion = striding(heading=1.2, turn_radps=0.3)
    moved = placed(motion, face=face)
    np.testing.assert_allclose(moved.root_positions[0, ::2], 0, atol=1e-6)
    assert math.remainder(headings(moved)[0] - face, math.tau) == pytest.approx(0, abs=1e-5)
    one = np.linalg.norm(np.diff(motion.posed_joints, axis=0), axis=-1)
    two = np.linalg.norm(np.diff(moved.posed_joints, axis=0), axis=-1)
    np.testing.assert_allclose(two, one, atol=1e-5)
    again, _ = motion.skeleton.forward_kinematics(moved.local_rot_mats, moved.root_positions)
    np.testing.assert_allclose(again, moved.posed_joints, atol=1e-4)


def test_facing_alone_turns_where_it_stands() -> None:
    motion = moved_each(striding(), np.zeros(120), np.tile([3.0, 0, 1], (120, 1)))
    moved = placed(motion, at_origin=False, face=1.0)
    np.testing.assert_allclose(moved.root_positions[0], motion.root_positions[0], atol=1e-5)


def test_what_the_motion_knows_of_its_heading_turns_too() -> None:
    motion = striding()
    motion = Motion.from_local(
        motion.local_rot_mats,
        motion.root_positions,
        motion.skeleton,
        30,
        smooth_root_pos=motion.root_positions,
        global_root_heading=np.tile([1.0, 0.0], (120, 1)),
    )
    moved = placed(motion, face=math.pi / 2 + float(headings(motion)[0]))
    heading, smooth = np.array(moved.global_root_heading), np.array(moved.smooth_root_pos)
    np.testing.assert_allclose(heading, np.tile([0, 1], (120, 1)), atol=1e-5)
    np.testing.assert_allclose(smooth, moved.root_positions, atol=1e-5)


def test_a_root_bone_carries_the_same_motion() -> None:
    motion = striding(turn_radps=0.5, heading=0.3)
    carried = carried_by_root(motion)
    turn = rotation_about_y(carried.heading)
    hips = (turn @ carried.hips[..., None])[..., 0] + carried.path
    np.testing.assert_allclose(hips, motion.root_positions, atol=1e-5)
    np.testing.assert_allclose(
        turn @ carried.local_rot_mats[:, 0], motion.local_rot_mats[:, 0], atol=1e-5
    )
    assert np.abs(carried.hips[:, ::2]).max() < 0.06


def test_a_window_of_years_is_a_wide_one() -> None:
    for motion in (striding(), looped(striding()).motion):
        path, heading = root_path(motion, 1e9)
        assert np.isfinite(path).all() and np.ptp(heading) < 0.2  # the hips swing by 0.16


@pytest.mark.parametrize("seconds", [-0.1, math.nan, math.inf])
def test_a_window_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(InputError, match="smooth_seconds"):
        root_path(striding(), seconds)


@pytest.mark.parametrize("told", [None, 3, {}, {"step_m": [1], "turn_deg": 0}, {"step_m": "x"}])
def test_what_is_no_loop_is_none(told: object) -> None:
    motion = striding(seconds=1)
    motion.info["loop"] = told
    assert loop_step(motion) is None
    assert in_place(motion).num_frames == motion.num_frames
