"""What the general rooms know of the evaluator; imports nothing heavy."""

from __future__ import annotations

from motionrt.runtime.families import Family

FAMILY = Family(
    name="evaluator",
    pipeline="motionrt.runtime.evaluator.pipeline:Evaluator",
    motion_graphs=("motion_encoder",),
    makes_motions=False,
)
