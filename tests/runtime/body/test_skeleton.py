import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.skeleton import (
    SKELETON_NAMES,
    Skeleton,
    expand,
    indices_in_expanded,
    load_skeleton,
    reduce,
)
from motionrt.runtime.errors import InputError


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_every_skeleton_loads_and_survives_json(name: str) -> None:
    skeleton = load_skeleton(name)
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton
    right, left = skeleton.hip_joints
    assert skeleton.rest_positions[left, 0] > 0 > skeleton.rest_positions[right, 0]  # faces +z
    if name != "myo26":  # which ends at the foot
        ankle, toe = skeleton.left_foot_joints[:2]
        assert skeleton.parents[toe] == ankle
        assert skeleton.rest_positions[toe, 2] > skeleton.rest_positions[ankle, 2]
    assert set(skeleton.end_effector_groups) == {
        "LeftFoot",
        "RightFoot",
        "LeftHand",
        "RightHand",
        "Hips",
    }


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_the_identity_pose_is_the_rest_pose(name: str) -> None:
    skeleton = load_skeleton(name)
    local = np.tile(np.eye(3, dtype=np.float32), (2, skeleton.num_joints, 1, 1))
    positions, rotations = skeleton.forward_kinematics(local, np.zeros((2, 3), np.float32))
    want = skeleton.rest_positions - skeleton.rest_positions[0]
    np.testing.assert_allclose(positions[1], want, atol=1e-6)
    np.testing.assert_array_equal(rotations, local)


def test_forward_kinematics_follows_the_joints_one_by_one() -> None:
    skeleton = load_skeleton("soma77")
    local = Rotation.random(77, rng=np.random.default_rng(3)).as_matrix()
    positions, rotations = skeleton.forward_kinematics(local, np.array([1.0, 2.0, 3.0]))
    want_p, want_r = [np.array([1.0, 2.0, 3.0])], [local[0]]
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        want_p.append(want_p[parent] + want_r[parent] @ skeleton.offsets[joint])
        want_r.append(want_r[parent] @ local[joint])
    np.testing.assert_allclose(positions, want_p, atol=1e-6)
    np.testing.assert_allclose(rotations, want_r, atol=1e-12)
    np.testing.assert_allclose(skeleton.global_to_local(rotations), local, atol=1e-12)


def test_soma_expands_and_reduces() -> None:
    small = load_skeleton("soma30")
    local = Rotation.random(90, rng=np.random.default_rng(4)).as_matrix().reshape(3, 30, 3, 3)
    full = expand(local, small)
    assert full.shape == (3, 77, 3, 3)
    np.testing.assert_array_equal(reduce(full, small), local)
    names77, names30 = load_skeleton("soma77").joint_names, load_skeleton("soma30").joint_names
    assert tuple(names77[j] for j in indices_in_expanded("soma30")) == names30
    with pytest.raises(InputError, match="30"):
        expand(full, small)
    with pytest.raises(InputError, match="77"):
        reduce(local, small)
    with pytest.raises(InputError, match="expands to no other"):
        expand(local, load_skeleton("g1"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": [-1, -1, 1]}, "root"),
        ({"parents": [-1, 2, 0]}, "before its children"),
        ({"parents": [-1, 0]}, "must be"),
        ({"rest_positions": [[0, 0, 0], [0, float("nan"), 0], [0, 1, 0]]}, "finite"),
        ({"rest_positions": "here"}, "not a skeleton"),
        ({"joint_names": ["a", "a", "b"]}, "same name"),
        ({"hip_joints": [1, 7]}, "beyond"),
        ({"name": None, "joint_names": None}, "not a skeleton"),
    ],
)
def test_what_is_no_skeleton_is_refused(change: dict[str, object], message: str) -> None:
    values = {
        "name": "stick",
        "joint_names": ["a", "b", "c"],
        "parents": [-1, 0, 1],
        "rest_positions": [[0, 0, 0], [0, 1, 0], [0, 2, 0]],
    }
    Skeleton.from_dict(values)
    with pytest.raises(InputError, match=message):
        Skeleton.from_dict({**values, **change})


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(InputError, match="soma30, soma77, g1"):
        load_skeleton("../secrets")
    with pytest.raises(InputError, match="no joint 'Tail'"):
        load_skeleton("g1").index("Tail")
