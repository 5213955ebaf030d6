"""A visitor types a sentence on the page, in Chromium, and gets Python's motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import motionrt
from motionrt.runtime.body.motion import Motion

WITHIN_M = 1e-4


def test_a_typed_sentence_becomes_pythons_motion(
    address: str, visit: Callable[[str, Path], Any], tmp_path: Path
) -> None:
    seen = visit(address, tmp_path)
    assert seen["problems"] == []
    assert seen["sees"]
    wanted = motionrt.load().generate("a person walks forward", seconds=4.0, seed=7)
    (made,) = seen["typed"]
    assert made["info"]["seed"] == 7 and made["frames"] == wanted.num_frames
    joints = np.reshape(made["joints"], wanted.posed_joints.shape)
    np.testing.assert_allclose(joints, wanted.posed_joints, rtol=0, atol=WITHIN_M)

    assert seen["formats"] == ["BVH", "GLB", "VRMA", "NPZ"]
    for name in seen["formats"]:
        (file,) = tmp_path.glob(f"*.{name.lower()}")
        saved = Motion.load(file)
        assert saved.skeleton == wanted.skeleton and saved.fps == wanted.fps, name
        np.testing.assert_allclose(
            saved.posed_joints, wanted.posed_joints, rtol=0, atol=WITHIN_M, err_msg=name
        )
    (file,) = tmp_path.glob("*.npz")
    saved = Motion.load(file)
    assert saved.info["prompt"] == "a person walks forward"
    np.testing.assert_array_equal(saved.foot_contacts, wanted.foot_contacts)

    assert seen["offline"]
    assert seen["again"][0]["frames"] > 1
    assert seen["isolated"]  # by the page's own worker: a plain server sends no headers
