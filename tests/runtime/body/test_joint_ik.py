import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motionrt.runtime.body.joint_ik import solve_joint_rotations
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError


@pytest.mark.parametrize("name", ["humanml22", "smplx22", "cmu22"])
def test_positions_of_the_same_bones_are_met_exactly(name: str) -> None:
    skeleton = load_skeleton(name)
    rng = np.random.default_rng(1)
    local = Rotation.from_rotvec(rng.normal(size=(6 * skeleton.num_joints, 3)) * 0.6).as_matrix()
    local = local.reshape(6, skeleton.num_joints, 3, 3)
    root = rng.normal(size=(6, 3))
    joints, _ = skeleton.forward_kinematics(local, root)
    solved = solve_joint_rotations(joints, skeleton)
    posed, _ = skeleton.forward_kinematics(solved, root)
    np.testing.assert_allclose(posed, joints, atol=1e-6)
    determinants = np.linalg.det(solved)
    np.testing.assert_allclose(determinants, 1, atol=1e-9)


def test_the_rest_pose_needs_no_rotation() -> None:
    skeleton = load_skeleton("humanml22")
    solved = solve_joint_rotations(skeleton.rest_positions[None], skeleton)
    np.testing.assert_allclose(solved, np.broadcast_to(np.eye(3), solved.shape), atol=1e-6)


def test_longer_bones_keep_their_directions() -> None:
    skeleton = load_skeleton("humanml22")
    joints = skeleton.rest_positions[None].astype(float).copy()
    joints[:, [4, 7, 10]] += [0, 0.1, 0]  # shorter thighs
    solved = solve_joint_rotations(joints, skeleton)
    posed, _ = skeleton.forward_kinematics(solved, joints[:, 0])
    thigh = posed[0, 4] - posed[0, 1]
    seen = joints[0, 4] - posed[0, 1]
    cosine = thigh @ seen / np.linalg.norm(thigh) / np.linalg.norm(seen)
    assert cosine == pytest.approx(1)


def test_opposite_and_vanishing_bones_get_rotations() -> None:
    skeleton = load_skeleton("humanml22")
    joints = skeleton.rest_positions[None].astype(float).copy()
    joints[:, 4] = 2 * joints[:, 1] - joints[:, 4]  # the thigh points the other way
    joints[:, 20] = joints[:, 18]  # and a forearm has no length
    for positions in (joints, np.zeros((1, 22, 3))):
        solved = solve_joint_rotations(positions, skeleton)
        np.testing.assert_allclose(np.linalg.det(solved), 1, atol=1e-9)
        np.testing.assert_allclose(
            solved @ np.swapaxes(solved, -1, -2),
            np.broadcast_to(np.eye(3), solved.shape),
            atol=1e-9,
        )
    local = solve_joint_rotations(joints, skeleton)[0]
    np.testing.assert_allclose(local[1] @ skeleton.offsets[4], -skeleton.offsets[4], atol=1e-6)


def test_a_mirrored_body_gets_rotations_and_no_mirror_images() -> None:
    skeleton = load_skeleton("humanml22")
    mirrored = skeleton.rest_positions[None] * np.array([-1.0, 1, 1])
    np.testing.assert_allclose(
        np.linalg.det(solve_joint_rotations(mirrored, skeleton)), 1, atol=1e-9
    )


def test_another_number_of_joints_is_refused() -> None:
    with pytest.raises(InputError, match="22"):
        solve_joint_rotations(np.zeros((2, 21, 3)), load_skeleton("humanml22"))
