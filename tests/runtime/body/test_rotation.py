from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motionrt.runtime.body import rotation as rot

RANDOM = Rotation.random(500, rng=np.random.default_rng(0))
MATRICES = RANDOM.as_matrix()

vectors = arrays(np.float64, (5, 3), elements=st.floats(-3.0, 3.0))
seeds = st.integers(0, 2**32 - 1)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
X, Y, Z = np.eye(3)
DType: TypeAlias = type[np.floating[Any]]


def turned(matrices: NDArray[Any], directions: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.einsum("...ij,...j->...i", matrices, directions))


@both_types
def test_unit_vectors_keep_type_and_shape_and_zero_stays_zero(dtype: DType) -> None:
    got = rot.unit(np.array([[[0, 3, 4], [0, 0, 0]], [[1e-13, 0, 0], [1e-9, 0, 0]]], dtype))
    np.testing.assert_array_equal(got[0], np.array([[0, 0.6, 0.8], [0, 0, 0]], dtype))
    np.testing.assert_allclose(got[1], [[0, 0, 0], [1, 0, 0]], atol=1e-6)
    assert got.dtype == dtype
    np.testing.assert_allclose(rot.unit(np.array([1, 1, 1, 1], dtype)), 0.5)  # any width


@both_types
def test_unit_vectors_of_zero_are_nan_where_asked_for_without_a_warning(dtype: DType) -> None:
    got = rot.unit(np.array([[0, 0, 0], [1e-13, 0, 0]], dtype), nan_if_zero=True)
    assert np.isnan(got[0]).all()
    np.testing.assert_allclose(got[1], [1, 0, 0])
    assert got.dtype == dtype


def test_unit_vectors_of_nan_are_nan() -> None:
    assert np.isnan(rot.unit(np.array([np.nan, 1, 0]))).all()


@both_types
def test_a_perpendicular_is_square_and_of_length_one(dtype: DType) -> None:
    directions = np.concatenate([np.eye(3), -np.eye(3), MATRICES[:, 0]]).astype(dtype)
    got = rot.perpendicular(directions)
    assert got.dtype == dtype
    np.testing.assert_allclose(np.sum(got * directions, axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(got, axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(rot.perpendicular(np.zeros(3, dtype)), 0)


@both_types
@pytest.mark.parametrize("gap", [0, 1e-9, 1e-4, 0.1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_shortest_arc_turns_directions_that_are_nearly_equal_or_opposite(
    sign: int, gap: float, dtype: DType
) -> None:
    rng = np.random.default_rng(0)
    start = np.concatenate([np.eye(3), rng.normal(size=(200, 3))]).astype(dtype)
    aside = rng.normal(size=start.shape)
    end = (sign * 3 * (rot.unit(start) + gap * aside)).astype(dtype)
    got = rot.shortest_arc(start, end)
    assert got.dtype == dtype
    atol = 20 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(turned(got, rot.unit(start)), rot.unit(end), atol=atol)
    np.testing.assert_allclose(
        got @ np.swapaxes(got, -1, -2), np.tile(np.eye(3), (203, 1, 1)), atol=atol
    )
    np.testing.assert_allclose(np.linalg.det(got), 1, atol=atol)
    quaternions = rot.shortest_arc_quaternion(start, end)
    assert quaternions.dtype == dtype
    assert (quaternions[..., 0] >= 0).all()
    np.testing.assert_allclose(rot.quaternion_to_matrix(quaternions), got, atol=atol)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=atol)


@settings(max_examples=50, deadline=None)
@given(vectors, vectors)
def test_the_shortest_arc_is_the_smallest_turn_from_start_to_end(
    start: NDArray[np.float64], end: NDArray[np.float64]
) -> None:
    got = rot.shortest_arc(start, end)
    a, b = rot.unit(start), rot.unit(end)
    known = a.any(axis=-1) & b.any(axis=-1)
    np.testing.assert_allclose(turned(got, a)[known], b[known], atol=1e-14)
    np.testing.assert_array_equal(got[~known], np.tile(np.eye(3), (int((~known).sum()), 1, 1)))
    # Of all turns from a to b, the one by the angle between them is the smallest.
    cosine = (np.trace(got, axis1=-2, axis2=-1) - 1) / 2
    np.testing.assert_allclose(cosine[known], np.sum(a * b, axis=-1)[known], atol=1e-14)
    np.testing.assert_allclose(
        rot.shortest_arc(end, start) @ got, rot.shortest_arc(start, start), atol=1e-7
    )


@both_types
def test_equal_directions_do_not_turn_at_all(dtype: DType) -> None:
    start = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    np.testing.assert_array_equal(rot.shortest_arc(start, start), np.tile(np.eye(3), (50, 1, 1)))
    np.testing.assert_array_equal(
        rot.shortest_arc_quaternion(start, start), np.tile([1, 0, 0, 0], (50, 1))
    )


@both_types
def test_opposite_directions_make_a_half_turn_about_the_perpendicular(dtype: DType) -> None:
    start = np.eye(3, dtype=dtype)
    got = rot.shortest_arc(start, -2 * start)
    half_turns = rot.turn_about(rot.perpendicular(start), np.full(3, np.pi, dtype))
    np.testing.assert_allclose(got, half_turns, atol=1e-6)
    quaternions = rot.shortest_arc_quaternion(start, -2 * start)
    np.testing.assert_array_equal(quaternions[:, 0], 0)
    np.testing.assert_allclose(quaternions[:, 1:], rot.perpendicular(start), atol=1e-6)


@both_types
def test_directions_without_a_length_do_not_turn(dtype: DType) -> None:
    start = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [1e-13, 0, 0]], dtype)
    end = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0], [-1, 0, 0]], dtype)
    np.testing.assert_array_equal(rot.shortest_arc(start, end), np.tile(np.eye(3), (4, 1, 1)))
    np.testing.assert_array_equal(
        rot.shortest_arc_quaternion(start, end), np.tile([1, 0, 0, 0], (4, 1))
    )


