from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import matrix_to_rot6d
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.kinds import (
    CONSTRAINT_TYPES,
    GROUPS,
    Constraint,
    EndEffector,
    FullBody,
    LeftFoot,
    LeftHand,
    Root2D,
    constraint_from_motion,
    crop_constraints,
)
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import COMPATS
from motionrt.runtime.kimodo.constraints import conditioning, correction_targets
from motionrt.runtime.kimodo.features import MotionFeatures

Make = Callable[..., Motion]
FRAMES = 16
SMPLX = MotionFeatures(load_skeleton("smplx22"))


def columns(name: str, *indices: int) -> list[int]:
    start = SMPLX.slices[name].start
    return [start + index for index in indices]


@st.composite
def constraint(draw: st.DrawFn) -> Constraint:
    """One constraint of any type on SMPL-X, values at random."""
    kind = CONSTRAINT_TYPES[draw(st.sampled_from(sorted(CONSTRAINT_TYPES)))]
    frames = draw(st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = len(frames)
    values: dict[str, Any] = {
        "frame_indices": frames,
        "smooth_root_2d": rng.normal(size=(count, 2)),
    }
    if kind is Root2D:
        angle = rng.uniform(-3, 3, count)
        if draw(st.booleans()):
            values["global_root_heading"] = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return Root2D(**values)
    values["local_joints_rot"] = rng.normal(size=(count, 22, 3)) * 0.5
    values["root_positions"] = rng.normal(size=(count, 3))
    if draw(st.booleans()):
        del values["smooth_root_2d"]
    if kind is EndEffector:
        names = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3)
        values["joint_names"] = draw(names)
    return kind(**values)


@settings(deadline=None)
@given(st.lists(constraint(), max_size=5))
def test_the_last_constraint_of_a_frame_counts(constraints: list[Constraint]) -> None:
    observed, mask = conditioning(constraints, SMPLX, FRAMES)
    assert np.isfinite(observed).all()
    assert not observed[~mask].any()
    ground: dict[int, Any] = {}
    height: dict[int, float] = {}
    heading: dict[int, Any] = {}
    rotations: dict[tuple[int, int], Any] = {}
    positions: dict[tuple[int, int], Any] = {}
    for item in constraints:
        seen = item.observe(SMPLX.skeleton)
        for row, frame in enumerate(item.frame_indices.tolist()):
            assert seen.smooth_root_2d is not None
            ground[frame] = seen.smooth_root_2d[row]
            if seen.heading is not None:
                heading[frame] = seen.heading[row]
            if seen.root_height is not None:
                height[frame] = seen.root_height[row]
            for column, joint in enumerate(seen.rotation_joints):
                assert seen.global_rot_mats is not None
                rotations[frame, joint] = matrix_to_rot6d(seen.global_rot_mats[row, column])
            for column, joint in enumerate(seen.position_joints):
                assert seen.posed_joints is not None
                positions[frame, joint] = seen.posed_joints[row, column]
    num_given = 2 * len(ground) + len(height) + 2 * len(heading)
    assert mask.sum() == num_given + 6 * len(rotations) + 3 * len(positions)
    for frame, place in ground.items():
        np.testing.assert_array_equal(observed[frame, columns("smooth_root_pos", 0, 2)], place)
    for frame, value in height.items():
        assert observed[frame, columns("smooth_root_pos", 1)] == value
    for frame, value in heading.items():
        np.testing.assert_array_equal(observed[frame, columns("global_root_heading", 0, 1)], value)
    for (frame, joint), value in rotations.items():
        place = columns("global_rot_data", *range(6 * joint, 6 * joint + 6))
        np.testing.assert_array_equal(observed[frame, place], value)
    for (frame, joint), value in positions.items():
        place = columns("local_joints_positions", *range(3 * joint, 3 * joint + 3))
        relative = value - np.array([ground[frame][0], 0, ground[frame][1]], np.float32)
        np.testing.assert_allclose(observed[frame, place], relative, atol=1e-6)


