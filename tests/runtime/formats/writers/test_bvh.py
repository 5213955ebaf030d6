import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import GOLDEN

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.writers.bvh import bvh_text

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # it imports PyGLM by its old name
    import bvhio

CASE = GOLDEN / "kimodo/export_bvh_soma"

Make = Callable[..., Motion]


def channel_table(text: str) -> np.ndarray:
    rows = text.partition("Frame Time: ")[2].split("\n")[1:-1]
    return np.array([row.split() for row in rows], float)


@pytest.mark.parametrize("joints", [30, 77])
def test_soma_is_upstreams_text(joints: int) -> None:
    inputs = np.load(CASE / "inputs.npz")
    motion = Motion.from_local(
        inputs[f"local_rot_mats{joints}"],
        inputs["root_positions"],
        load_skeleton(f"soma{joints}"),
        30,
    )
    got, want = bvh_text(motion), (CASE / f"motion{joints}.bvh").read_text()
    head = want.partition("Frame Time: 0.0")[0]
    assert got.startswith(head) and "0.0 0.0 0.0 0.0 -0.0 0.0 -37.220818 " in got
    np.testing.assert_allclose(channel_table(got), channel_table(want), rtol=0, atol=5e-4)


@pytest.mark.parametrize("skeleton", SKELETON_NAMES)
@pytest.mark.parametrize("rest", ["neutral", "t-pose"])
def test_an_independent_reader_sees_the_same_joints(
    wandering: Make, tmp_path: Path, skeleton: str, rest: str
) -> None:
    motion = wandering(skeleton)
    motion.save(tmp_path / "motion.bvh", rest=rest)
    if skeleton == "soma30":
        motion = motion.expanded()
    hierarchy = bvhio.readAsHierarchy(str(tmp_path / "motion.bvh"))
    for frame in (0, 11, 23):
        hierarchy.loadPose(frame)
        seen = {
            joint.Name: np.array(list(joint.PositionWorld)) for joint, _, _ in hierarchy.layout()
        }
        want = motion.posed_joints[frame]
        got = np.array([seen[name] for name in motion.skeleton.joint_names]) / 100
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("skeleton", ["g1", "smplx22", "cmu22"])
def test_leaves_have_end_sites_and_soma_has_none(wandering: Make, skeleton: str) -> None:
    motion = wandering(skeleton, frames=2)
    leaves = sum(not children for children in motion.skeleton.children)
    text = bvh_text(motion)
    assert text.count("End Site") == leaves
    assert text.count("{") == text.count("}") == leaves + motion.skeleton.num_joints
    assert "End Site" not in bvh_text(wandering("soma77", frames=2))


@pytest.mark.parametrize("skeleton", ["soma77", "smplx22", "g1"])
def test_no_channel_jumps_by_a_turn(wandering: Make, skeleton: str) -> None:
    motion = wandering(skeleton, frames=300)
    angles = channel_table(bvh_text(motion, unwrap=True))[:, 3:]
    assert np.abs(np.diff(angles, axis=0)).max() <= 180.001
    wrapped = channel_table(bvh_text(motion, unwrap=False))[:, 3:]
    assert np.abs(np.diff(wrapped, axis=0)).max() > 300
    assert np.abs(np.diff(angles, axis=0)).sum() < 0.75 * np.abs(np.diff(wrapped, axis=0)).sum()


def test_the_t_pose_of_soma_and_g1_stretches_the_arms_out(wandering: Make) -> None:
    for skeleton, hand in (("soma77", "LeftHand"), ("g1", "left_hand_roll_skel")):
        text = bvh_text(wandering(skeleton, frames=1), rest="t-pose")
        motion = load_skeleton(skeleton)
        offsets = dict(re.findall(r"(?:ROOT|JOINT) (\S+)\s*\{\s*OFFSET ([^\n]+)", text))
        position, joint = np.zeros(3), motion.index(hand)
        while joint > 0:
            position += np.array(offsets[motion.joint_names[joint]].split(), float)
            joint = int(motion.parents[joint])
        assert position[0] > 40 and abs(position[2]) < 6
        assert position[1] > 20  # at the height of the shoulders, above the hips


def test_scale_and_names(wandering: Make) -> None:
    motion = wandering("smplx22", frames=2)
    metres, centimetres = bvh_text(motion, scale=1), bvh_text(motion)
    np.testing.assert_allclose(
        channel_table(metres)[:, :3] * 100, channel_table(centimetres)[:, :3], atol=1e-4
    )
    assert "ROOT mixamorig:Hips" in bvh_text(motion, joint_names="mixamo")
    assert "ROOT root" in bvh_text(wandering("soma30", frames=1), joint_names="ue5")
    for scale in (0, -1, float("nan")):
        with pytest.raises(InputError, match="scale"):
            bvh_text(motion, scale=scale)
    with pytest.raises(InputError, match="rest pose"):
        bvh_text(motion, rest="a-pose")
    with pytest.raises(InputError, match="joint names"):
        bvh_text(motion, joint_names="unity")
