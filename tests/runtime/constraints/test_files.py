from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.files import (
    find_problems,
    parse_constraints,
    read_constraints,
    to_json,
    write_constraints,
)
from motionrt.runtime.constraints.kinds import (
    CONSTRAINT_TYPES,
    FullBody,
    Root2D,
    constraint_from_motion,
)
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.constraints import conditioning
from motionrt.runtime.kimodo.features import MotionFeatures

Make = Callable[..., Motion]
SMPLX = load_skeleton("smplx22")

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 100)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=4)
    | st.sampled_from([*CONSTRAINT_TYPES, "LeftHand"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "frame_indices", "smooth_root_2d", "root_positions", "joint_names", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.fixture
def document(wandering: Make) -> list[dict[str, Any]]:
    """One sound constraint of every type."""
    motion = wandering("smplx22", 24)
    motion.root_positions[:, 1] += 0.3
    return [
        to_json(constraint_from_motion(motion, [2, 9], name, ["LeftHand", "Hips"]))
        for name in CONSTRAINT_TYPES
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(ANYTHING, max_size=3) | ANYTHING)
def test_any_json_is_parsed_or_explained(value: Any) -> None:
    problems = find_problems(value, SMPLX, num_frames=50)
    assert all(str(problem) and "\n" not in str(problem) for problem in problems)
    try:
        constraints = parse_constraints(value, SMPLX)
    except InputError as error:
        assert "\n" not in str(error)
        assert any(problem.is_error for problem in problems)
    else:
        for item in constraints:
            observed, _ = conditioning([item], MotionFeatures(SMPLX), 200)
            assert np.isfinite(observed).all()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(data=st.data())
def test_a_sound_file_with_one_field_spoilt_is_explained(
    document: list[dict[str, Any]], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(document) - 1))
    spoilt = json.loads(json.dumps(document))
    key = data.draw(st.sampled_from(sorted(spoilt[index])))
    spoilt[index][key] = data.draw(ANYTHING)
    problems = find_problems(spoilt, SMPLX, num_frames=24)
    errors = [problem for problem in problems if problem.is_error]
    assert all(problem.index == index for problem in errors)
    beyond = [problem for problem in errors if "beyond the clip" in problem.message]
    if len(errors) > len(beyond):
        with pytest.raises(InputError, match=f"constraint {index}"):
            parse_constraints(spoilt, SMPLX)
    else:
        parse_constraints(spoilt, SMPLX)


@pytest.mark.parametrize("skeleton", ["soma30", "soma77", "g1", "smplx22"])
def test_files_come_back(wandering: Make, tmp_path: Path, skeleton: str) -> None:
    motion = wandering(skeleton)
    made = [
        constraint_from_motion(motion, [0, 5, 7], name, ["RightFoot"]) for name in CONSTRAINT_TYPES
    ]
    path = tmp_path / "deep" / "c.json"
    write_constraints(path, made)
    again = read_constraints(path)
    assert [item.type for item in again] == list(CONSTRAINT_TYPES)
    for first, second in zip(made, again, strict=True):
        for name, value in vars(first).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(second, name), value, atol=1e-6)
            else:
                assert getattr(second, name) == value
    if skeleton == "soma77":
        assert read_constraints(path, load_skeleton("soma30"))


def test_matrices_are_written_as_rotation_vectors(wandering: Make) -> None:
    motion = wandering("smplx22")
    item = constraint_from_motion(motion, [1], "fullbody")
    with_matrices = FullBody(
        item.frame_indices, motion.local_rot_mats[[1]], motion.root_positions[[1]]
    )
    again = parse_constraints([to_json(with_matrices)], SMPLX)[0]
    assert isinstance(again, FullBody)
    np.testing.assert_allclose(
        again.local_rot_mats(SMPLX),
        motion.local_rot_mats[[1]],
        atol=1e-5,
    )


