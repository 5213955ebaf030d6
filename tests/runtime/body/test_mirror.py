from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.mirror import mirror_pairs, mirrored
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.errors import InputError


@pytest.mark.parametrize("name", SKELETON_NAMES)
def test_every_skeleton_has_pairs(name: str) -> None:
    pairs = mirror_pairs(load_skeleton(name))
    np.testing.assert_array_equal(pairs[pairs], np.arange(len(pairs)))
    joints = map(str.lower, load_skeleton(name).joint_names)
    sided = sum("left" in joint or joint.endswith("_l") for joint in joints)
    assert (pairs != np.arange(len(pairs))).sum() == 2 * sided > 0


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mixamorig:LeftArm", "mixamorig:RightArm"),
        ("thigh_l", "thigh_r"),
        ("upperleg.L", "upperleg.R"),
        ("Bip01 L Thigh", "Bip01 R Thigh"),
        ("leftUpperArm", "rightUpperArm"),
        ("lShin", "rShin"),
        ("J_Bip_L_Hand", "J_Bip_R_Hand"),
    ],
)
def test_sides_of_other_makers_names(name: str, other: str) -> None:
    body = replace(
        load_skeleton("cmu22"),
        joint_names=tuple({1: name, 2: other}.get(joint, f"joint{joint}") for joint in range(22)),
    )
    assert list(mirror_pairs(body)[1:3]) == [2, 1]


def test_joints_are_where_the_mirror_shows_them() -> None:
    motion = striding(heading=0.4, turn_radps=0.2)
    other = mirrored(motion)
    pairs = mirror_pairs(motion.skeleton)
    expected = motion.posed_joints[:, pairs] * [-1, 1, 1]
    np.testing.assert_allclose(other.posed_joints, expected, atol=2e-3)
    one, two = np.array(motion.foot_contacts), np.array(other.foot_contacts)
    np.testing.assert_array_equal(two[:, :2], one[:, 2:])
    again = mirrored(other)
    np.testing.assert_allclose(again.posed_joints, motion.posed_joints, atol=1e-5)


def test_a_loop_turns_the_other_way() -> None:
    motion = striding(seconds=1)
    motion.info["loop"] = {"step_m": [0.1, 1.0], "turn_deg": 30.0}
    assert mirrored(motion).info["loop"] == {"step_m": [-0.1, 1.0], "turn_deg": -30.0}


def test_sides_that_are_not_told_or_differ_are_refused() -> None:
    motion = striding(seconds=1)
    plain = tuple(f"joint{joint}" for joint in range(22))
    unnamed = replace(motion.skeleton, joint_names=plain)
    with pytest.raises(InputError, match="left from right"):
        mirrored(Motion.from_local(motion.local_rot_mats, motion.root_positions, unnamed, 30))
    rest = motion.skeleton.rest_positions.copy()
    rest[motion.skeleton.index("LeftHand")] += [0.3, 0, 0]
    uneven = replace(motion.skeleton, rest_positions=rest)
    with pytest.raises(InputError, match=r"LeftHand|RightHand"):
        mirrored(Motion.from_local(motion.local_rot_mats, motion.root_positions, uneven, 30))
