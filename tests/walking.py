"""A walk to test with, as positions of HumanML3D's joints or of the MyoSkeleton's."""

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.skeleton import load_skeleton


def walking(frames: int = 50, turn: float = 0.02) -> NDArray[np.float64]:
    """Swing the limbs of the rest pose while it walks a curve."""
    rest = load_skeleton("humanml22").rest_positions.astype(np.float64)
    joints = np.repeat(rest[None] + [0, 1, 0], frames, axis=0)
    time = np.arange(frames)
    for limb, sign in (((4, 7, 10, 19, 21), 1), ((5, 8, 11, 18, 20), -1)):
        for depth, joint in enumerate(limb, start=1):
            joints[:, joint, 2] += sign * 0.05 * depth * np.sin(0.3 * time)
    angle = turn * time
    sin, cos = np.sin(angle), np.cos(angle)
    rotation = np.zeros((frames, 3, 3))
    rotation[:, 0, 0], rotation[:, 0, 2] = cos, sin
    rotation[:, 2, 0], rotation[:, 2, 2] = -sin, cos
    rotation[:, 1, 1] = 1
    joints = np.einsum("tij,tnj->tni", rotation, joints)
    path = np.cumsum(np.stack((0.04 * sin, 0 * sin, 0.04 * cos), axis=-1), axis=0)
    return np.asarray(joints + path[:, None], np.float64)


_SAME = {  # joint of the musculoskeleton -> of HumanML3D's body
    "pelvis": "pelvis",
    "lumbar_spine_3": "spine1",
    "thoracic_spine": "spine3",
    "cervical_spine_4": "neck",
    "skull": "head",
    **{
        f"{bone}_{side[0]}": f"{side}_{joint}"
        for side in ("left", "right")
        for bone, joint in (
            ("clavicle", "collar"),
            ("humerus", "shoulder"),
            ("ulna", "elbow"),
            ("lunate", "wrist"),
            ("femur", "hip"),
            ("tibia", "knee"),
            ("foot", "ankle"),
        )
    },
}


def walking_myo(frames: int = 40) -> NDArray[np.float64]:
    """Walk the same with the musculoskeleton's joints (T, 26, 3)."""
    body = walking(frames)
    place = {name: joint for joint, name in enumerate(load_skeleton("humanml22").joint_names)}
    found = {name: body[:, place[same]] for name, same in _SAME.items()}
    found["myoskeleton_root"] = found["pelvis"] - [0, 0.02, 0]
    for side in "lr":
        found[f"hip_{side}"] = (found["pelvis"] + found[f"femur_{side}"]) / 2
        reach = found[f"lunate_{side}"] - found[f"ulna_{side}"]
        found[f"proximal_phalanx_1_{side}"] = found[f"lunate_{side}"] + reach * 0.3 + [0, 0, 0.03]
        found[f"proximal_phalanx_2_{side}"] = found[f"lunate_{side}"] + reach * 0.4
    return np.stack([found[name] for name in load_skeleton("myo26").joint_names], axis=1)
