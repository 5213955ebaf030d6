import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from motionrt.runtime.body.limb_ik import MAX_REACH, bend_limb
from motionrt.runtime.body.rotation import unit

SEEDS = st.integers(0, 2**32 - 1)


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


def test_a_limb_is_not_aimed_where_float32_sees_one_direction() -> None:
    hip, knee, ankle = np.zeros((1, 3)), np.array([[0, -1.0, 0.1]]), np.array([[0, -1.9, 0]])
    hint, target = np.array([[0, -1.0, 1.0]]), np.array([[1e-3, -1.9, 0]])
    upper, lower = bend_limb(hip, knee, ankle, hint, target, (1.005, 0.9056))
    for turn in (upper[0], lower[0]):  # they bend in the limb's plane, about x alone
        np.testing.assert_array_equal(turn[0], [1, 0, 0])
