"""What the general rooms know of MotionGPT3; imports nothing heavy."""

from __future__ import annotations

from motionrt.runtime.families import Family
from motionrt.runtime.motiongpt3.options import PRESETS, MotionGpt3Options
from motionrt.runtime.options import options_of

FAMILY = Family(
    name="motiongpt3",
    pipeline="motionrt.runtime.motiongpt3.pipeline:MotionGpt3Pipeline",
    motion_graphs=("conditions", "sampler", "decoder"),
    options=options_of(MotionGpt3Options),
    presets=PRESETS,
    captions=True,
)
