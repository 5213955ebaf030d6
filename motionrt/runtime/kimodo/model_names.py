"""Kimodo's model names: the many spellings of one short key."""

from __future__ import annotations

import re

from motionrt.runtime.errors import InputError

FAMILIES = ("kimodo", "tmr")
SKELETONS = ("soma", "g1", "smplx")
DATASETS = {"rp": "rp", "rigplay": "rp", "seed": "seed"}
"""Data a model was trained on, by all its names."""
MODELS = (
    "kimodo-soma-rp",
    "kimodo-soma-seed",
    "kimodo-g1-rp",
    "kimodo-g1-seed",
    "kimodo-smplx-rp",
    "tmr-soma-rp",
)
"""Every published model by its short key, family-skeleton-dataset."""


def resolve_model_name(name: str, default_family: str = "kimodo") -> str:
    """Return the short key that a name means: full, partial, with a version or an owner.

    Case, ``-`` against ``_``, ``nvidia/`` and a version make no difference; what is left out is the
    family of the caller, SOMA, RP. Words that mean nothing are ignored, as upstream does.
    InputError if there is no such model.
    """
    words = re.split(r"[-_]", name.strip().rsplit("/", 1)[-1].lower())
    family = next((word for word in words if word in FAMILIES), default_family.lower())
    skeleton = next((word for word in words if word in SKELETONS), "soma")
    dataset = next((DATASETS[word] for word in words if word in DATASETS), "rp")
    key = f"{family}-{skeleton}-{dataset}"
    if key not in MODELS:
        raise InputError(f"model {name!r}: there is no {key}; known are {', '.join(MODELS)}")
    return key
