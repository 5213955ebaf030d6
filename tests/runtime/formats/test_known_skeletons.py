from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from motionrt.runtime.body.joint_names import NAMINGS, renamed_joints
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase, rest_rotations
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names

Make = Callable[..., Motion]


def on(motion: Motion, **changes: object) -> Motion:
    """The same numbers on a skeleton with changed fields."""
    skeleton = replace(motion.skeleton, **changes)  # type: ignore[arg-type]
    return Motion.from_local(motion.local_rot_mats, motion.root_positions, skeleton, motion.fps)


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_a_skeleton_is_known_whatever_its_file_calls_it(wandering: Make, name: str) -> None:
    motion = wandering(name, frames=3)
    found = on_known_skeleton(on(motion, name="some file"))
    assert found.skeleton == load_skeleton(name)
    np.testing.assert_allclose(found.posed_joints, motion.posed_joints, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in SKELETON_NAMES if load_skeleton(name).naming in NAMINGS]
)
@pytest.mark.parametrize("style", ["mixamo", "ue5", "vrm"])
def test_an_engines_names_are_undone(wandering: Make, name: str, style: str) -> None:
    motion = wandering(name, frames=3)
    names = renamed_joints(motion.skeleton, style)
    found = on_known_skeleton(on(motion, name="some file", joint_names=names))
    assert found.skeleton == load_skeleton(name)


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_another_rest_pose_is_undone(wandering: Make, name: str) -> None:
    motion = wandering(name, frames=3)
    rebased = rebase(motion, rest_rotations(motion.skeleton, "t-pose"))
    found = on_known_skeleton(rebased)
    assert found.skeleton == load_skeleton(name)
    np.testing.assert_allclose(found.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


def test_another_order_of_joints_is_undone(wandering: Make) -> None:
    motion = wandering("cmu22", frames=3)
    skeleton = motion.skeleton
    # The right leg's four joints before the left leg's.
    order = [0, 5, 6, 7, 8, 1, 2, 3, 4, *range(9, 22)]
    place = {joint: index for index, joint in enumerate(order)}
    shuffled = Motion.from_local(
        motion.local_rot_mats[:, order],
        motion.root_positions,
        replace(
            skeleton,
            name="some file",
            joint_names=tuple(skeleton.joint_names[joint] for joint in order),
            parents=np.array([place.get(int(skeleton.parents[joint]), -1) for joint in order]),
            rest_positions=skeleton.rest_positions[order],
        ),
        motion.fps,
    )
    found = on_known_skeleton(shuffled)
    assert found.skeleton == skeleton
    np.testing.assert_allclose(found.local_rot_mats, motion.local_rot_mats, rtol=0, atol=1e-5)


def test_other_bones_are_another_skeleton(wandering: Make) -> None:
    motion = wandering("cmu22", frames=2)
    tall = on(motion, name="tall", rest_positions=motion.skeleton.rest_positions * 1.1)
    assert on_known_skeleton(tall) is tall


def test_names_that_occur_twice_are_numbered() -> None:
    assert unique_names(["a", "b", "a", "a"]) == ("a", "b", "a_2", "a_3")
    assert unique_names(["a", "a_2", "a"]) == ("a", "a_2", "a_3")
