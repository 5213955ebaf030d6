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


def test_rot6d_round_trip_and_rule() -> None:
    np.testing.assert_allclose(
        rot.rot6d_to_matrix(rot.matrix_to_rot6d(MATRICES)), MATRICES, atol=1e-12
    )
    got = rot.rot6d_to_matrix(np.float32([[2, 0, 0, 5, 3, 0]]))
    np.testing.assert_allclose(got[0], np.eye(3), atol=1e-7)
    assert got.dtype == np.float32


def test_rot6d_of_parallel_columns_is_nan_without_a_warning() -> None:
    assert np.isnan(rot.rot6d_to_matrix(np.float32([1, 0, 0, 2, 0, 0]))).any()


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
    quaternion = np.float32([[1, 0, 0, 0]])
    np.testing.assert_array_equal(rot.slerp(quaternion, quaternion, np.float32([0.3])), quaternion)


def test_continuous_quaternions_only_change_signs() -> None:
    track = rot.matrix_to_quaternion(
        Rotation.from_rotvec(np.linspace(0, 12, 90)[:, None] * [[0, 0.6, 0.8]]).as_matrix()
    )
    smooth = rot.continuous_quaternions(track)
    np.testing.assert_array_equal(np.abs(smooth), np.abs(track))
    assert np.all(np.sum(smooth[1:] * smooth[:-1], axis=-1) > 0)


def test_a_quarter_turn_about_y_takes_z_to_x() -> None:
    turn = rot.rotation_about_y(np.float32(np.pi / 2))
    np.testing.assert_allclose(turn @ np.float32([0, 0, 1]), [1, 0, 0], atol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    for function in (rot.rot6d_to_matrix, rot.quaternion_to_matrix, rot.axis_angle_to_matrix):
        with pytest.raises(ValueError, match="last axis must be"):
            function(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="must be"):
        rot.matrix_to_quaternion(np.zeros(3))
    with pytest.raises(ValueError, match="order"):
        rot.euler_to_matrix(np.zeros(3), "ABC")
