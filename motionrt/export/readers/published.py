"""Kimodo's published checkpoints by name: below ``CHECKPOINT_DIR``, or on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.hub import local_path
from motionrt.runtime.kimodo.model_names import MODELS, model_key

OWNER = "nvidia"
_DISPLAYED = {"kimodo": "Kimodo", "tmr": "TMR", "soma": "SOMA", "g1": "G1", "smplx": "SMPLX"}


def find_checkpoint(
    name: str | os.PathLike[str], environment: Mapping[str, str] = os.environ
) -> Path:
    """Return a checkpoint's folder: the one named, or that of a published model.

    A model is found as upstream finds it (specification, section 1.1): its display name or short
    key below the folder that ``CHECKPOINT_DIR`` names, then its repository on the hub. Without a
    version it is the newest. Any other name of the hub is fetched from there. CheckpointError if
    ``CHECKPOINT_DIR`` names no folder, HubError if a repository cannot be fetched.
    """
    if Path(name).exists():
        return Path(name)
    folder = environment.get("CHECKPOINT_DIR")
    if folder and not Path(folder).is_dir():
        raise CheckpointError(f"CHECKPOINT_DIR is {folder}: no such folder")
    text = Path(name).as_posix()
    if folder and (Path(folder) / text).is_dir():
        return Path(folder) / text
    owner, _, model = text.rpartition("/")
    key = model_key(model) if owner in ("", OWNER) else None
    if key is None:
        return local_path(name)
    displayed = [_display_name(key, version) for version in _versions(key, model)]
    for candidate in (*displayed, key) if folder else ():
        if (place := Path(folder or "", candidate)).is_dir():
            return place
    return local_path(f"{OWNER}/{displayed[0]}")


def _versions(key: str, name: str) -> list[str]:
    """Return the versions that a name may mean, the newest first."""
    stated = re.search(r"[-_](v\d+(?:\.\d+)*)$", name.lower())
    return [stated[1]] if stated else list(reversed(MODELS[key]))


def _display_name(key: str, version: str) -> str:
    words = (_DISPLAYED.get(word, word.upper()) for word in key.split("-"))
    return "-".join((*words, version))
