from __future__ import annotations

from dataclasses import replace

import numpy as np

from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton


def standing(frames: int, **more: object) -> Motion:
    rig = load_skeleton("smplx22")
    local = np.broadcast_to(np.eye(3), (frames, rig.num_joints, 3, 3))
    root = np.arange(3 * frames).reshape(frames, 3)
    return Motion.from_local(local, root, rig, 20, **more)


def test_frames_follow_and_what_one_lacks_is_left_out() -> None:
    first = standing(2, foot_contacts=np.ones((2, 4)), smooth_root_pos=np.ones((2, 3)))
    second = standing(3, foot_contacts=np.zeros((3, 6)), info={"prompt": "later"})
    both = joined(first, second)
    np.testing.assert_array_equal(both.root_positions[:2], first.root_positions)
    np.testing.assert_array_equal(both.posed_joints[2:], second.posed_joints)
    assert both.foot_contacts is None and both.smooth_root_pos is None
    assert both.info == {"prompt": "later"}
    feet = joined(first, replace(first, smooth_root_pos=None)).foot_contacts
    assert feet is not None and feet.shape == (4, 4)
