"""ARDY's model names: nicknames, and repositories of any owner."""

from __future__ import annotations

from motionrt.runtime.errors import InputError

MODELS = (
    "ARDY-Core-RP-20FPS-Horizon40",
    "ARDY-Core-RP-20FPS-Horizon8",
    "ARDY-G1-RP-25FPS-Horizon52",
    "ARDY-G1-RP-25FPS-Horizon8",
)
"""Every published model by its repository's name."""
NICKNAMES = {
    "core": MODELS[0],
    "core40": MODELS[0],
    "core8": MODELS[1],
    "g1": MODELS[2],
    "g152": MODELS[2],
    "g18": MODELS[3],
}


def resolve_model_name(name: str) -> str:
    """Return the published model that a name means; InputError if there is none.

    A nickname must be written exactly; of a repository neither owner nor case matters.
    """
    if name in NICKNAMES:
        return NICKNAMES[name]
    plain = name.partition("/")[2] if "/" in name else name
    for model in MODELS:
        if model.lower() == plain.lower():
            return model
    raise InputError(f"model {name!r}: there is none; known are {', '.join((*NICKNAMES, *MODELS))}")


def model_key(name: str) -> str | None:
    """Return the published model that a name means in small letters, None for other names."""
    try:
        return resolve_model_name(name).lower()
    except InputError:
        return None
