"""How tall a body is, whatever pose its rest pose is."""

from __future__ import annotations

import numpy as np

from motionrt.runtime.body.joint_names import joint_roles
from motionrt.runtime.body.skeleton import Skeleton

_LEG = 0.49
"""Thigh and shin of a human by the height. Source: Drillis and Contini, 1966."""


def standing_height(skeleton: Skeleton) -> float | None:
    """How tall a human with these legs is, whatever pose the rest pose is.

    None if the names do not tell the joints of a leg.
    """
    roles = joint_roles(skeleton.joint_names)
    lengths = []
    for side in ("left", "right"):
        if not {f"{part}_{side}" for part in ("thigh", "shin", "foot")} <= set(roles):
            continue
        thigh, joint = roles[f"thigh_{side}"], roles[f"foot_{side}"]
        length = 0.0
        while joint > thigh:  # with the joints between: some rigs twist, some have two knees
            length += float(np.linalg.norm(skeleton.offsets[joint].astype(np.float64)))
            joint = int(skeleton.parents[joint])
        if joint == thigh:
            lengths.append(length)
    return sum(lengths) / len(lengths) / _LEG if lengths else None