@settings(deadline=None)
@given(st.lists(constraint(), max_size=4), st.integers(1, FRAMES - 1))
def test_cropped_parts_are_the_parts_of_the_whole(
    constraints: list[Constraint], middle: int
) -> None:
    whole = conditioning(constraints, SMPLX, FRAMES)
    first = conditioning(crop_constraints(constraints, 0, middle), SMPLX, middle)
    second = conditioning(crop_constraints(constraints, middle, FRAMES), SMPLX, FRAMES - middle)
    for parts, together in zip(zip(first, second, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), together)


@settings(deadline=None)
@given(st.lists(constraint(), max_size=5))
def test_correction_targets_hold_what_constraints_say(constraints: list[Constraint]) -> None:
    for compat in COMPATS.values():
        targets = correction_targets(constraints, SMPLX.skeleton, FRAMES, compat)
        assert np.isfinite(targets.root_positions).all()
        assert np.isfinite(targets.local_rot_mats).all()
        for name, mask in targets.masks.items():
            frames = {f for item in constraints if item.mask == name for f in item.frame_indices}
            assert set(np.flatnonzero(mask)) == frames


@settings(deadline=None)
@given(constraint(), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 2**32 - 1))
def test_nothing_that_is_not_finite_passes(item: Constraint, bad: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {name: value for name, value in vars(item).items() if value is not None}
    names = [n for n, v in values.items() if isinstance(v, np.ndarray) and n != "frame_indices"]
    name = names[rng.integers(len(names))]
    values[name] = values[name].copy()
    values[name].flat[rng.integers(values[name].size)] = bad
    with pytest.raises(InputError, match="is not finite"):
        type(item)(**values)


def test_a_full_body_holds_positions_and_no_rotations(wandering: Make) -> None:
    motion = wandering("soma30")
    features = MotionFeatures(motion.skeleton)
    item = constraint_from_motion(motion, [3], "fullbody")
    observed, mask = conditioning([item], features, motion.num_frames)
    assert mask.sum() == 5 + 3 * 30
    assert not mask[:, features.slices["global_rot_data"]].any()
    heading = hip_heading(motion.posed_joints[3], motion.skeleton)
    block = observed[3, features.slices["global_root_heading"]]
    np.testing.assert_allclose(block, [np.cos(heading), np.sin(heading)], atol=1e-5)
    root = observed[3, :3]
    joints = observed[3, features.slices["local_joints_positions"]].reshape(30, 3)
    joints = joints + np.array([root[0], 0, root[2]])
    np.testing.assert_allclose(joints, motion.posed_joints[3], atol=1e-4)


def test_a_hand_holds_its_group_and_one_rotation(wandering: Make) -> None:
    motion = wandering("g1")
    features = MotionFeatures(motion.skeleton)
    item = constraint_from_motion(motion, [0, 5], "left-hand")
    assert isinstance(item, LeftHand)
    observed, mask = conditioning([item], features, 8)
    assert mask.sum(axis=1).tolist() == [5 + 6 + 6, 0, 0, 0, 0, 17, 0, 0]
    wrist = motion.skeleton.left_hand_joints[0]
    start = features.slices["global_rot_data"].start + 6 * wrist
    expected = matrix_to_rot6d(motion.global_rot_mats[5, wrist])
    np.testing.assert_allclose(observed[5, start : start + 6], expected, atol=1e-4)


def test_77_joints_are_reduced_to_the_models_30(wandering: Make) -> None:
    motion = wandering("soma77")
    features = MotionFeatures(load_skeleton("soma30"))
    large = constraint_from_motion(motion, [2], "right-foot")
    small = constraint_from_motion(motion.reduced(), [2], "right-foot")
    for a, b in zip(
        conditioning([large], features, 4), conditioning([small], features, 4), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_matrices_and_rotation_vectors_say_the_same(wandering: Make) -> None:
    motion = wandering("smplx22")
    vectors = constraint_from_motion(motion, [2, 3], "fullbody")
    assert isinstance(vectors, FullBody)
    matrices = FullBody(
        [2, 3],  # lists are taken too
        motion.local_rot_mats[[2, 3]],
        vectors.root_positions,
        vectors.smooth_root_2d,
    )
    first, second = (conditioning([item], SMPLX, 4)[0] for item in (vectors, matrices))
    np.testing.assert_allclose(first, second, atol=2e-5)


def test_three_columns_of_a_smoothed_root_depend_on_the_revision() -> None:
    item = Root2D(np.array([0]), np.array([[1, 2, 3]], np.float32))
    for name, expected in (("2026-03", [1, 2]), ("latest", [1, 3])):
        observed, _ = conditioning([item], SMPLX, 1, COMPATS[name])
        assert observed[0, [0, 2]].tolist() == expected


def test_latest_pins_full_bodies_at_the_exact_root_and_last(wandering: Make) -> None:
    motion = wandering("smplx22")
    body = FullBody(
        np.array([1]),
        motion.local_rot_mats[[1]],
        motion.root_positions[[1]],
        motion.root_positions[[1]][:, ::2] + 0.1,
    )
    foot = LeftFoot(np.array([1]), motion.local_rot_mats[[7]], motion.root_positions[[7]])
    march, latest = (
        correction_targets([body, foot], motion.skeleton, 2, COMPATS[name])
        for name in ("2026-03", "latest")
    )
    np.testing.assert_allclose(march.root_positions[1], motion.root_positions[7])
    np.testing.assert_allclose(latest.root_positions[1], motion.root_positions[1])
    alone = correction_targets([body], motion.skeleton, 2)
    moved = alone.root_positions[1] - motion.root_positions[1]
    np.testing.assert_allclose(moved, [0.1, 0, 0.1], atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_indices": [0, 1]}, "smooth_root_2d has 1 entries for 2 frames"),
        ({"frame_indices": [-1]}, "has -1; frames are whole numbers from 0"),
        ({"frame_indices": [0.5]}, "has 0.5"),
        ({"frame_indices": ["0"]}, "must be a list of whole numbers"),
        ({"frame_indices": [True]}, "must be a list of whole numbers"),
        ({"frame_indices": []}, "is empty"),
        ({"frame_indices": 3}, "must be a list of whole numbers"),
        ({"smooth_root_2d": [[1, 2], [3]]}, "not an array of numbers"),
        ({"smooth_root_2d": [[1, 2, 3, 4]]}, r"has shape \(1, 4\), must be \(K, 2\)"),
        ({"smooth_root_2d": [1, 2]}, "must have one row a frame"),
        ({"smooth_root_2d": [["a", "b"]]}, "not an array of numbers"),
        ({"smooth_root_2d": [[1e39, 0]]}, "is not finite"),
        ({"smooth_root_2d": [[1e20, 0]]}, "has a number beyond 1e"),
        ({"smooth_root_2d": None}, "is missing"),
    ],
)
def test_wrong_fields_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"root2d constraint: .*{message}"):
        Root2D(**{"frame_indices": [0], "smooth_root_2d": [[0, 0]], **values})


