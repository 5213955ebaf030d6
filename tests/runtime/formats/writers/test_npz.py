from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.motion import ARRAY_NAMES, Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton

Make = Callable[..., Motion]


@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
def test_every_skeleton_comes_back(wandering: Make, tmp_path: Path, skeleton: str) -> None:
    motion = wandering(skeleton, fps=25)
    motion.save(tmp_path / "motion.npz")
    again = Motion.load(tmp_path / "motion.npz")
    assert again.skeleton == motion.skeleton and again.fps == 25
    for name, values in motion.to_arrays().items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_the_keys_are_upstreams_and_nothing_is_pickled(wandering: Make, tmp_path: Path) -> None:
    motion = replace(
        wandering("soma77"),
        smooth_root_pos=np.zeros((24, 3), np.float32),
        global_root_heading=np.ones((24, 2), np.float32),
    )
    motion.save(tmp_path / "motion.npz")
    arrays = np.load(tmp_path / "motion.npz", allow_pickle=False)
    assert sorted(arrays.files) == sorted([*ARRAY_NAMES, "fps", "joint_names"])
    assert tuple(arrays["joint_names"]) == motion.skeleton.joint_names
    assert {arrays[name].dtype for name in ARRAY_NAMES} == {np.dtype("f4"), np.dtype(bool)}


def test_writing_twice_gives_the_same_bytes(wandering: Make, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        wandering("smplx22").save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_foreign_skeleton_is_written_whole(wandering: Make, tmp_path: Path) -> None:
    motion = wandering("cmu22")
    stretched = replace(
        motion.skeleton, name="tall", rest_positions=motion.skeleton.rest_positions * 1.2
    )
    tall = Motion.from_local(motion.local_rot_mats, motion.root_positions, stretched, 30)
    tall.save(tmp_path / "tall.npz")
    again = Motion.load(tmp_path / "tall.npz")
    np.testing.assert_array_equal(again.skeleton.rest_positions, stretched.rest_positions)
    assert again.skeleton.hip_joints == load_skeleton("cmu22").hip_joints
