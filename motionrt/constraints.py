"""Constraints: where the root, a body, a hand or a foot shall be at some frames.

::

    path = Root2D([0, 60, 119], [[0, 0], [1, 1], [0, 3]])
    motion = pipeline.generate("a person walks", seconds=4, constraints=[path])

Frames count from 0; metres, y up, +z forward; headings are (cosine, sine).
"""

from motionrt.runtime.constraints.files import (
    Problem,
    find_problems,
    read_constraints,
    write_constraints,
)
from motionrt.runtime.constraints.kinds import (
    Constraint,
    EndEffector,
    FullBody,
    LeftFoot,
    LeftHand,
    RightFoot,
    RightHand,
    Root2D,
    constraint_from_motion,
)

__all__ = [
    "Constraint",
    "EndEffector",
    "FullBody",
    "LeftFoot",
    "LeftHand",
    "Problem",
    "RightFoot",
    "RightHand",
    "Root2D",
    "constraint_from_motion",
    "find_problems",
    "read_constraints",
    "write_constraints",
]
