"""Which bone is which, in characters of ten makers, and what cannot be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rigs import RIGS, character, part_names

from motionrt.runtime.body.bone_mapping import map_bones, unmapped, vrm_role
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.character import read_character


@pytest.mark.parametrize("rig", RIGS)
def test_the_bones_of_a_maker_are_found(rig: str, tmp_path: Path) -> None:
    found = read_character(character(tmp_path, rig))
    names = found.skeleton.joint_names
    told = {role: names[joint] for role, joint in found.bones.joints.items()}
    assert told == part_names(rig)
    assert len(found.bones.spine) >= RIGS[rig].spine
    rows = found.bones.rows(found.skeleton)
    assert [row[0] for row in rows[:2]] == ["hips", "head"] and all(all(row) for row in rows)


@pytest.mark.parametrize("name", ["soma30", "soma77", "smplx22", "cmu22", "humanml22"])
def test_our_skeletons_are_found_by_their_names(name: str) -> None:
    bones = map_bones(load_skeleton(name))
    assert set(bones.found_by.values()) == {"names"} and bones.joints["hips"] == 0
    assert unmapped(load_skeleton("cmu22"), map_bones(load_skeleton("cmu22"))) == []


def test_helpers_are_no_bones_of_the_body(tmp_path: Path) -> None:
    found = read_character(character(tmp_path, "unreal"))
    names = unmapped(found.skeleton, found.bones)
    assert {"upperarm_twist_01_l", "thigh_twist_01_r"} <= set(names)


def test_what_is_given_goes_first_and_what_is_missing_is_told(tmp_path: Path) -> None:
    place = character(tmp_path, "kaykit")
    given = {"hand_left": "handslot.l", "toe_left": None}
    found = read_character(place, given)
    names = found.skeleton.joint_names
    assert names[found.bones.joints["hand_left"]] == "handslot.l"
    assert found.bones.found_by["hand_left"] == "given" and "toe_left" not in found.bones.joints
    with pytest.raises(InputError, match=r"no bone was found for hand left; name them"):
        read_character(place, {"hand_left": None})
    with pytest.raises(InputError, match="no role"):
        read_character(place, {"tail": "head"})
    with pytest.raises(InputError, match="has no joint 'nose'"):
        read_character(place, {"head": "nose"})
    with pytest.raises(InputError, match=r"left leg .* is no chain"):
        read_character(place, {"foot_left": "wrist.l"})


def test_a_body_that_is_none_is_refused() -> None:
    box = Skeleton("box", ("a", "b", "c"), np.array([-1, 0, 1]), np.eye(3, dtype=np.float32))
    with pytest.raises(InputError, match="skeleton box: no bone was found for hips, head"):
        map_bones(box)
    with pytest.raises(InputError, match="skeleton g1"):
        map_bones(load_skeleton("g1"))


@pytest.mark.parametrize(
    ("bone", "role"),
    [
        ("leftUpperArm", "upper_arm_left"),
        ("rightLittleDistal", "pinky3_right"),
        ("hips", "hips"),
        ("leftThumbMetacarpal", "thumb1_left"),
        ("jaw", None),
        ("leftEye", None),
    ],
)
def test_bones_of_vrm(bone: str, role: str | None) -> None:
    assert vrm_role(bone) == role
