"""Read YAML configs whose values refer to each other as ``${section.key}``, as OmegaConf has it.

A reference is followed when a value is asked for, so one that needs a resolver of the training
framework's own harms only who asks for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.files import refuse_lfs_pointer

_MISSING: Any = object()


class InterpolatedYaml:
    """A config file, asked by dotted path."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the file; CheckpointError if it is missing or no YAML mapping."""
        from omegaconf import DictConfig, OmegaConf

        self.path = Path(path)
        refuse_lfs_pointer(path, CheckpointError)
        try:
            values = OmegaConf.load(self.path)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        except Exception as error:  # YAML's errors, OmegaConf's and a decoder's have no common base
            raise CheckpointError(f"{path}: no YAML config ({_first_line(error)})") from error
        if not isinstance(values, DictConfig):
            raise CheckpointError(f"{path}: no YAML mapping")
        self._values = values

    def get(self, dotted: str, default: Any = _MISSING) -> Any:
        """Return the value at a dotted path as plain Python, its own references followed.

        CheckpointError if there is none and no default is given, or a reference leads nowhere.
        """
        from omegaconf import OmegaConf

        try:
            value = OmegaConf.select(self._values, dotted, default=_MISSING)
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
        except Exception as error:
            raise CheckpointError(f"{self.path}: {dotted}: {_first_line(error)}") from error
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise CheckpointError(f"{self.path}: {dotted} is missing")
        return default


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