def test_frames_can_be_moved_to_another_rate(wandering: Make) -> None:
    motion = wandering("smplx22", 40, fps=120)
    item = constraint_from_motion(motion, [10, 20, 38], "root2d", first_frame=10, fps=30)
    assert item.frame_indices.tolist() == [0, 2, 7]


def test_wrong_joints_and_names_are_refused(wandering: Make) -> None:
    motion = wandering("g1")
    item = constraint_from_motion(motion, [0], "fullbody")
    with pytest.raises(InputError, match=r"has 34 joints, skeleton soma30 has 30 \(or 77\)"):
        conditioning([item], MotionFeatures(load_skeleton("soma30")), 4)
    for names, message in (((), "joint_names is empty"), (("Nose",), "'Nose'; there are LeftF")):
        with pytest.raises(InputError, match=message):
            constraint_from_motion(motion, [0], "end-effector", names)
    with pytest.raises(InputError, match="frame 99: the motion has 24"):
        constraint_from_motion(motion, [99], "root2d")
    with pytest.raises(InputError, match="constraint type 'pose'"):
        constraint_from_motion(motion, [0], "pose")


def test_a_frame_beyond_the_clip_is_refused() -> None:
    item = Root2D(np.array([3, 16]), np.zeros((2, 2), np.float32))
    with pytest.raises(
        InputError, match=r"constraint 0 \(root2d\): frame 16 is beyond the clip's 16"
    ):
        conditioning([item], SMPLX, 16)
    with pytest.raises(InputError, match="frame 16"):
        correction_targets([item], SMPLX.skeleton, 16)
