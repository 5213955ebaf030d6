import numpy as np
import pytest
from walking import walking

from motionrt.runtime.body.joint_names import STYLES, renamed_joints
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.humanml.features import heading_of_joints, joints_to_features
from motionrt.runtime.humanml.joints import (
    SEAM_FRAMES,
    join,
    join_between,
    joints_of_motion,
    motion_from_joints,
    place_after,
)


def test_joints_become_a_motion_and_come_back() -> None:
    joints = walking(30).astype(np.float32)
    motion = motion_from_joints(joints, info={"prompt": "walk"})
    np.testing.assert_array_equal(motion.posed_joints, joints)
    posed, _ = motion.skeleton.forward_kinematics(motion.local_rot_mats, motion.root_positions)
    assert np.linalg.norm(posed - joints, axis=-1).max() < 0.1
    assert motion.info["prompt"] == "walk"
    assert motion.info["ik_error_m"] < 0.03
    np.testing.assert_array_equal(joints_of_motion(motion), joints)


def test_features_give_contacts_and_heading() -> None:
    features, _ = joints_to_features(walking(60, turn=0.03))
    motion = motion_from_joints(walking(59), features=features)
    assert motion.global_root_heading is not None
    assert motion.foot_contacts is not None
    np.testing.assert_array_equal(motion.global_root_heading[0], [1, 0])
    # It turns to its left, towards +x.
    assert motion.global_root_heading[-1, 1] > 0.3
    np.testing.assert_array_equal(motion.foot_contacts, features[:, 259:] > 0.5)


@pytest.mark.parametrize("name", ["soma30", "soma77", "smplx22", "cmu22"])
def test_joints_are_recognised_by_name(name: str) -> None:
    skeleton = load_skeleton(name)
    local = np.tile(np.eye(3), (4, skeleton.num_joints, 1, 1))
    motion = Motion.from_local(local, np.zeros((4, 3)), skeleton, 20.0)
    joints = joints_of_motion(motion)[0]
    assert joints.shape == (22, 3)
    assert joints[15, 1] > joints[12, 1] > joints[9, 1] > joints[0, 1] > joints[7, 1]
    assert joints[20, 0] > joints[18, 0] > joints[16, 0] > 0 > joints[17, 0]
    for style in STYLES:
        renamed = Skeleton(
            "foreign", renamed_joints(skeleton, style), skeleton.parents, skeleton.rest_positions
        )
        moved = Motion.from_local(local, np.zeros((4, 3)), renamed, 20.0)
        np.testing.assert_allclose(joints_of_motion(moved)[0], joints, atol=1e-6)


def test_a_robot_is_not_a_person() -> None:
    skeleton = load_skeleton("g1")
    local = np.tile(np.eye(3), (2, skeleton.num_joints, 1, 1))
    motion = Motion.from_local(local, np.zeros((2, 3)), skeleton, 30.0)
    with pytest.raises(InputError, match="not recognised"):
        joints_of_motion(motion)


def test_another_frame_rate_becomes_twenty() -> None:
    skeleton = load_skeleton("smplx22")
    local = np.tile(np.eye(3), (31, 22, 1, 1))
    root = np.linspace(0, 3, 31)[:, None] * [1.0, 0, 0]
    joints = joints_of_motion(Motion.from_local(local, root, skeleton, 30.0))
    assert len(joints) == 21
    np.testing.assert_allclose(joints[:, 0, 0], np.linspace(0, 3, 21), atol=1e-5)


def test_a_clip_goes_on_where_the_one_before_ended() -> None:
    before, clip = walking(40, turn=0.04), walking(30, turn=0.0)
    placed = place_after(clip, before)
    assert heading_of_joints(placed[0]) == pytest.approx(heading_of_joints(before[-1]), abs=1e-3)
    joined = join(before, clip)
    assert len(joined) == 70
    np.testing.assert_allclose(joined[:40], before, atol=1e-6)
    steps = np.linalg.norm(np.diff(joined, axis=0), axis=-1).max(axis=1)
    assert steps[39:50].max() < 2.5 * steps[:39].max()
    np.testing.assert_allclose(joined[40 + SEAM_FRAMES :], placed[SEAM_FRAMES:], atol=1e-5)


def test_a_gap_is_filled_without_a_jump() -> None:
    first, last = walking(30, turn=0.0), walking(30, turn=0.05)
    clip = walking(60, turn=0.01)
    middle, moved = join_between(first, clip, last, 20, 15)
    assert len(middle) == 60 - 20 - 15
    whole = np.concatenate((first, middle, moved))
    steps = np.linalg.norm(np.diff(whole, axis=0), axis=-1).max(axis=1)
    assert steps.max() < 0.25
    # The last motion is turned and shifted as one piece.
    for joints in (last, moved):
        spread = np.linalg.norm(joints[:, 5] - joints[:1, 5], axis=-1)
        np.testing.assert_allclose(
            spread, np.linalg.norm(last[:, 5] - last[:1, 5], axis=-1), atol=1e-5
        )
