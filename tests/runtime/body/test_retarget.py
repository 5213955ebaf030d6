"""Motions on other bodies: limbs point as before, feet stand, nothing of the rig matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rigs import RIGS, character
from strides import gliding, striding, walk_of_default

from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.loop import looped, played, seam
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.retarget import Certificate, Retargeted, retargeted
from motionrt.runtime.body.root_motion import in_place, loop_step
from motionrt.runtime.body.rotation import rotation_about_y, unit
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.character import read_character


def onto(motion: Motion, path: Path) -> Retargeted:
    body = read_character(path)
    return retargeted(motion, map_bones(motion.skeleton), body.skeleton, body.bones)


@pytest.mark.parametrize("rig", RIGS)
def test_limbs_point_as_the_source_and_feet_stand(rig: str, tmp_path: Path) -> None:
    motion = walk_of_default()
    body = read_character(character(tmp_path, rig))
    result = retargeted(motion, map_bones(motion.skeleton), body.skeleton, body.bones)
    assert result.certificate.passed, result.certificate.failures
    assert result.certificate.slide_mm < 1 < result.certificate.source_slide_mm
    assert result.certificate.direction_deg < 7
    source = map_bones(motion.skeleton).joints
    back = -1 if RIGS[rig].faces_back else 1
    for side in ("left", "right"):
        for upper, lower in (("upper_arm", "lower_arm"), ("lower_arm", "hand")):
            ways = []
            for places, joints in (
                (result.motion.posed_joints, body.bones.joints),
                (motion.posed_joints, source),
            ):
                ends = [places[:, joints[f"{role}_{side}"]] for role in (upper, lower)]
                ways.append(unit(ends[1] - ends[0]))
            np.testing.assert_allclose(ways[0], ways[1] * [back, 1, back], atol=2e-3)


def test_the_way_is_in_proportion_to_the_legs(tmp_path: Path) -> None:
    motion = striding(seconds=2)
    steps = {}
    for height in (0.855, 1.71, 171.0):
        made = onto(motion, character(tmp_path, "mixamo", height)).motion
        steps[height] = float(np.linalg.norm(made.root_positions[-1] - made.root_positions[0]))
    assert steps[0.855] == pytest.approx(steps[1.71] / 2, rel=1e-3)
    assert steps[171.0] == pytest.approx(steps[1.71] * 100, rel=1e-3)
    own = float(np.linalg.norm(motion.root_positions[-1] - motion.root_positions[0]))
    assert steps[1.71] == pytest.approx(own, rel=0.15)


def test_there_and_back_is_the_motion() -> None:
    motion = walk_of_default()
    ours = map_bones(motion.skeleton)
    for name in ("soma77", "smplx22", "humanml22"):
        body = load_skeleton(name)
        there = retargeted(motion, ours, body, map_bones(body)).motion
        back = retargeted(there, map_bones(body), motion.skeleton, ours).motion
        apart = np.linalg.norm(back.posed_joints - motion.posed_joints, axis=-1)
        assert apart.mean() < 0.02 and apart.max() < 0.08


def test_another_rest_pose_is_the_same_body(tmp_path: Path) -> None:
    # The same motion out of a file whose bones rest otherwise: what is made of it is the same.
    motion = striding(seconds=1)
    motion.save(tmp_path / "walk.bvh")
    motion.save(tmp_path / "walk.glb", joint_names="ue5", root_bone=True)
    place = character(tmp_path, "unreal")
    expected = onto(motion, place).motion
    for name in ("walk.bvh", "walk.glb"):
        again = Motion.load(tmp_path / name)
        again.foot_contacts = motion.foot_contacts
        found = onto(again, place).motion
        np.testing.assert_allclose(found.posed_joints, expected.posed_joints, atol=2e-3)


@pytest.mark.parametrize("rig", ["mixamo", "kaykit", "rocketbox"])
def test_a_loop_stays_one(rig: str, tmp_path: Path) -> None:
    loop = looped(walk_of_default()).motion
    made = onto(loop, character(tmp_path, rig)).motion
    assert made.num_frames == loop.num_frames
    left = seam(made, 0, made.num_frames - 1)
    assert left.position_mm < 0.5 and left.rotation_deg < 0.5 and left.velocity_mps < 0.1
    step, _ = loop_step(made) or (np.zeros(2), 0)
    assert step[1] > 0.5
    round_trip = played(made, 3)
    jumps = np.linalg.norm(np.diff(round_trip.posed_joints, n=2, axis=0), axis=-1).max(axis=1)
    inside = np.linalg.norm(np.diff(made.posed_joints, n=2, axis=0), axis=-1).max()
    assert jumps.max() < 1.1 * inside
    still = in_place(made)
    np.testing.assert_allclose(still.posed_joints[0], still.posed_joints[-1], atol=1e-3)


def test_feet_of_a_motion_in_place_are_not_held(tmp_path: Path) -> None:
    loop = looped(walk_of_default()).motion
    place = character(tmp_path, "mixamo")
    expected = in_place(onto(loop, place).motion)
    found = onto(in_place(loop), place).motion
    assert np.linalg.norm(found.posed_joints - expected.posed_joints, axis=-1).max() < 0.06


def test_feet_that_slide_are_held(tmp_path: Path) -> None:
    motion = walk_of_default()
    drift = np.zeros((60, 3))
    drift[:, 0] = np.linspace(0, 0.3, 60)
    sliding = Motion.from_local(
        motion.local_rot_mats,
        motion.root_positions + drift,
        motion.skeleton,
        motion.fps,
        foot_contacts=motion.foot_contacts,
    )
    result = onto(sliding, character(tmp_path, "mixamo"))
    assert result.certificate.source_slide_mm > 30 > 5 > result.certificate.slide_mm
    steps = np.linalg.norm(np.diff(result.motion.posed_joints, n=2, axis=0), axis=-1)
    own = np.linalg.norm(np.diff(sliding.posed_joints, n=2, axis=0), axis=-1)
    assert steps.max() < 3 * own.max()


def test_feet_without_contacts_stand_where_they_are_low_and_slow(tmp_path: Path) -> None:
    motion = replace(walk_of_default(), foot_contacts=None)
    result = onto(motion, character(tmp_path, "mixamo"))
    assert result.certificate.passed and result.certificate.slide_mm < 5


def test_a_leg_that_is_too_short_is_told(tmp_path: Path) -> None:
    result = onto(gliding(), character(tmp_path, "mixamo"))
    assert not result.certificate.passed
    assert any("misses its place" in line for line in result.certificate.failures)
    assert result.certificate.to_json()["passed"] is False


def test_a_certificate_knows_its_limits() -> None:
    good = Certificate(0, 0, 0, 0, 0, 0, 0, (), ())
    assert good.passed
    for field in ("slide_mm", "depth_mm", "unreached_mm", "bend_deg", "back_deg", "direction_deg"):
        for bad in (1000.0, float("nan")):
            changed: dict[str, Any] = {field: bad}
            assert len(replace(good, **changed).failures) == 1


def test_a_source_that_faces_elsewhere_at_rest_makes_no_difference(tmp_path: Path) -> None:
    motion = striding(seconds=1)
    turn = np.asarray(rotation_about_y(2.0))
    rest = (motion.skeleton.rest_positions @ turn.T).astype(np.float32)
    body = replace(motion.skeleton, rest_positions=rest)
    turned = motion.global_rot_mats @ turn.T
    same = Motion.from_local(
        body.global_to_local(turned),
        motion.root_positions,
        body,
        30,
        foot_contacts=motion.foot_contacts,
    )
    np.testing.assert_allclose(same.posed_joints, motion.posed_joints, atol=1e-5)
    place = character(tmp_path, "unreal")
    expected, found = onto(motion, place).motion, onto(same, place).motion
    np.testing.assert_allclose(found.posed_joints, expected.posed_joints, atol=1e-4)


def test_a_root_that_is_not_the_hips_is_refused() -> None:
    motion = striding(seconds=1)
    body = load_skeleton("cmu22")
    bones = map_bones(body)
    wrong = replace(bones, joints={**bones.joints, "hips": 1})
    with pytest.raises(InputError, match="root is not its hips"):
        retargeted(motion, bones, body, wrong)