def test_sound_files_have_no_problems(document: list[dict[str, Any]]) -> None:
    assert not [p for p in find_problems(document, SMPLX, 24) if p.is_error]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"type": "root2d"}, "expected a list of constraints, found an object; put it in a list"),
        (3, "expected a list of constraints, found a number"),
        ([3], "constraint 0: expected an object, found a number"),
        ([{}], "constraint 0: type is missing"),
        ([{"type": "rot2d"}], "constraint 0: unknown type 'rot2d'; there are root2d"),
        ([{"type": "root2d"}], "constraint 0 .root2d.: frame_indices is missing .and 1 more"),
    ],
)
def test_what_is_no_constraint_is_said(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_constraints(value)


def test_every_problem_of_a_constraint_is_listed() -> None:
    bad = {
        "type": "end-effector",
        "frame_indices": [1, 99],
        "local_joints_rot": [[[0, 0, 0]] * 30],
        "root_positions": [[0, float("nan"), 0], [0, 1, 0]],
        "joint_names": ["LeftHand", "Tail"],
        "weight": 2,
    }
    messages = [str(problem) for problem in find_problems([bad], SMPLX, 50)]
    for part in (
        "local_joints_rot has 1 entries for 2 frames",
        "local_joints_rot has 30 joints, skeleton smplx22 has 22",
        "root_positions[0] is not finite",
        "'Tail'; there are LeftFoot",
        "weight means nothing here",
    ):
        assert any(part in message for message in messages), (part, messages)


def warnings(value: Any, skeleton: Any = SMPLX) -> str:
    problems = find_problems(value, skeleton)
    assert not any(problem.is_error for problem in problems)
    return " | ".join(map(str, problems))


def pose(**values: Any) -> dict[str, Any]:
    base = {
        "type": "fullbody",
        "frame_indices": [0],
        "local_joints_rot": [[[0.0, 0, 0]] * 22],
        "root_positions": [[0, 1.0, 0]],
    }
    return {**base, **values}


def test_conventions_are_checked() -> None:
    assert warnings([pose()]) == ""
    assert "are these centimetres?" in warnings([pose(root_positions=[[0, 95.0, 0]])])
    assert "is z up here?" in warnings([pose(root_positions=[[0.0, 0.0, 1.0]])])
    degrees = [[[0.0, 90, 0]] * 22]
    assert "rotation vectors are in radians" in warnings([pose(local_joints_rot=degrees)])
    assert "m from root_positions" in warnings([pose(smooth_root_2d=[[3.0, 0]])])
    path = [[0.2 * i, 0.0] for i in range(5)]  # walks to +x
    walk = {"type": "root2d", "frame_indices": [0, 10, 20, 30, 40], "smooth_root_2d": path}
    assert warnings([{**walk, "global_root_heading": [[0, 1]] * 5}]) == ""
    swapped = warnings([{**walk, "global_root_heading": [[1, 0]] * 5}])
    assert "not (sine, cosine)" in swapped
    assert "heading has length" in warnings([{**walk, "global_root_heading": [[1.5, 0]] * 5}])
    fast = {
        **walk,
        "frame_indices": [0, 1, 2, 3, 4],
        "smooth_root_2d": [[9 * i, 0] for i in range(5)],
    }
    assert "would move at 270 m/s" in warnings([fast])
    assert "listed more than once" in warnings([{**walk, "frame_indices": [0, 10, 20, 30, 30]}])
    assert "the later constraint counts" in warnings([pose(), pose(root_positions=[[1, 1, 0]])])


def test_frames_beyond_the_clip_are_listed() -> None:
    item = to_json(Root2D(np.arange(0, 200, 10), np.zeros((20, 2), np.float32)))
    problems = find_problems([item], SMPLX, 150)
    assert [p.message for p in problems] == [
        "frame 150, 160, 170, 180, 190 is beyond the clip's 150 frames (0 to 149)"
    ]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: cannot be read"):
        read_constraints(tmp_path / "no.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_constraints(tmp_path)
    for text in ("[", "\udcff", "[" * 100_000):
        (tmp_path / "bad.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match=r"bad.json: not JSON"):
            read_constraints(tmp_path / "bad.json")
    (tmp_path / "bom.json").write_text("[]", "utf-8-sig")
    assert read_constraints(tmp_path / "bom.json") == []


def test_problems_are_one_printable_line_whatever_the_keys_are() -> None:
    skeleton = load_skeleton("smplx22")
    keys = {"\x1b[2J\n\ud800": 1, "x" * 10_000: 2}
    item = {"type": "root2d", "frame_indices": [0], "smooth_root_2d": [[0, 0]], **keys}
    told = [str(problem) for problem in find_problems([item], skeleton)]
    assert len(told) == 2 and all(line.isprintable() and len(line) < 600 for line in told)
