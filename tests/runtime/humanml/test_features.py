import numpy as np
import pytest
from numpy.typing import NDArray
from walking import walking

from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import (
    canonical_joints,
    features_to_joints,
    joints_to_features,
    reference_offsets,
    rotations_to_joints,
)


def test_joints_survive_the_features() -> None:
    canonical, _ = canonical_joints(walking())
    features, _ = joints_to_features(walking())
    assert features.shape == (49, 263)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features_to_joints(features), canonical[:-1], atol=1e-5)


def test_rotations_and_positions_tell_the_same() -> None:
    features, _ = joints_to_features(walking())
    by_rotation = rotations_to_joints(features, reference_offsets())
    np.testing.assert_allclose(by_rotation, features_to_joints(features), atol=1e-4)


def test_a_motion_is_described_from_where_it_starts() -> None:
    joints = walking()
    moved = joints @ np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).T + [3, 0.5, -2]
    features, placement = joints_to_features(moved)
    np.testing.assert_allclose(features, joints_to_features(joints)[0], atol=1e-4)
    restored = placement.restore(canonical_joints(moved)[0])
    np.testing.assert_allclose(restored[:, 0], moved[:, 0] * placement.scale, atol=1e-5)


def test_canonical_joints_have_the_reference_size_and_stand_on_the_floor() -> None:
    canonical, placement = canonical_joints(walking() * 1.3)
    lengths = np.linalg.norm(reference_offsets(), axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(canonical[:, 4] - canonical[:, 1], axis=-1), lengths[4], atol=1e-6
    )
    assert canonical[..., 1].min() == pytest.approx(0)
    np.testing.assert_allclose(canonical[0, 0, [0, 2]], 0, atol=1e-9)
    assert placement.scale == pytest.approx(canonical_joints(walking())[1].scale / 1.3)


def test_standing_feet_touch_the_ground() -> None:
    still = np.repeat(walking(1), 5, axis=0)
    features, _ = joints_to_features(still)
    assert (features[:, 259:] == 1).all()
    assert np.abs(features[:, 193:259]).max() == 0


def test_opposite_bones_give_finite_rotations() -> None:
    joints = walking(3)
    joints[:, 4] = joints[:, 1] + [0, 0.4, 0]  # a thigh straight up
    joints[:, 7] = joints[:, 4] + [0, 0.4, 0]
    features, _ = joints_to_features(joints)
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((3, 22, 3)), "lies on its parent"),
        (np.zeros((3, 21, 3)), "22"),
        (np.full((3, 22, 3), np.nan), "finite"),
        (walking(1), "two frames"),
        (np.zeros((0, 22, 3)), "22"),
    ],
)
def test_joints_that_say_nothing_are_refused(joints: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        joints_to_features(joints)


@pytest.mark.parametrize("shape", [(263,), (4, 262), (0, 263)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="263"):
        features_to_joints(np.zeros(shape, np.float32))
