from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import bvh_rig_rotations, rebase, rest_rotations
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.errors import InputError

Make = Callable[..., Motion]


def test_rebasing_leaves_the_joints_where_they_are(wandering: Make) -> None:
    for name, rotations in [
        ("g1", rest_rotations(load_skeleton("g1"), "t-pose")),
        ("soma77", bvh_rig_rotations("soma77")),
    ]:
        motion = wandering(name)
        based = rebase(motion, rotations)
        posed, _ = based.skeleton.forward_kinematics(based.local_rot_mats, based.root_positions)
        np.testing.assert_allclose(posed, motion.posed_joints, rtol=0, atol=2e-5)
        back = rebase(based, np.swapaxes(rotations, -1, -2))
        np.testing.assert_allclose(back.local_rot_mats, motion.local_rot_mats, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_in_a_t_pose_the_hands_are_far_out_at_shoulder_height(name: str) -> None:
    skeleton = load_skeleton(name)
    identity = np.tile(np.eye(3, dtype=np.float32), (1, skeleton.num_joints, 1, 1))
    motion = Motion.from_local(identity, np.zeros((1, 3)), skeleton, 30)
    rest = rebase(motion, rest_rotations(skeleton, "t-pose")).skeleton.rest_positions
    rest = rest - rest[0]
    left, right = rest[skeleton.left_hand_joints[0]], rest[skeleton.right_hand_joints[0]]
    assert left[0] > 0.35 and right[0] < -0.35
    for hand in (left, right):
        assert abs(hand[1]) > 0.2 and abs(hand[2]) < 0.15
    assert abs(left[1] - right[1]) < 0.02


def test_what_there_is_not_is_refused() -> None:
    skeleton = load_skeleton("g1")
    with pytest.raises(InputError, match="neutral and t-pose"):
        rest_rotations(skeleton, "A")
    with pytest.raises(InputError, match="not known"):
        rest_rotations(replace(skeleton, t_pose_bones=None), "t-pose")
