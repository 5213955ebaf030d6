"""A folder with ``meta.json`` and perhaps ``constraints.json``: one generation, as files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.files import refuse_lfs_pointer

DEFAULT_WEIGHT = 2.0
_LARGEST = 1e300
META_NAME, CONSTRAINTS_NAME = "meta.json", "constraints.json"


@dataclass(frozen=True)
class InputFolder:
    """What a folder asks for; None and an absent key are what the folder leaves to its caller."""

    texts: tuple[str, ...]
    """Prompts of the segments, taken as they are: not split at periods."""
    seconds: tuple[float, ...]
    """Length of each segment."""
    constraints: Path | None
    num_samples: int | None = None
    diffusion_steps: int | None = None
    has_seed: bool = False
    """The folder decides the seed, even if it is None (then one is drawn)."""
    seed: int | None = None
    guidance: Mapping[str, Any] = field(default_factory=dict)
    """What ``cfg`` asks for: the options guidance_type and guidance_weights."""


def with_guidance(asked: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with a folder's guidance; what was asked for otherwise wins over it."""
    given = {"guidance_type", "guidance_weights"} & {k for k, v in asked.items() if v is not None}
    return {**asked, **({} if given else stored)}


def read_input_folder(folder: str | os.PathLike[str]) -> InputFolder:
    """Read a folder; InputError names what is missing or wrong in its meta.json."""
    path = Path(folder) / META_NAME
    refuse_lfs_pointer(path)
    try:
        meta = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(meta, dict):
        raise InputError(f"{path}: expected an object with text and duration")
    try:
        texts, seconds = _segments(meta)
        constraints = path.with_name(CONSTRAINTS_NAME)
        return InputFolder(
            texts,
            seconds,
            constraints if constraints.is_file() else None,
            _count(meta, "num_samples"),
            _count(meta, "diffusion_steps"),
            "seed" in meta,
            _seed(meta.get("seed")),
            stored_guidance(meta),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _segments(meta: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    several = "texts" in meta
    keys = ("texts", "durations") if several else ("text", "duration")
    for key in keys:
        if key not in meta:
            raise InputError(f"{key} is missing; give text and duration, or texts and durations")
    texts, seconds = (meta[key] if several else [meta[key]] for key in keys)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{keys[0]} must be {'a list of texts' if several else 'a text'}")
    if not isinstance(seconds, list) or not all(map(_is_duration, seconds)):
        raise InputError(f"{keys[1]} must be seconds above 0")
    if not texts or len(texts) != len(seconds):
        raise InputError(f"{len(texts)} texts and {len(seconds)} durations; one duration a text")
    return tuple(texts), tuple(float(value) for value in seconds)


def stored_guidance(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Read ``cfg`` of a meta.json as the options guidance_type and guidance_weights.

    It turns guidance off, or gives a weight for the text and one for constraints, 2 where one is
    missing. InputError if it is of another form.
    """
    stored = meta.get("cfg")
    if stored is None:
        return {}
    if not isinstance(stored, Mapping):
        raise InputError(f"cfg is {one_line(repr(stored), 80)}, expected an object")
    if not stored.get("enabled", True):
        return {"guidance_type": "nocfg"}
    weights = [stored.get(name, DEFAULT_WEIGHT) for name in ("text_weight", "constraint_weight")]
    for value in weights:
        if not _is_finite(value):
            raise InputError(f"cfg weight {one_line(repr(value), 80)}: expected a finite number")
    return {"guidance_type": "separated", "guidance_weights": [float(value) for value in weights]}


def _is_duration(value: Any) -> bool:
    return _is_finite(value) and value > 0


def _is_finite(value: Any) -> bool:
    """Say whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_LARGEST <= value <= _LARGEST


def _count(meta: Mapping[str, Any], key: str) -> int | None:
    value = meta.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        told = one_line(repr(value), 80)
        raise InputError(f"{key} is {told}, must be a whole number from 1")
    return value


def _seed(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"seed is {one_line(repr(value), 80)}, must be a whole number or null")
    return value
