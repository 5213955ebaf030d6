"""What the general rooms know of ARDY; imports nothing heavy."""

from __future__ import annotations

from motionrt.runtime.ardy.model_names import model_key
from motionrt.runtime.ardy.options import PRESETS, ArdyOptions
from motionrt.runtime.families import Family
from motionrt.runtime.options import options_of

FAMILY = Family(
    name="ardy",
    pipeline="motionrt.runtime.ardy.pipeline:ArdyPipeline",
    motion_graphs=("sampler", "encoder", "decoder"),
    options=options_of(ArdyOptions),
    presets=PRESETS,
    takes_text_embeddings=True,
    streams=True,
    model_key=model_key,
)
