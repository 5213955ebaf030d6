from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from walking import walking_myo

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.quality import judge
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.table import read_motion
from motionrt.runtime.motiongpt_qwen.myo_motion import PATH_IS_LOST, centred, joints_of, myo_motion

MYO = load_skeleton("myo26")


@pytest.fixture(scope="module")
def motion() -> Motion:
    return myo_motion(centred(walking_myo()), MYO, {"prompt": "a walk"})


def test_positions_stay_those_of_the_model_on_the_floor(motion: Motion) -> None:
    given = centred(walking_myo())
    lift = motion.info["lifted_m"]
    assert lift == pytest.approx(-given[..., 1].min(), abs=1e-6)
    np.testing.assert_allclose(motion.posed_joints - [0, lift, 0], given, atol=1e-6)
    assert motion.posed_joints[..., 1].min() == pytest.approx(0, abs=1e-6)
    assert motion.fps == 20


def test_rotations_are_fitted_to_the_tree_of_joints(motion: Motion) -> None:
    posed, _ = motion.skeleton.forward_kinematics(motion.local_rot_mats, motion.root_positions)
    distances = np.linalg.norm(posed - motion.posed_joints, axis=-1)
    assert motion.info["ik_error_m"] == pytest.approx(distances.mean(), abs=1e-5)
    assert motion.info["ik_largest_error_m"] == pytest.approx(distances.max(), abs=1e-5)
    # This walk's bones change their lengths; a body's do not, and its pose is found.
    draw = np.random.default_rng(3)
    bends = axis_angle_to_matrix(
        draw.normal(size=(1, 26, 3)) * np.linspace(0, 0.6, 20)[:, None, None]
    )
    bends[:, 0] = np.eye(3)
    given, _ = MYO.forward_kinematics(bends, np.zeros((20, 3)))
    fitted = myo_motion(centred(given), MYO)
    assert fitted.info["ik_largest_error_m"] < 1e-4
    determinants = np.linalg.det(fitted.local_rot_mats.astype(np.float64))
    np.testing.assert_allclose(determinants, 1, atol=1e-5)


def test_bones_are_as_long_as_those_that_were_given(motion: Motion) -> None:
    given = walking_myo()
    for child in ("tibia_r", "ulna_l", "skull"):
        joint = MYO.joint_names.index(child)
        parent = int(MYO.parents[joint])
        lengths = np.linalg.norm(given[:, joint] - given[:, parent], axis=-1)
        own = float(np.linalg.norm(motion.skeleton.offsets[joint]))
        assert own == pytest.approx(np.median(lengths), rel=1e-3), child


@pytest.mark.parametrize("suffix", ["npz", "bvh", "glb"])
def test_files_of_it_pose_the_same_body(motion: Motion, suffix: str, tmp_path: Path) -> None:
    motion.save(tmp_path / f"walk.{suffix}")
    read = read_motion(tmp_path / f"walk.{suffix}")
    assert set(read.skeleton.joint_names) >= set(MYO.joint_names)
    order = [read.skeleton.joint_names.index(name) for name in MYO.joint_names]
    fitted, _ = motion.skeleton.forward_kinematics(motion.local_rot_mats, motion.root_positions)
    wanted = motion.posed_joints if suffix == "npz" else fitted
    np.testing.assert_allclose(read.posed_joints[:, order], wanted, atol=2e-3)
    again = joints_of(read, MYO)
    np.testing.assert_allclose(again, centred(wanted), atol=2e-3)


def test_a_lost_path_is_said_and_not_held_against_the_motion(motion: Motion) -> None:
    assert motion.notes == [PATH_IS_LOST]
    assert motion.info["in_place"] is True
    assert np.ptp(motion.posed_joints[:, 1], axis=0).max() < 1e-6 < np.ptp(walking_myo()[:, 1, 2])
    assert "body_slide_m" not in judge(motion).to_json()


def test_a_motion_on_another_skeleton_is_refused_by_a_joint_that_it_lacks() -> None:
    rotations = np.broadcast_to(np.eye(3), (4, 22, 3, 3))
    other = Motion.from_local(rotations, np.zeros((4, 3)), load_skeleton("humanml22"), 20.0)
    with pytest.raises(InputError, match=r"no joint myoskeleton_root \(25 of 26 are missing\)"):
        joints_of(other, MYO)


def test_arrays_are_joints_or_features_and_nothing_else() -> None:
    given = walking_myo(6).astype(np.float32)
    wanted = given - given[:, 1, None]
    np.testing.assert_array_equal(joints_of(given, MYO), wanted)
    np.testing.assert_array_equal(joints_of(given.reshape(6, 78), MYO), wanted)
    refused: list[Any] = [given[:, :25], given[:0], given[0], np.zeros((6, 84)), "walk"]
    for wrong in refused:
        with pytest.raises(InputError, match=r"should be joints|no numbers"):
            joints_of(wrong, MYO)
    given[2, 3, 1] = np.nan
    with pytest.raises(InputError, match="not all numbers are finite"):
        joints_of(given, MYO)


def test_bodies_of_no_size_make_motions_too() -> None:
    still = myo_motion(np.zeros((3, 26, 3)), MYO)
    assert np.isfinite(still.local_rot_mats).all() and np.isfinite(still.posed_joints).all()