def test_shortest_arcs_broadcast_and_take_the_finer_type() -> None:
    ends = np.random.default_rng(0).normal(size=(4, 5, 3))
    start = np.array([0.6, 0, 0.8], np.float32)
    got = rot.shortest_arc(start, ends)
    assert got.shape == (4, 5, 3, 3)
    assert got.dtype == np.float64
    for row in range(4):
        np.testing.assert_array_equal(rot.shortest_arc(start, ends[row, 2]), got[row, 2])
    # The same numbers in another type are the same direction, and so they are opposite.
    np.testing.assert_allclose(
        turned(rot.shortest_arc(start, -start.astype(float)), start), -start, atol=1e-14
    )


def test_shortest_arcs_of_nan_are_nan_and_alone() -> None:
    got = rot.shortest_arc(np.array([[np.nan, 0, 1], X]), np.array([Y, -X]))
    assert np.isnan(got[0]).any()
    np.testing.assert_allclose(got[1] @ X, -X, atol=1e-15)


@both_types
def test_directions_nearer_than_a_cosine_do_not_turn_where_asked_for(dtype: DType) -> None:
    start = np.tile(X, (4, 1)).astype(dtype)
    end = np.array([[1, 1e-3, 0], [1, 1e-2, 0], [-1, 0, 0], [1, 0, 0]], dtype)
    got = rot.shortest_arc(start, end, still_above=1 - 1.19e-6)
    np.testing.assert_array_equal(got[[0, 3]], np.tile(np.eye(3), (2, 1, 1)))
    np.testing.assert_array_equal(got[1:3], rot.shortest_arc(start, end)[1:3])
    one = rot.shortest_arc(start[0], end[0], still_above=1 - 1.19e-6)
    np.testing.assert_array_equal(one, np.eye(3))


@both_types
def test_turns_about_axes_match_scipy(dtype: DType) -> None:
    rng = np.random.default_rng(0)
    axes, angles = rot.unit(rng.normal(size=(7, 4, 3))), rng.uniform(-7, 7, (7, 4))
    got = rot.turn_about(axes.astype(dtype), angles.astype(dtype))
    want = Rotation.from_rotvec((axes * angles[..., None]).reshape(-1, 3)).as_matrix()
    assert got.dtype == dtype
    np.testing.assert_allclose(got.reshape(-1, 3, 3), want, atol=20 * float(np.finfo(dtype).eps))


@both_types
def test_no_angle_and_no_axis_turn_nothing(dtype: DType) -> None:
    axes, angles = np.array([X, np.zeros(3)], dtype), np.array([0, 2], dtype)
    np.testing.assert_array_equal(rot.turn_about(axes, angles), np.tile(np.eye(3), (2, 1, 1)))


