from dataclasses import replace

import numpy as np
import pytest

from motionrt.runtime.body.metrics import foot_skate, jitter, known_contacts, measure, turn_deg
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import rotation_about_y
from motionrt.runtime.body.skeleton import load_skeleton

CMU = load_skeleton("cmu22")
FRAMES = 31


def sliding(speed_mps: float = 0.6, turn_rad: float = 0.0) -> Motion:
    local = np.tile(np.eye(3, dtype=np.float32), (FRAMES, 22, 1, 1))
    local[:, 0] = rotation_about_y(np.linspace(0, turn_rad, FRAMES).astype(np.float32))
    root = np.zeros((FRAMES, 3))
    root[:, 1] = 0.98
    root[:, 2] = np.arange(FRAMES) * speed_mps / 30
    return Motion.from_local(local, root, CMU, 30)


def test_a_statue_on_rails() -> None:
    values = measure(sliding())
    assert values["path_length_m"] == pytest.approx(0.6, abs=1e-5)
    assert values["displacement_m"] == pytest.approx(0.6, abs=1e-5)
    assert values["mean_speed_mps"] == pytest.approx(0.6, abs=1e-5)
    assert values["foot_skate_mps"] == pytest.approx(0.6, abs=1e-4)
    assert values["jitter_mps3"] < 0.1 and values["turn_deg"] == 0
    assert values["root_height_m"] == pytest.approx([0.98, 0.98])
    assert values["joint_height_m"] == pytest.approx([0.02, 1.55])
    assert (values["frames"], values["seconds"], values["joints"]) == (31, 31 / 30, 22)


def test_contacts_say_which_feet_stand() -> None:
    motion = sliding()
    assert foot_skate(replace(motion, foot_contacts=np.zeros((FRAMES, 4), bool))) is None
    half = np.zeros((FRAMES, 4), bool)
    half[10:20] = True
    assert foot_skate(replace(motion, foot_contacts=half)) == pytest.approx(0.6, abs=1e-4)


def test_contacts_of_toe_ends_are_known_too() -> None:
    soma = load_skeleton("soma77")
    local = np.tile(np.eye(3, dtype=np.float32), (FRAMES, 77, 1, 1))
    root = np.zeros((FRAMES, 3))
    root[:, 2] = np.arange(FRAMES) * 0.6 / 30
    contacts = np.zeros((FRAMES, 6), bool)
    motion = Motion.from_local(local, root, soma, 30, foot_contacts=contacts)
    assert foot_skate(motion) is None
    contacts[3:9, 5] = True
    motion = replace(motion, foot_contacts=contacts)
    assert foot_skate(motion) == pytest.approx(0.6, abs=1e-4)
    found = known_contacts(motion)
    assert found is not None and found[0] == list(soma.foot_joints)
    assert known_contacts(replace(motion, foot_contacts=contacts[:, :5])) is None


def test_turning_counts_whole_turns_and_left_is_positive() -> None:
    assert turn_deg(sliding(turn_rad=7.0)) == pytest.approx(np.degrees(7.0), abs=0.1)


def test_shaking_shows_as_jitter() -> None:
    still, shaken = sliding(0), sliding(0)
    noise = np.random.default_rng(0).normal(size=(FRAMES, 3)) * 1e-3
    shaken = Motion.from_local(still.local_rot_mats, still.root_positions + noise, CMU, 30)
    assert jitter(still) == pytest.approx(0, abs=0.1)
    got = jitter(shaken)
    assert got is not None and got > 50


def test_what_a_clip_cannot_say_is_none() -> None:
    one = sliding().crop(0, 1)
    values = measure(one)
    assert values["mean_speed_mps"] is None and values["jitter_mps3"] is None
    assert values["foot_skate_mps"] is None and values["path_length_m"] == 0
    bare = replace(CMU, hip_joints=(), left_foot_joints=(), right_foot_joints=())
    motion = sliding()
    blind = Motion.from_local(motion.local_rot_mats, motion.root_positions, bare, 30)
    assert measure(blind)["turn_deg"] is None and measure(blind)["foot_skate_mps"] is None
