"""Kimodo's model names: the many spellings of one short key."""

from __future__ import annotations

import re

from motionrt.runtime.errors import InputError

FAMILIES = ("kimodo", "tmr")
SKELETONS = ("soma", "g1", "smplx")
DATASETS = {"rp": "rp", "rigplay": "rp", "seed": "seed"}
"""Data a model was trained on, by all its names."""
MODELS = {
    "kimodo-soma-rp": ("v1", "v1.1"),
    "kimodo-soma-seed": ("v1", "v1.1"),
    "kimodo-g1-rp": ("v1",),
    "kimodo-g1-seed": ("v1",),
    "kimodo-smplx-rp": ("v1",),
    "tmr-soma-rp": ("v1",),
}
"""Every published model by its short key, family-skeleton-dataset, with its versions."""
_VERSION = re.compile(r"v\d+(\.\d+)*")


def resolve_model_name(name: str, default_family: str = "kimodo") -> str:
    """Return the short key that a name means: full, partial, with a version or an owner.

    Case, ``-`` against ``_``, ``nvidia/`` and a version make no difference; what is left out is the
    family of the caller, SOMA, RP. Words that mean nothing are ignored, as upstream does.
    InputError if there is no such model, or not in that version.
    """
    words = _words(name)
    family = next((word for word in words if word in FAMILIES), default_family.lower())
    skeleton = next((word for word in words if word in SKELETONS), "soma")
    dataset = next((DATASETS[word] for word in words if word in DATASETS), "rp")
    key = f"{family}-{skeleton}-{dataset}"
    if key not in MODELS:
        raise InputError(f"model {name!r}: there is no {key}; known are {', '.join(MODELS)}")
    for word in words:
        if _VERSION.fullmatch(word) and word not in MODELS[key]:
            raise InputError(
                f"model {name!r}: there is no version {word}; of {key} there are "
                f"{', '.join(MODELS[key])}"
            )
    return key


def model_key(name: str) -> str | None:
    """Return the short key of a name of which every word means something, None for others.

    `resolve_model_name` takes any word for SOMA-RP, as upstream does; who looks for a bundle by a
    misspelt name must not be given another one.
    """
    meant = {*FAMILIES, *SKELETONS, *DATASETS}
    words = _words(name)
    if not any(word in meant for word in words):
        return None
    if not all(word in meant or _VERSION.fullmatch(word) for word in words):
        return None
    try:
        return resolve_model_name(name)
    except InputError:
        return None


def _words(name: str) -> list[str]:
    return re.split(r"[-_]", name.strip().rsplit("/", 1)[-1].lower())