def test_rot6d_round_trip_and_rule() -> None:
    np.testing.assert_allclose(
        rot.rot6d_to_matrix(rot.matrix_to_rot6d(MATRICES)), MATRICES, atol=1e-12
    )
    got = rot.rot6d_to_matrix(np.array([[2, 0, 0, 5, 3, 0]], np.float32))
    np.testing.assert_allclose(got[0], np.eye(3), atol=1e-7)
    assert got.dtype == np.float32


def test_rot6d_of_parallel_columns_is_nan_without_a_warning() -> None:
    assert np.isnan(rot.rot6d_to_matrix(np.array([1, 0, 0, 2, 0, 0], np.float32))).any()


def test_quaternions_match_scipy_up_to_sign() -> None:
    got = rot.matrix_to_quaternion(MATRICES)
    want = RANDOM.as_quat(scalar_first=True)
    np.testing.assert_allclose(np.abs(np.sum(got * want, axis=-1)), 1, atol=1e-12)
    np.testing.assert_allclose(rot.quaternion_to_matrix(got), MATRICES, atol=1e-12)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
def test_quaternions_of_half_turns(axis: list[float]) -> None:
    matrix = Rotation.from_rotvec(np.pi * np.array(axis)).as_matrix().astype(np.float32)
    np.testing.assert_allclose(rot.matrix_to_quaternion(matrix), [0, *axis], atol=1e-6)


def test_products_compose_like_matrices() -> None:
    first, second = (
        rot.matrix_to_quaternion(MATRICES[:250]),
        rot.matrix_to_quaternion(MATRICES[250:]),
    )
    got = rot.quaternion_to_matrix(rot.multiply_quaternions(first, second))
    np.testing.assert_allclose(got, MATRICES[:250] @ MATRICES[250:], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_the_product_is_associative_and_the_inverse_undoes_it(seed: int) -> None:
    a, b, c = rot.unit(np.random.default_rng(seed).normal(size=(3, 6, 4)))
    times = rot.multiply_quaternions
    np.testing.assert_allclose(times(times(a, b), c), times(a, times(b, c)), atol=1e-14)
    one = np.tile([1.0, 0, 0, 0], (6, 1))
    np.testing.assert_allclose(times(a, rot.inverse_quaternions(a)), one, atol=1e-14)
    np.testing.assert_array_equal(times(a, one), a)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_quaternions_turn_vectors_as_their_matrices_and_their_inverse_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quaternions, points = rot.unit(rng.normal(size=(6, 1, 4))), rng.normal(size=(6, 3, 3))
    got = rot.rotate_vectors(quaternions, points)
    want = turned(rot.quaternion_to_matrix(quaternions), points)
    np.testing.assert_allclose(got, want, atol=1e-14)
    back = rot.rotate_vectors(rot.inverse_quaternions(quaternions), got)
    np.testing.assert_allclose(back, points, atol=1e-14)


@both_types
def test_turned_vectors_keep_their_type_and_zero_stays_zero(dtype: DType) -> None:
    quaternions, points = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], dtype), np.array([Y, Y], dtype)
    got = rot.rotate_vectors(quaternions, points)
    assert got.dtype == rot.inverse_quaternions(quaternions).dtype == dtype
    np.testing.assert_array_equal(got, [Y, -Y])
    np.testing.assert_array_equal(rot.rotate_vectors(quaternions, 0 * points), 0 * points)


@settings(max_examples=50, deadline=None)
@given(vectors)
def test_axis_angle_round_trip(vector: NDArray[np.float64]) -> None:
    vector = vector / np.sqrt(3)  # at most 3 radians: below a half turn
    matrix = rot.axis_angle_to_matrix(vector)
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(vector).as_matrix(), atol=3e-6)
    np.testing.assert_allclose(rot.matrix_to_axis_angle(matrix), vector, atol=1e-4)


def test_euler_angles_multiply_back_and_match_scipy() -> None:
    angles = rot.matrix_to_euler_zyx(MATRICES)
    np.testing.assert_allclose(rot.euler_to_matrix(angles, "ZYX"), MATRICES, atol=1e-9)
    for order in ("XYZ", "YZX", "ZXY", "XZY", "YXZ", "Z", "XY"):
        angles = np.random.default_rng(1).uniform(-3, 3, (20, len(order)))
        want = Rotation.from_euler(order, angles).as_matrix()
        np.testing.assert_allclose(rot.euler_to_matrix(angles, order), want, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (40, 2, 3), elements=st.floats(-0.4, 0.4)))
