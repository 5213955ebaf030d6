import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import (
    LIMBS,
    CorrectionTargets,
    correct_motion,
    limbs_of,
)
from motionrt.runtime.body.rotation import euler_to_matrix
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.errors import InputError

Make = Callable[..., Motion]
NAMES = ("soma30", "smplx22", "g1")


def still(skeleton: Skeleton, frames: int, drift: float = 0.0) -> tuple[NDArray[np.float64], ...]:
    """Stand in the rest pose, slide along z by drift a frame, feet on the ground all the time."""
    local = np.broadcast_to(np.eye(3), (frames, skeleton.num_joints, 3, 3)).copy()
    root = np.zeros((frames, 3))
    root[:, 1] = -skeleton.rest_positions[:, 1].min() + skeleton.rest_positions[0, 1] + 0.02
    root[:, 2] = drift * np.arange(frames)
    return local, root, np.ones((frames, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_every_length_works_and_rotations_stay_rotations(
    wandering: Make, name: str, frames: int
) -> None:
    motion = wandering(name, frames)
    targets = CorrectionTargets.empty(frames, motion.skeleton.num_joints)
    for mask in targets.masks.values():
        mask[0] = True
    assert motion.foot_contacts is not None
    local, root = correct_motion(
        motion.skeleton, motion.local_rot_mats, motion.root_positions, motion.foot_contacts, targets
    )
    assert local.dtype == root.dtype == np.float32
    identity = np.broadcast_to(np.eye(3), local.shape)
    np.testing.assert_allclose(local @ np.swapaxes(local, -1, -2), identity, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(local), 1, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_without_contacts_and_targets_nothing_changes(wandering: Make, name: str) -> None:
    motion = wandering(name)
    contacts = np.zeros((motion.num_frames, 4))
    local, root = correct_motion(
        motion.skeleton, motion.local_rot_mats, motion.root_positions, contacts
    )
    np.testing.assert_allclose(local, motion.local_rot_mats, atol=2e-6)
    np.testing.assert_array_equal(root, motion.root_positions)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_body_is_met_exactly(wandering: Make, name: str) -> None:
    motion, wanted = wandering(name), wandering(name, seed=1)
    targets = CorrectionTargets.empty(motion.num_frames, motion.skeleton.num_joints)
    targets.masks["FullBody"][[3, 17]] = True
    targets.local_rot_mats[:] = wanted.local_rot_mats
    targets.root_positions[:] = wanted.root_positions
    contacts = np.zeros((motion.num_frames, 4))
    local, root = correct_motion(
        motion.skeleton, motion.local_rot_mats, motion.root_positions, contacts, targets
    )
    np.testing.assert_allclose(local[[3, 17]], wanted.local_rot_mats[[3, 17]], atol=1e-5)
    np.testing.assert_allclose(root[[3, 17]], wanted.root_positions[[3, 17]], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limb", LIMBS)
def test_a_limb_in_reach_is_met(name: str, limb: str) -> None:
    skeleton = load_skeleton(name)
    frames = 20
    local, root, contacts = still(skeleton, frames)
    joints = limbs_of(skeleton)[limb]
    targets = CorrectionTargets.empty(frames, skeleton.num_joints)
    targets.root_positions[:] = root
    # Thigh forward and shin back; arm and forearm forward.
    axis = "X" if limb.endswith("Foot") else "Y"
    angles = {"LeftHand": (-0.4, -0.5), "RightHand": (0.4, 0.5)}.get(limb, (-0.5, 1.0))
    targets.local_rot_mats[:, joints.upper] = euler_to_matrix(np.array([angles[0]]), axis)
    targets.local_rot_mats[:, joints.middle] = euler_to_matrix(np.array([angles[1]]), axis)
    targets.masks[limb][10] = True
    positions, rotations = skeleton.forward_kinematics(
        targets.local_rot_mats, targets.root_positions
    )
    corrected, moved = correct_motion(skeleton, local, root, 0 * contacts, targets, root_margin=0.0)
    found, turned = skeleton.forward_kinematics(corrected, moved)
    np.testing.assert_allclose(turned[10, joints.end], rotations[10, joints.end], atol=1e-4)
    np.testing.assert_allclose(found[10, joints.end], positions[10, joints.end], atol=0.02)
    before, _ = skeleton.forward_kinematics(local, root)
    assert np.linalg.norm(before[10, joints.end] - positions[10, joints.end]) > 0.02


@pytest.mark.parametrize("name", ["soma30", "smplx22"])
def test_a_sliding_foot_is_held(name: str) -> None:
    skeleton = load_skeleton(name)
    local, root, contacts = still(skeleton, 30, drift=0.004)
    leg = limbs_of(skeleton)["LeftFoot"]
    local[:, leg.upper] = euler_to_matrix(np.array([-0.4]), "X")  # a bent knee can reach
    local[:, leg.middle] = euler_to_matrix(np.array([0.8]), "X")
    contacts[:] = 0
    contacts[8:20, :2] = 1  # the left foot stands
    ankle = skeleton.left_foot_joints[0]
    corrected, moved = correct_motion(skeleton, local, root, contacts)
    before, _ = skeleton.forward_kinematics(local, root)
    after, _ = skeleton.forward_kinematics(corrected, moved)
    slid = np.ptp(before[8:20, ankle, 2])
    held = np.ptp(after[8:20, ankle, 2])
    assert held < 0.1 * slid
    np.testing.assert_array_equal(moved, root.astype(np.float32))
    right = [skeleton.right_foot_joints[0]]
    np.testing.assert_allclose(after[:, right], before[:, right], atol=1e-6)


def rolling(frames: int = 24) -> tuple[Skeleton, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Walk on while the left foot rolls: flat at first, then on the toe alone, the heel rising."""
    skeleton = load_skeleton("cmu22")
    local, root, contacts = still(skeleton, frames, drift=0.012)
    root[:, 1] -= 0.04
    leg = limbs_of(skeleton)["LeftFoot"]
    bent, foot = np.full(frames, 0.4), np.clip(0.05 * (np.arange(frames) - 12), 0, 0.4)
    local[:, leg.upper] = euler_to_matrix(-bent[:, None], "X")
    local[:, leg.middle] = euler_to_matrix(2 * bent[:, None], "X")
    local[:, leg.end] = euler_to_matrix((foot - bent)[:, None], "X")
    contacts[:] = 0
    contacts[6:13, 0] = 1
    contacts[8:20, 1] = 1
    return skeleton, local, root, contacts


def test_a_foot_rolls_over_its_toe() -> None:
    skeleton, local, root, contacts = rolling()
    ankle, toe = skeleton.left_foot_joints

    def slid(places: NDArray[np.float32]) -> list[float]:
        runs = places[6:13, ankle, 2], places[12:20, toe, 2], places[12:20, ankle, 2]
        return [float(np.ptp(run)) for run in runs]

    def corrected(rolls: bool) -> list[float]:
        body = dataclasses.replace(skeleton, rolls_over_toes=rolls)
        places, _ = body.forward_kinematics(*correct_motion(body, local, root, contacts))
        return slid(places)

    before, _ = skeleton.forward_kinematics(local, root)
    assert min(slid(before)) > 0.03
    still, rises = pytest.approx(0, abs=2e-3), pytest.approx(0.02, abs=0.01)
    assert skeleton.rolls_over_toes
    assert corrected(True) == [still, still, rises]
    assert corrected(False) == [still, still, still]


def test_a_foot_rolls_on_from_where_a_constraint_has_it() -> None:
    skeleton, local, root, contacts = rolling()
    contacts[6:13, 0] = 0
    contacts[6:12, 1] = 0  # the toe alone, after the frame that is held
    toe = skeleton.left_foot_joints[1]
    targets = CorrectionTargets.empty(len(root), skeleton.num_joints)
    targets.local_rot_mats[:], targets.root_positions[:] = local, root
    targets.masks["LeftFoot"][11] = True
    corrected, moved = correct_motion(skeleton, local, root, contacts, targets, root_margin=0.0)
    places, _ = skeleton.forward_kinematics(corrected, moved)
    assert np.ptp(places[11:20, toe, 2]) < 2e-3


def test_the_root_comes_within_its_margin(wandering: Make) -> None:
    motion = wandering("soma30", 60)
    targets = CorrectionTargets.empty(60, 30)
    targets.root_positions[:, 0] = 0.3
    targets.masks["Root"][[0, 30, 59]] = True
    contacts = np.zeros((60, 4))
    for margin in (0.01, 0.2):
        _, root = correct_motion(
            motion.skeleton, motion.local_rot_mats, motion.root_positions, contacts, targets, margin
        )
        gap = np.linalg.norm((root - targets.root_positions)[[0, 30, 59]][:, ::2], axis=1)
        assert (gap < margin + 0.01).all()
    np.testing.assert_array_equal(root[:, 1], motion.root_positions[:, 1])


def test_numbers_that_are_not_finite_count_as_zero(wandering: Make) -> None:
    motion = wandering("smplx22")
    local, root = motion.local_rot_mats.copy(), motion.root_positions.copy()
    local[4, 3], root[5, 1] = np.nan, np.inf
    contacts = np.ones((24, 4))
    contacts[0, 0] = np.nan
    found = correct_motion(motion.skeleton, local, root, contacts)
    assert all(np.isfinite(array).all() for array in found)


def test_the_arguments_are_not_changed(wandering: Make) -> None:
    motion = wandering("soma30")
    local, root = motion.local_rot_mats.astype(float), motion.root_positions.astype(float)
    targets = CorrectionTargets.empty(24, 30)
    targets.masks["FullBody"][3] = True
    copies = [array.copy() for array in (local, root, targets.local_rot_mats)]
    correct_motion(motion.skeleton, local, root, np.ones((24, 4)), targets)
    for array, copy in zip((local, root, targets.local_rot_mats), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_what_does_not_fit_is_refused(wandering: Make) -> None:
    motion = wandering("soma30")
    with pytest.raises(InputError, match="do not fit skeleton soma30"):
        correct_motion(motion.skeleton, motion.local_rot_mats, motion.root_positions, np.ones(24))
    bare = Skeleton("bare", ("a", "b"), np.array([-1, 0]), np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match="does not name its LeftHand"):
        correct_motion(bare, np.tile(np.eye(3), (2, 2, 1, 1)), np.zeros((2, 3)), np.zeros((2, 4)))
