"""What the general rooms know of MotionGPT with Qwen3; imports nothing heavy."""

from __future__ import annotations

from motionrt.runtime.families import Family
from motionrt.runtime.motiongpt_qwen.options import MotionGptQwenOptions
from motionrt.runtime.options import options_of

FAMILY = Family(
    name="motiongpt-qwen",
    pipeline="motionrt.runtime.motiongpt_qwen.pipeline:MotionGptQwenPipeline",
    motion_graphs=("language_model", "motion_decoder"),
    options=options_of(MotionGptQwenOptions),
    captions=True,
    converses=True,
)