def test_unwrapped_tracks_encode_the_same_rotations_without_whole_turns(
    steps: NDArray[np.float64],
) -> None:
    turns = rot.euler_to_matrix(np.cumsum(steps * 4, axis=0), "ZYX")
    angles = rot.unwrap_euler_zyx(rot.matrix_to_euler_zyx(turns))
    assert np.abs(np.diff(angles, axis=0)).max() <= np.pi + 1e-6
    np.testing.assert_allclose(rot.euler_to_matrix(angles, "ZYX"), turns, atol=1e-6)


def test_a_steady_turn_through_gimbal_lock_has_no_jump() -> None:
    angle = np.linspace(0, 6 * np.pi, 400)
    matrices = Rotation.from_rotvec(angle[:, None] * np.array([0.01, 1, 0.02])).as_matrix()
    angles = rot.unwrap_euler_zyx(rot.matrix_to_euler_zyx(matrices))
    assert np.degrees(np.abs(np.diff(angles[:, 1])).max()) < 5


def test_slerp_matches_scipy_and_takes_the_short_way() -> None:
    from scipy.spatial.transform import Slerp

    quaternions = RANDOM[:2].as_quat(scalar_first=True)
    fractions = np.linspace(0, 1, 7)
    want = Slerp([0, 1], RANDOM[:2])(fractions).as_matrix()
    got = rot.slerp(quaternions[:1], -quaternions[1:], fractions)
    np.testing.assert_allclose(rot.quaternion_to_matrix(got), want, atol=1e-9)


def test_slerp_of_equal_rotations_is_exact() -> None:
    quaternion = np.array([[1, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(
        rot.slerp(quaternion, quaternion, np.array([0.3], np.float32)), quaternion
    )


def test_continuous_quaternions_only_change_signs() -> None:
    track = rot.matrix_to_quaternion(
        Rotation.from_rotvec(np.linspace(0, 12, 90)[:, None] * [[0, 0.6, 0.8]]).as_matrix()
    )
    smooth = rot.continuous_quaternions(track)
    np.testing.assert_array_equal(np.abs(smooth), np.abs(track))
    assert np.all(np.sum(smooth[1:] * smooth[:-1], axis=-1) > 0)


def test_a_quarter_turn_about_y_takes_z_to_x() -> None:
    turn = rot.rotation_about_y(np.float32(np.pi / 2))
    np.testing.assert_allclose(turn @ np.array([0, 0, 1], np.float32), [1, 0, 0], atol=1e-6)


@both_types
def test_quaternions_about_y_turn_as_the_matrices_do(dtype: DType) -> None:
    angles = np.linspace(-7, 7, 30, dtype=dtype).reshape(5, 6)
    got = rot.quaternion_about_y(angles)
    assert got.dtype == rot.rotation_about_y(angles).dtype == dtype
    np.testing.assert_allclose(
        rot.quaternion_to_matrix(got), rot.rotation_about_y(angles), atol=1e-6
    )
    np.testing.assert_array_equal(rot.quaternion_about_y(np.zeros((), dtype)), [1, 0, 0, 0])


@both_types
def test_a_rotation_vector_of_zero_turns_nothing(dtype: DType) -> None:
    got = rot.axis_angle_to_matrix(np.zeros((2, 3), dtype))
    np.testing.assert_array_equal(got, np.tile(np.eye(3), (2, 1, 1)))
    assert got.dtype == dtype


def test_wrong_shapes_are_refused() -> None:
    wrong, right = np.zeros((2, 5), np.float32), np.zeros((2, 3), np.float32)
    calls: list[Callable[[], object]] = [
        lambda: rot.rot6d_to_matrix(wrong),
        lambda: rot.quaternion_to_matrix(wrong),
        lambda: rot.axis_angle_to_matrix(wrong),
        lambda: rot.shortest_arc(wrong, right),
        lambda: rot.shortest_arc_quaternion(wrong, right),
        lambda: rot.rotate_vectors(wrong, right),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="last axis must be"):
            call()
    with pytest.raises(ValueError, match="last axis must be 3"):
        rot.turn_about(np.zeros((2, 4)), np.zeros(2))
    with pytest.raises(ValueError, match="must be"):
        rot.matrix_to_quaternion(np.zeros(3))
    with pytest.raises(ValueError, match="order"):
        rot.euler_to_matrix(np.zeros(3), "ABC")
