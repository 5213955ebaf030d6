"""The table of model families: a row a family, imported when one of its bundles is met.

A family says here what the general rooms need to know of it; everything else stays in its folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from motionrt.runtime.errors import BundleError
from motionrt.runtime.options import Option

FAMILIES: dict[str, str] = {
    "kimodo": "motionrt.runtime.kimodo.family:FAMILY",
    "motiongpt3": "motionrt.runtime.motiongpt3.family:FAMILY",
    "motiongpt-qwen": "motionrt.runtime.motiongpt_qwen.family:FAMILY",
    "ardy": "motionrt.runtime.ardy.family:FAMILY",
    "evaluator": "motionrt.runtime.evaluator.family:FAMILY",
}
"""Name in a manifest -> its `Family`, as module:name; the module imports nothing heavy."""


@dataclass(frozen=True)
class Family:
    """What the general rooms know of a family."""

    name: str
    pipeline: str
    """Its subclass of `Pipeline`, as module:name."""
    motion_graphs: tuple[str, ...]
    """Graphs that make a motion once the text is encoded: what is timed, and built as engines."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """What it can be asked for, by keyword; `options.options_of` reads them off its TypedDict."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Preset -> the options that it stands for, where these are not given themselves."""
    takes_sequences: bool = False
    """Several prompts can be one motion; a text is one of as many parts as it has sentences."""
    takes_text_embeddings: bool = False
    """Its text encoder can be a server (`Pipeline.use_text_encoder`)."""
    streams: bool = False
    """It makes motions without an end (`Pipeline.stream`)."""
    makes_motions: bool = True
    """False: it judges motions or does something else with them."""
    captions: bool = False
    """It describes motions in words (`Pipeline.caption`)."""
    converses: bool = False
    """It answers in a conversation (``motionrt chat``)."""
    model_key: Callable[[str], str | None] = lambda name: None
    """Brings the many spellings of a published model's name to one; None for other names."""


def find_family(name: str, place: str = "") -> Family:
    """Return a family by the name that a manifest states; BundleError if there is none.

    place says whose manifest, for the error.
    """
    if name not in FAMILIES:
        where = f"{place}: " if place else ""
        raise BundleError(
            f"{where}family {name!r} is unknown to this version "
            f"(it knows {', '.join(FAMILIES)}); update motionrt"
        )
    module, _, attribute = FAMILIES[name].partition(":")
    found: Family = getattr(importlib.import_module(module), attribute)
    return found


def all_families() -> list[Family]:
    """Return every family of the table, in its order."""
    return [find_family(name) for name in FAMILIES]
