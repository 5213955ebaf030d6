import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.limb_ik import (
    MAX_REACH,
    bend_limb,
    shortest_arc,
    turn_about,
    unit,
)

SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(SEEDS)
def test_turns_match_rotation_vectors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes, angles = unit(rng.normal(size=(5, 3))), rng.uniform(-3, 3, 5)
    expected = Rotation.from_rotvec(axes * angles[:, None]).as_matrix()
    np.testing.assert_allclose(turn_about(axes, angles), expected, atol=1e-12)


@settings(deadline=None)
@given(SEEDS)
def test_the_shortest_arc_turns_start_into_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, 6, 3))
    turned = np.einsum("tij,tj->ti", shortest_arc(start, end), start)
    np.testing.assert_allclose(unit(turned), unit(end), atol=2e-3)


def test_directions_that_are_one_in_float32_do_not_turn() -> None:
    start, end = np.array([[1.0, 0, 0]]), np.array([[1.0, 1e-3, 0]])
    np.testing.assert_array_equal(shortest_arc(start, end), np.eye(3)[None])


def test_zero_and_opposite_directions_give_rotations() -> None:
    start = np.array([[0.0, 0, 0], [1, 0, 0]])
    end = np.array([[1.0, 0, 0], [-1, 0, 0]])
    turns = shortest_arc(start, end)
    assert np.isfinite(turns).all()
    np.testing.assert_allclose(turns[0], np.eye(3))


@settings(deadline=None)
@given(SEEDS, st.floats(0.05, 3.0))
def test_a_limb_bends_to_its_target_as_far_as_it_reaches(seed: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    upper, lower = 0.4, 0.5
    hip = rng.normal(size=(1, 3))
    knee = hip + unit(rng.normal(size=(1, 3))) * upper
    ankle = knee + unit(rng.normal(size=(1, 3))) * lower
    target = hip + unit(rng.normal(size=(1, 3))) * reach
    # A hint in the plane of the limb: the bend is exact then.
    middle = (hip + ankle) / 2
    hint = knee + (knee - middle)
    if np.linalg.norm(np.cross(ankle - hip, hint - hip)) < 1e-3:
        return  # a straight limb has no plane
    upper_turn, lower_turn = bend_limb(hip, knee, ankle, hint, target, (upper, lower))
    new_knee = hip + np.einsum("tij,tj->ti", upper_turn, knee - hip)
    new_ankle = new_knee + np.einsum("tij,tj->ti", upper_turn @ lower_turn, ankle - knee)
    distance = float(np.clip(reach, abs(upper - lower), MAX_REACH * (upper + lower)))
    expected = hip + unit(target - hip) * distance
    np.testing.assert_allclose(new_ankle, expected, atol=3e-3)


def test_a_straight_limb_without_a_plane_stays_finite() -> None:
    hip, knee, ankle = np.zeros((1, 3)), np.array([[0, -1.0, 0]]), np.array([[0, -2.0, 0]])
    turns = bend_limb(hip, knee, ankle, knee, np.array([[0, -1.5, 0]]), (1.0, 1.0))
    assert all(np.isfinite(turn).all() for turn in turns)
