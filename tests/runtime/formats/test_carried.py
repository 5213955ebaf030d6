import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.carried import Body, carried_body

FRAMES = 5
WALK = np.linspace([0, 0.9, 0], [0.4, 0.9, 0.8], FRAMES)

UNREAL = {
    "root": "",
    "pelvis": "root",
    "spine_01": "pelvis",
    "thigh_l": "pelvis",
    "ik_foot_root": "root",
    "ik_foot_l": "ik_foot_root",
    "ik_hand_root": "root",
    "ik_hand_gun": "ik_hand_root",
    "ik_hand_l": "ik_hand_gun",
}


def taken(
    tree: dict[str, str],
    moving: dict[str, np.ndarray],
    *,
    root: np.ndarray | None = None,
    turning: dict[str, float] | None = None,
    weighted: set[str] | None = None,
) -> Body:
    """Names with their parents; where they are relative to them; how far they turn about x."""
    names = list(tree)
    rotations = np.tile(np.eye(3), (FRAMES, len(names), 1, 1))
    for name, angle in (turning or {}).items():
        angles = np.linspace(0, angle, FRAMES)
        cosine, sine = np.cos(angles), np.sin(angles)
        joint = names.index(name)
        rotations[:, joint, 1, 1] = rotations[:, joint, 2, 2] = cosine
        rotations[:, joint, 2, 1], rotations[:, joint, 1, 2] = sine, -sine
    return carried_body(
        names,
        [names.index(parent) if parent else -1 for parent in tree.values()],
        np.tile([0, 0.2, 0.0], (len(names), 1)),
        rotations,
        {names.index(name): track for name, track in moving.items()},
        np.zeros((FRAMES, 3)) if root is None else root,
        weighted=None if weighted is None else {names.index(name) for name in weighted},
    )


def test_a_still_root_is_merged_and_helpers_beside_the_body_are_left_away() -> None:
    body = taken(UNREAL, {"pelvis": WALK, "ik_foot_root": WALK})
    assert body.names == ["pelvis", "spine_01", "thigh_l"] and body.parents == [-1, 0, 0]
    assert body.kept == [1, 2, 3]
    np.testing.assert_array_equal(body.root, WALK)
    assert body.notes == ["left away, beside the body: ik_foot_root, ik_hand_root"]


def test_a_small_body_is_found_beside_a_larger_helper() -> None:
    body = taken({k: v for k, v in UNREAL.items() if k != "thigh_l"}, {"pelvis": WALK})
    assert body.names == ["pelvis", "spine_01"]


def test_a_body_of_unknown_names_is_found_beside_still_ik_bones() -> None:
    tree = {name: parent.replace("pelvis", "Body") for name, parent in UNREAL.items()}
    tree = {"Body" if name == "pelvis" else name: parent for name, parent in tree.items()}
    body = taken(tree, {"Body": WALK}, turning={"ik_hand_gun": 1.0})
    assert body.names == ["Body", "spine_01", "thigh_l"]


def test_hips_below_joints_without_tracks() -> None:
    tree = {
        "_rootJoint": "",
        "b_Root_00": "_rootJoint",
        "b_Hip_01": "b_Root_00",
        "tail": "b_Hip_01",
    }
    assert taken(tree, {"b_Hip_01": WALK}).names == ["b_Hip_01", "tail"]
    assert taken(tree, {}, root=WALK).names == list(tree)


def test_what_carries_gives_its_motion_to_the_body() -> None:
    """A root that walks and turns, a mover in it, then the hips."""
    tree = {"root": "", "mover": "root", "Hips": "mover", "Spine": "Hips"}
    path = np.linspace([0, 0, 0], [0, 0, 1], FRAMES)
    body = taken(tree, {"mover": WALK, "Hips": WALK}, root=path, turning={"root": np.pi / 2})
    assert body.names == ["Hips", "Spine"]
    x, y, z = WALK[-1] * 2
    np.testing.assert_allclose(body.root[-1], [x, -z, y + 1], atol=1e-12)
    np.testing.assert_allclose(
        body.rotations[-1, 0], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12
    )
    assert body.notes == []


def test_a_still_pose_of_the_same_rig_has_the_same_joints() -> None:
    still = np.tile([0, 0.9, 0], (FRAMES, 1))
    assert taken(UNREAL, {"pelvis": still, "ik_foot_root": still}).names[0] == "pelvis"


def test_hips_are_never_merged_into_the_spine() -> None:
    tree = {"Hips": "", "Spine": "Hips", "Chest": "Spine", "Neck": "Chest", "Thigh": "Hips"}
    still = np.tile([0, 0.2, 0], (FRAMES, 1))
    body = taken(tree, {name: still for name in list(tree)[1:]}, root=WALK)
    assert body.names == list(tree) and body.offsets[0].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="joint Spine moves relative to its parent"):
        taken(tree, {"Spine": WALK}, root=WALK)


def test_a_leg_beside_a_sliding_spine_is_no_helper() -> None:
    leg = {"b10": "b0", "b11": "b10", "b12": "b11"}
    tree = {"b0": "", "b1": "b0", "b2": "b1", "b3": "b2", "b4": "b3", **leg}
    with pytest.raises(InputError, match="joint b1 moves"):
        taken(tree, {"b1": WALK}, turning={"b11": 0.5})


def test_face_and_ik_bones_that_slide_are_left_away_with_a_note() -> None:
    tree = {"Hips": "", "Spine": "Hips", "Head": "Spine", "LeftEye": "Head", "lid": "LeftEye"}
    body = taken(tree, {"LeftEye": WALK})
    assert body.names == ["Hips", "Spine", "Head"]
    assert body.notes == ["left away, they slide on the body: LeftEye"]
    tree |= {"whatever": "Head"}
    assert "whatever" not in taken(tree, {"whatever": WALK}, weighted={"Hips", "Head"}).names
    for weighted in (None, {"Hips", "whatever"}):
        with pytest.raises(InputError, match="joint whatever moves"):
            taken(tree, {"whatever": WALK}, weighted=weighted)
    with pytest.raises(InputError, match="joint Head moves"):
        taken(tree, {"Head": WALK}, weighted={"Hips"})


def test_constant_tracks_replace_offsets() -> None:
    still = np.tile([0, 0.5, 0], (FRAMES, 1))
    body = taken({"Hips": "", "Spine": "Hips"}, {"Spine": still}, root=WALK)
    np.testing.assert_array_equal(body.offsets[1], [0, 0.5, 0])


def test_a_long_chain_of_carriers_is_walked_once() -> None:
    count = 10_000
    body = carried_body(
        [f"b{i}" for i in range(count)],
        list(range(-1, count - 1)),
        np.zeros((count, 3)),
        np.tile(np.eye(3), (2, count, 1, 1)),
        {joint: np.array([[0, 0, 0], [1, 0, 0.0]]) for joint in range(1, count)},
        np.zeros((2, 3)),
    )
    assert body.kept == [count - 1]
    np.testing.assert_array_equal(body.root[1], [count - 1, 0, 0])
