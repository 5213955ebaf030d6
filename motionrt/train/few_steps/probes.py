"""Held-out motions by which a student is measured, kept: all steps of the teacher take a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionrt.runtime.errors import CheckpointError
from motionrt.train.few_steps.teacher import Conditions
from motionrt.train.state_file import save_state


@dataclass(frozen=True)
class Probes:
    """Held-out conditions, and where all steps of the teacher end."""

    name: str
    """Of the teacher and all that they were drawn with."""
    asked: Conditions
    noise: Tensor
    joints: Tensor
    """(B, T, J, 3), metres."""
    distances: Mapping[str, float]
    """How far other ways of sampling the teacher end from there, cm."""

    def save(self, path: Path) -> None:
        """Write the file."""
        asked = {name: getattr(self.asked, name) for name in Conditions.__dataclass_fields__}
        state = {name: getattr(self, name) for name in ("name", "noise", "joints")}
        save_state(path, {**state, "asked": asked, "distances": dict(self.distances)})

    @staticmethod
    def load(path: Path, device: torch.device) -> Probes | None:
        """Read what `save` wrote; None without the file, CheckpointError if it is damaged."""
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            return Probes(**{**state, "asked": Conditions(**state["asked"])})
        except Exception as error:  # torch.load raises many kinds for a damaged file
            raise CheckpointError(
                f"{path}: holds no motions to measure by ({type(error).__name__}); remove it to "
                "make them anew"
            ) from error
