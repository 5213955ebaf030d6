"""The .npz of tracking tasks: mjlab's, BeyondMimic's, and of others in their layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robots import dance

from motionrt.runtime.body.g1 import g1_hinges
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.g1_joint_orders import body_names, joint_names
from motionrt.runtime.formats.writers.tracking import tracking_arrays

NAMES = ("joint_names", "body_names")


def arrays(order: str, **changes: Any) -> dict[str, Any]:
    """Return what csv_to_npz.py saves: no names."""
    made = {k: v for k, v in tracking_arrays(dance().motion, order).items() if k not in NAMES}
    return {k: v for k, v in {**made, **changes}.items() if v is not None}


def test_orders_are_of_the_same_joints_and_start_and_end_as_they_must() -> None:
    mujoco, isaac = joint_names("mujoco"), joint_names("isaac")
    assert mujoco == g1_hinges().names and sorted(mujoco) == sorted(isaac)
    assert isaac[:4] == (
        "left_hip_pitch_joint",
        "right_hip_pitch_joint",
        "waist_yaw_joint",
        "left_hip_roll_joint",
    )
    assert isaac[-1] == "right_wrist_yaw_joint"
    # Isaac Lab's own indices of the feet and the torso, which tasks name by number.
    assert body_names("isaac").index("left_ankle_roll_link") == 18
    assert body_names("isaac").index("right_ankle_roll_link") == 19
    assert body_names("isaac").index("torso_link") == 9
    assert body_names("mujoco")[:2] == ("pelvis", "left_hip_pitch_link")
    assert body_names("mujoco")[15] == "torso_link"


@pytest.mark.parametrize(("name", "order"), [("mjlab", "mujoco"), ("beyondmimic", "isaac")])
def test_files_have_the_scripts_layout_and_come_back(tmp_path: Path, name: str, order: str) -> None:
    path = tmp_path / f"a_{name}.npz"
    dance().motion.save(path, format=name)
    stored = np.load(path)
    assert stored["fps"].tolist() == [50] and stored["fps"].dtype == np.int64
    shapes = {key: stored[key].shape for key in stored.files if key not in ("fps", *NAMES)}
    assert shapes == {
        "joint_pos": (40, 29),
        "joint_vel": (40, 29),
        "body_pos_w": (40, 30, 3),
        "body_quat_w": (40, 30, 4),
        "body_lin_vel_w": (40, 30, 3),
        "body_ang_vel_w": (40, 30, 3),
    }
    assert all(stored[key].dtype == np.float32 for key in shapes)
    assert tuple(stored["joint_names"]) == joint_names(order)
    assert tuple(stored["body_names"]) == body_names(order)
    for hinge in range(29):
        column = joint_names(order).index(g1_hinges().names[hinge])
        np.testing.assert_allclose(
            stored["joint_pos"][:, column], dance().rows[:, 7 + hinge], atol=2e-6
        )
    np.testing.assert_allclose(stored["body_pos_w"][:, 0], dance().rows[:, :3], atol=1e-6)
    again = Motion.load(path)
    assert again.fps == 50 and again.notes == []
    np.testing.assert_allclose(again.posed_joints, dance().motion.posed_joints, atol=1e-5)


def test_velocities_are_those_of_the_links() -> None:
    made = tracking_arrays(dance().motion, "mujoco")
    inside = slice(1, -1)
    moved = (made["body_pos_w"][2:] - made["body_pos_w"][:-2]) * 25
    np.testing.assert_allclose(made["body_lin_vel_w"][inside], moved, atol=0.25)  # of up to 8
    swung = (made["joint_pos"][2:] - made["joint_pos"][:-2]) * 25
    np.testing.assert_allclose(made["joint_vel"][inside], swung, atol=1e-3)
    speed = np.linalg.norm(made["body_ang_vel_w"][inside, 0], axis=-1)
    np.testing.assert_allclose(speed, 2.4, atol=0.05)


@pytest.mark.parametrize("order", ["mujoco", "isaac"])
def test_without_names_the_order_is_found_by_where_the_links_are(
    tmp_path: Path, order: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays(order))
    motion = Motion.load(tmp_path / "a.npz")
    np.testing.assert_allclose(motion.posed_joints, dance().motion.posed_joints, atol=1e-5)
    assert f"taken in {order} order" in motion.notes[0]
    told = Motion.load(tmp_path / "a.npz", joint_order=order)
    assert told.notes == []
    np.testing.assert_array_equal(told.posed_joints, motion.posed_joints)


def test_links_of_another_model_decide_too(tmp_path: Path) -> None:
    made = arrays("isaac")
    some = made["body_pos_w"][:, [0, 9, 18, 19, 28, 29]] + 0.004
    turns = made["body_quat_w"][:, [0, 9, 18, 19, 28, 29]]
    some[:, 0] -= 0.004
    np.savez(tmp_path / "a.npz", **{**made, "body_pos_w": some, "body_quat_w": turns})
    motion = Motion.load(tmp_path / "a.npz")
    np.testing.assert_allclose(motion.posed_joints, dance().motion.posed_joints, atol=1e-5)


def test_a_rate_that_is_not_whole_is_kept(tmp_path: Path) -> None:
    motion = Motion.from_local(
        dance().motion.local_rot_mats, dance().motion.root_positions, dance().motion.skeleton, 29.97
    )
    motion.save(tmp_path / "a_mjlab.npz", format="mjlab")
    assert Motion.load(tmp_path / "a_mjlab.npz").fps == 29.97
    one = motion.crop(0, 1)
    one.save(tmp_path / "b_mjlab.npz", format="mjlab")
    assert not np.load(tmp_path / "b_mjlab.npz")["body_lin_vel_w"].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_pos": np.zeros((40, 23))}, r"joint_pos is \(40, 23\), G1's is \(T, 29\)"),
        ({"body_pos_w": np.zeros((39, 30, 3))}, "body_pos_w is"),
        ({"body_quat_w": np.zeros((40, 30, 3))}, "body_quat_w is"),
        ({"body_quat_w": np.zeros((40, 30, 4))}, "quaternion"),
        ({"body_pos_w": np.full((40, 30, 3), np.inf)}, "not finite"),
        ({"joint_pos": np.full((40, 29), "x")}, "must be real numbers"),
        ({"fps": None}, "--input-fps"),
        ({"fps": np.zeros(2)}, "--input-fps"),
        ({"fps": np.zeros(1)}, r"fps is 0\.0"),
        ({"joint_names": np.array(["a", "b"])}, "joint_names are not G1's 29"),
        ({"joint_pos": np.array([{"a": 1}], object)}, "pickled objects"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays("mujoco", **changes))
    with pytest.raises(InputError, match=message) as caught:
        Motion.load(path)
    assert "\n" not in str(caught.value) and str(caught.value).count(str(path)) == 1
    with pytest.raises(InputError, match="no file of a tracking task"):
        np.savez(path, a=np.zeros(2))
        Motion.load(path, format="mjlab")
