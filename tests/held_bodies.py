"""Bodies and constraints on them, for what ports motion correction to other languages."""

from __future__ import annotations

from typing import Any

import numpy as np

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import axis_angle_to_matrix
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.constraints.files import to_json
from motionrt.runtime.constraints.kinds import CONSTRAINT_TYPES, constraint_from_motion


def walk(skeleton: Skeleton, frames: int = 60, seed: int = 0) -> Motion:
    """A body that wanders, with feet that stand now and then, and never as the model would."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(0, 0.05, (frames, skeleton.num_joints, 3)).cumsum(0)
    local = axis_angle_to_matrix(np.sin(steps).astype(np.float32))
    root = generator.normal(0, 0.03, (frames, 3)).cumsum(0) + np.array([0, 0.9, 0])
    contacts = np.repeat(generator.random((frames // 6, 4)) > 0.5, 6, axis=0)
    return Motion.from_local(
        local, root.astype(np.float32), skeleton, 30.0, foot_contacts=contacts, smooth_root_pos=root
    )


def held(motion: Motion) -> list[dict[str, Any]]:
    """Constraints of every kind on frames of a motion, as files have them."""
    frames = {
        "root2d": [0, 10, 40],
        "fullbody": [20, 21, 22],
        "left-hand": [5, 50],
        "right-hand": [30],
        "left-foot": [12, 13, 14],
        "right-foot": [44, 45],
        "end-effector": [33],
    }
    documents = []
    for kind, chosen in frames.items():
        names = ("Hips", "LeftHand") if kind == "end-effector" else ()
        documents.append(to_json(constraint_from_motion(motion, chosen, kind, names)))
    assert {document["type"] for document in documents} == set(CONSTRAINT_TYPES)
    return documents
