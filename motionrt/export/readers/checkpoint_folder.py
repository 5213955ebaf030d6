"""What checkpoint directories with a Hydra config share: choices, paths, weights, statistics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionrt.export.readers.config_values import told
from motionrt.export.readers.interpolated_yaml import InterpolatedYaml
from motionrt.export.readers.safe_pickle import open_pickled
from motionrt.export.readers.weights import Weights, open_safetensors
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.readers.arrays import read_array

MOST_BASE_STEPS = 100_000
MOST_TEXT_TOKENS = 4096
MOST_FPS = 1000.0
"""Of what no weight says: tables and padding of this size are made, so more is refused."""


def open_config(folder: Path, family: str) -> InterpolatedYaml:
    """Open the config.yaml of a checkpoint directory; CheckpointError if there is none."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint directory")
    path = folder / "config.yaml"
    if not path.exists():
        raise CheckpointError(f"{path}: missing; is this {family} checkpoint directory?")
    given = {"checkpoint_dir": str(folder.resolve()), "text_encoder": None}
    return InterpolatedYaml(path, given)


def named_skeleton(
    settings: InterpolatedYaml, known: Mapping[str, tuple[str, int]]
) -> tuple[str, int]:
    """Return our name of the skeleton that a config names, and its joints.

    known: last part of a config's skeleton target -> name and joints.
    """
    named = settings.find("skeleton._target_")
    target = str(named).rpartition(".")[2]
    if target not in known:
        shown = told(target).strip("'")
        raise CheckpointError(
            f"{settings.path}: skeleton {shown} is unknown; known are {', '.join(known)}"
        )
    return known[target]


def switch(settings: InterpolatedYaml, key: str) -> bool:
    """Return a key that is true or false, false if it is missing."""
    return as_switch(settings, key, settings.find(key, False))


def as_switch(settings: InterpolatedYaml, key: str, value: Any) -> bool:
    """Return the value of a key that is true or false; CheckpointError if it is neither."""
    if value not in (None, True, False):
        raise CheckpointError(f"{settings.path}: {key} is {told(value)}, should be true or false")
    return bool(value)


def choice(
    settings: InterpolatedYaml,
    key: str,
    known: tuple[str, ...],
    default: str,
    empty: str | None = None,
) -> str:
    """Return one of the known texts; empty stands for a key without a value."""
    return as_choice(settings, key, settings.find(key, default), known, empty)


def as_choice(
    settings: InterpolatedYaml,
    key: str,
    value: Any,
    known: tuple[str, ...],
    empty: str | None = None,
) -> str:
    """Return the value of a key that is one of the known texts, as `choice` does."""
    value = empty if value is None and empty is not None else value
    if not isinstance(value, str) or value not in known:
        shown = told(value).strip("'")
        raise CheckpointError(
            f"{settings.path}: {key} {shown} is unknown; known are {', '.join(known)}"
        )
    return value


def path_of(settings: InterpolatedYaml, key: str) -> Path:
    """Return a path of the config."""
    value = settings.find(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise CheckpointError(f"{settings.path}: {key} is {told(value)}, should be a path")
    return Path(value)


def display_name(folder: Path) -> str:
    """Return the display name: the directory's own, or the repository's of a hub snapshot."""
    place = folder.absolute()
    if place.parent.name == "snapshots":
        return place.parent.parent.name.rpartition("--")[2]
    return place.name


def open_weights(path: Path) -> Weights:
    """Open safetensors, or a pickle of tensors, entering a ``state_dict`` at its top."""
    return open_safetensors(path)[0] if path.suffix == ".safetensors" else open_pickled(path)


def read_statistics(path: Path, width: int) -> Tensor:
    """Read (width,) finite numbers as float32: cast before any arithmetic, as in training."""
    if not os.path.exists(path):  # Path.exists raises for a name that is too long
        raise CheckpointError(f"{path}: missing; statistics are part of a checkpoint")
    refuse_lfs_pointer(path, CheckpointError)
    try:
        array = read_array(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(f"{path}: damaged ({reason})") from error
    if array.shape != (width,):
        raise CheckpointError(f"{path}: shape {array.shape}, should be ({width},)")
    # What float32 cannot hold is refused here; a signalling NaN is "invalid" to a cast.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = array.astype(np.float32) if array.dtype.kind == "f" else None
    if found is None or not np.isfinite(found).all():
        raise CheckpointError(f"{path}: not all numbers are finite in float32")
    return torch.from_numpy(found)
