from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionrt.runtime.body.heading import forward_vectors, heading_across, hip_heading
from motionrt.runtime.body.rotation import rotation_about_y
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.errors import InputError

both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_skeletons_rest_facing_forward_and_a_turn_is_their_heading(name: str) -> None:
    skeleton = load_skeleton(name)
    joints = skeleton.rest_positions.astype(float)
    at_rest = hip_heading(joints, skeleton)
    assert at_rest == pytest.approx(0, abs=0.06)  # hips of captured bodies do not lie quite square
    angles = np.linspace(-3, 3, 7)
    turned = joints @ np.swapaxes(rotation_about_y(angles), -1, -2)
    np.testing.assert_allclose(hip_heading(turned, skeleton) - at_rest, angles, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.floats(-3.14, 3.14), st.floats(0.01, 10), st.floats(-5, 5))
def test_the_way_forward_is_square_to_the_line_between_the_sides(
    heading: float, width: float, rise: float
) -> None:
    forward = forward_vectors(np.array(heading))
    rightward = np.cross(forward, [0, 1, 0])
    found = heading_across(width * rightward + [0, rise, 0])
    assert found == pytest.approx(heading, abs=1e-9)
    np.testing.assert_allclose(forward_vectors(found), forward, atol=1e-9)


@both_types
def test_the_ways_that_headings_face(dtype: type[np.floating[Any]]) -> None:
    quarters = np.array([[0, np.pi / 2], [np.pi, -np.pi / 2]], dtype)
    got = forward_vectors(quarters)
    assert got.dtype == dtype
    want = [[[0, 0, 1], [1, 0, 0]], [[0, 0, -1], [-1, 0, 0]]]
    np.testing.assert_allclose(got, want, atol=1e-6)
    np.testing.assert_allclose(
        got, rotation_about_y(quarters) @ np.array([0, 0, 1], dtype), atol=1e-6
    )


@both_types
def test_sides_that_are_one_above_the_other_or_in_one_place_face_forward(
    dtype: type[np.floating[Any]],
) -> None:
    got = heading_across(np.array([[0, 0, 0], [0, 2, 0], [-0.0, 0, -0.0], [0, -1, -0.0]], dtype))
    np.testing.assert_array_equal(got, 0)
    assert got.dtype == dtype


def test_a_skeleton_without_hips_has_no_heading() -> None:
    skeleton = replace(load_skeleton("smplx22"), hip_joints=())
    with pytest.raises(InputError, match="hips"):
        hip_heading(np.zeros((2, 22, 3)), skeleton)
