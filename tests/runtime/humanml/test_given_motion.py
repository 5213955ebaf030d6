import numpy as np
import pytest
from walking import walking

from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import features_to_joints, joints_to_features
from motionrt.runtime.humanml.given_motion import GivenMotion, checked_array, features_of
from motionrt.runtime.humanml.joints import motion_from_joints


def test_every_form_of_a_motion_gives_the_same_features() -> None:
    joints = walking(40).astype(np.float32)
    features = features_of(joints)
    motion = motion_from_joints(joints)
    np.testing.assert_allclose(features_of(motion), features, atol=1e-5)
    np.testing.assert_array_equal(features_of(features), features)
    for given in (joints, motion):
        whole = GivenMotion.of(given)
        np.testing.assert_allclose(whole.first_features(100), features, atol=1e-4)


def test_the_end_is_described_from_where_it_begins() -> None:
    given = GivenMotion.of(walking(60, turn=0.05))
    features = given.last_features(20)
    assert len(features) == 20
    joints = features_to_joints(features)
    np.testing.assert_allclose(joints[0, 0, [0, 2]], 0, atol=1e-6)
    assert len(given.last_features(100)) == 59


def test_a_motion_is_carried_on_where_it_stood() -> None:
    joints = walking(40) + np.array([5.0, 0, 2.0])
    given = GivenMotion.of(joints)
    result = given.carried_on(walking(20))
    assert result.shape == (60, 22, 3)
    np.testing.assert_allclose(
        result[0, 0, [0, 2]], joints[0, 0, [0, 2]] * given.placement.scale, atol=1e-4
    )


def test_two_motions_are_led_together() -> None:
    first, last = GivenMotion.of(walking(30)), GivenMotion.of(walking(25))
    result = first.led_to(last, walking(50), 20, 15)
    assert result.shape == (30 + 15 + 25, 22, 3)


@pytest.mark.parametrize(
    "motion",
    [np.zeros((3, 5)), np.zeros((2, 3, 22, 3)), np.full((2, 263), np.inf), np.zeros((0, 263)), "x"],
)
def test_what_is_no_motion_is_refused(motion: object) -> None:
    with pytest.raises(InputError):
        checked_array(motion)  # type: ignore[arg-type]


def test_a_batch_of_one_is_unpacked() -> None:
    joints = walking(3)
    assert checked_array(joints[None]).shape == (3, 22, 3)
    assert len(joints_to_features(checked_array(joints[None]))[0]) == 2
