from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rigs import RIGS, character
from strides import striding

from motionrt.runtime.body.bone_mapping import map_bones
from motionrt.runtime.body.finishing import finish
from motionrt.runtime.body.hand_poses import HAND_POSES
from motionrt.runtime.body.hands import finger_rotations, with_hands
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.retarget import retargeted
from motionrt.runtime.body.skeleton import load_skeleton, relaxed_hands_local_rot_mats
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.character import read_character

FINGERED = [name for name, rig in RIGS.items() if rig.fingers is not None]


def still(skeleton: str = "soma77") -> Motion:
    body = load_skeleton(skeleton)
    local = np.tile(np.eye(3), (3, body.num_joints, 1, 1))
    return Motion.from_local(local, np.tile([0.0, 1, 0], (3, 1)), body, 30)


def degrees(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def test_relaxed_is_near_to_somas_own() -> None:
    body = load_skeleton("soma77")
    bones = map_bones(body)
    ours = finger_rotations(body, bones, "relaxed")
    own = relaxed_hands_local_rot_mats("soma77")
    assert len(ours) == 30
    for joint, rotation in ours.items():
        apart = degrees(own[joint].T @ rotation)
        assert apart < max(20, 0.9 * (degrees(own[joint]) + degrees(rotation)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_fist_closes_and_a_finger_points(side: str) -> None:
    bones = map_bones(load_skeleton("soma77"))

    def reach(pose: str, finger: str) -> float:
        motion = with_hands(still(), pose)
        tip, hand = (bones.joints[f"{name}_{side}"] for name in (f"{finger}3", "hand"))
        return float(np.linalg.norm(motion.posed_joints[0, tip] - motion.posed_joints[0, hand]))

    for finger in ("index", "middle", "ring", "pinky"):
        flat, grip, fist = (reach(pose, finger) for pose in ("flat", "grip", "fist"))
        assert fist < grip < flat
    assert reach("point", "index") > 0.98 * reach("flat", "index")
    assert reach("point", "ring") < 0.95 * reach("flat", "ring")
    # A fist bends down, to the palm, of a hand that is held out.
    tip = bones.joints[f"middle2_{side}"]
    heights = [with_hands(still(), pose).posed_joints[0, tip, 1] for pose in ("flat", "fist")]
    assert heights[1] < heights[0] - 0.02


def test_fingers_alone_move() -> None:
    motion = still()
    made = with_hands(motion, "fist")
    fingers = finger_rotations(motion.skeleton, map_bones(motion.skeleton), "fist")
    others = [j for j in range(77) if j not in fingers]
    np.testing.assert_array_equal(made.local_rot_mats[:, others], motion.local_rot_mats[:, others])
    assert finish(still("soma30"), hands="grip").skeleton.name == "soma77"


@pytest.mark.parametrize("rig", FINGERED)
def test_fingers_that_the_source_has_not_are_relaxed(rig: str, tmp_path: Path) -> None:
    body = read_character(character(tmp_path, rig))
    walk = striding(seconds=0.5)
    made = retargeted(walk, map_bones(walk.skeleton), body.skeleton, body.bones).motion
    again = with_hands(made, "relaxed", body.bones)
    np.testing.assert_allclose(again.posed_joints, made.posed_joints, atol=1e-5)
    flat = with_hands(made, "flat", body.bones)
    assert np.abs(flat.posed_joints - made.posed_joints).max() > 0.01


def test_fingers_of_the_source_are_kept(tmp_path: Path) -> None:
    source = with_hands(still(), "point")
    body = read_character(character(tmp_path, "mixamo"))
    made = retargeted(source, map_bones(source.skeleton), body.skeleton, body.bones).motion
    expected = with_hands(made, "point", body.bones)
    for finger in ("index", "middle", "ring", "pinky"):
        joint = body.bones.joints[f"{finger}3_left"]
        found, wanted = (m.posed_joints[0, joint] for m in (made, expected))
        np.testing.assert_allclose(found, wanted, atol=0.01)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="cmu22 has no fingers; retarget"):
        with_hands(striding(seconds=0.5), "fist")
    with pytest.raises(InputError, match="hands 'claw': there are relaxed, flat"):
        with_hands(still(), "claw")
    with pytest.raises(InputError, match="hands is 'claw'"):
        finish(still(), hands="claw")
    assert all(len(pose) == 5 for pose in HAND_POSES.values())
