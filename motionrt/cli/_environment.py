"""What the variables mean that Kimodo's users have set: which text encoder, and what runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionrt.cli._streams import tell
from motionrt.runtime.errors import InputError

ENCODERS = {
    "llm2vec": (
        "meta-llama/Meta-Llama-3-8B-Instruct",
        "McGill-NLP/LLM2Vec-Meta-Llama-3-8B-Instruct-mntp",
        "McGill-NLP/LLM2Vec-Meta-Llama-3-8B-Instruct-mntp-supervised",
    ),
    "qwen3": ("Qwen/Qwen3-8B",),
}
"""The repositories of each value of ``TEXT_ENCODER``, in the order in which they are read."""
PROJECTORS = {"qwen3": "Qian2501/kimodo-qwen3-projection"}
"""What stands behind an encoder whose embeddings are not those that Kimodo was trained with."""
DEVICES = ("cpu", "cuda")
ENCODER_WIDTH = 4096
"""Of the hidden states of all of them: an encoder of the same kind that has fewer is another."""


def preset_encoder(
    environment: Mapping[str, str] = os.environ,
) -> tuple[tuple[str, ...], Path | None]:
    """Return the places and the projector of the encoder that ``TEXT_ENCODER`` names.

    Nothing and None if it is not set. ``TEXT_ENCODERS_DIR`` stands before each place. InputError if
    there is no such encoder.
    """
    name = environment.get("TEXT_ENCODER", "").lower()
    if not name:
        return (), None
    if name not in ENCODERS:
        raise InputError(
            f"TEXT_ENCODER is {name!r}, expected one of {', '.join(ENCODERS)}; any other is named "
            "with --text-encoder"
        )
    folder = environment.get("TEXT_ENCODERS_DIR")
    places = ENCODERS[name]
    projector = PROJECTORS.get(name)
    if folder:
        places = tuple(str(Path(folder) / place) for place in places)
        projector = str(Path(folder) / projector) if projector else None
    return places, Path(projector) if projector else None


def text_backend(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the backend that ``TEXT_ENCODER_DEVICE`` means, None if unset; InputError if wrong."""
    device = environment.get("TEXT_ENCODER_DEVICE", "").lower()
    if not device:
        return None
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise InputError(f"TEXT_ENCODER_DEVICE is {device!r}, expected one of {', '.join(DEVICES)}")
    return kind


def tell_of_variables(text: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Say on one line each which variables change nothing, because the bundle has settled it.

    text: what the bundle's manifest says of its text encoder.
    """
    wanted = environment.get("TEXT_ENCODER", "").lower()
    has = str(text.get("encoder", "none"))
    width = text.get("embedding_width", ENCODER_WIDTH)
    if wanted and (wanted != has.lower() or width != ENCODER_WIDTH):
        told = has if width == ENCODER_WIDTH else f"{has} of width {width}"
        tell(
            f"note: TEXT_ENCODER={wanted} changes nothing, this bundle's encoder is {told}; a "
            "bundle with another is made by: motionrt export kimodo … --text-encoder DIR"
        )
    for name in ("TEXT_ENCODERS_DIR", "CHECKPOINT_DIR"):
        if environment.get(name):
            tell(f"note: {name} is for motionrt export; a bundle is named with --bundle")
