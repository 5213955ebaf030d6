import pytest

from motionrt.runtime.body.joint_names import STYLES, joint_groups, joint_roles, renamed_joints
from motionrt.runtime.body.skeleton import SKELETON_NAMES, load_skeleton
from motionrt.runtime.errors import InputError

NEEDED = {  # what each engine must find to map a biped
    "mixamo": "Hips Spine Spine1 Spine2 Neck Head LeftShoulder LeftArm LeftForeArm LeftHand "
    "LeftUpLeg LeftLeg LeftFoot LeftToeBase RightArm RightUpLeg",
    "ue5": "pelvis spine_01 spine_02 spine_03 neck_01 head clavicle_l upperarm_l lowerarm_l hand_l "
    "thigh_l calf_l foot_l ball_l upperarm_r thigh_r",
    "vrm": "hips spine chest upperChest neck head leftShoulder leftUpperArm leftLowerArm leftHand "
    "leftUpperLeg leftLowerLeg leftFoot leftToes rightUpperArm rightUpperLeg",
}


WITH_TOES = [name for name in SKELETON_NAMES if name not in ("g1", "myo26")]


@pytest.mark.parametrize("skeleton", WITH_TOES)
@pytest.mark.parametrize("style", STYLES)
def test_every_body_joint_has_its_name_and_no_two_share_one(skeleton: str, style: str) -> None:
    names = renamed_joints(load_skeleton(skeleton), style)
    assert len(set(names)) == len(names) == load_skeleton(skeleton).num_joints
    assert set(NEEDED[style].split()) <= {name.removeprefix("mixamorig:") for name in names}


@pytest.mark.parametrize("style", STYLES)
def test_a_musculoskeleton_has_all_names_but_those_of_joints_that_it_lacks(style: str) -> None:
    lacking = {
        "mixamo": {"Spine2", "LeftToeBase"},
        "ue5": {"spine_03", "ball_l"},
        "vrm": {"upperChest", "leftToes"},
    }
    skeleton = load_skeleton("myo26")
    names = renamed_joints(skeleton, style)
    plain = {name.removeprefix("mixamorig:") for name in names}
    assert len(plain) == skeleton.num_joints
    assert set(NEEDED[style].split()) - plain == lacking[style]
    groups = joint_groups(names)
    assert groups == joint_groups(skeleton.joint_names)
    assert groups["hip_joints"] == skeleton.hip_joints
    assert groups["left_hand_joints"] == skeleton.left_hand_joints


def test_fingers_skip_the_metacarpal() -> None:
    skeleton = load_skeleton("soma77")
    joint = skeleton.index("LeftHandIndex2")
    assert renamed_joints(skeleton, "mixamo")[joint] == "mixamorig:LeftHandIndex1"
    assert renamed_joints(skeleton, "ue5")[joint] == "index_01_l"
    assert renamed_joints(skeleton, "vrm")[joint] == "leftIndexProximal"


def test_robots_and_unknown_styles_are_refused() -> None:
    with pytest.raises(InputError, match="g1 has no mixamo names"):
        renamed_joints(load_skeleton("g1"), "mixamo")
    with pytest.raises(InputError, match="mixamo, ue5, vrm"):
        renamed_joints(load_skeleton("soma77"), "unity")


@pytest.mark.parametrize("style", [None, *STYLES])
@pytest.mark.parametrize("skeleton", WITH_TOES)
def test_hips_feet_and_hands_are_found_by_any_rigs_names(skeleton: str, style: str | None) -> None:
    known = load_skeleton(skeleton)
    groups = joint_groups(renamed_joints(known, style) if style else known.joint_names)
    assert groups["hip_joints"] == known.hip_joints
    assert groups["left_foot_joints"] == known.left_foot_joints[:2]
    assert groups["right_foot_joints"] == known.right_foot_joints[:2]
    assert groups["left_hand_joints"] == known.left_hand_joints[:1]
    assert joint_groups(("a", "b")) == {}


@pytest.mark.parametrize("prefix", ["char1:", "a:b:", "Armature|", "Character1_", "mixamorig_"])
@pytest.mark.parametrize("style", [None, *STYLES])
def test_namespaces_change_no_role(prefix: str, style: str | None) -> None:
    known = load_skeleton("soma77")
    names = renamed_joints(known, style) if style else known.joint_names
    with_root = ["Armature", *(prefix + name for name in names)]
    want = {role: joint + 1 for role, joint in joint_roles(names).items()}
    assert joint_roles(with_root) == want and len(want) > 20


def test_a_word_before_some_of_the_names_is_no_namespace() -> None:
    names = ("pelvis", "spine_01", "thigh_l", "ik_foot_l", "ik_hand_l", "ik_hand_r", "ik_foot_r")
    assert set(joint_roles(names).values()) == {0, 1, 2}
