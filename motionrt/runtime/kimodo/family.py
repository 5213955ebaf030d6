"""What the general rooms know of Kimodo; imports nothing heavy."""

from __future__ import annotations

from motionrt.runtime.families import Family
from motionrt.runtime.kimodo.model_names import model_key
from motionrt.runtime.kimodo.options import PRESETS, KimodoOptions
from motionrt.runtime.options import options_of

FAMILY = Family(
    name="kimodo",
    pipeline="motionrt.runtime.kimodo.pipeline:KimodoPipeline",
    motion_graphs=("sampler", "decoder"),
    options=options_of(KimodoOptions),
    presets=PRESETS,
    takes_sequences=True,
    takes_text_embeddings=True,
    model_key=model_key,
)
