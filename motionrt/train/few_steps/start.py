"""What a distillation begins from, in one file: the teacher, its guidance, and embedded prompts.

Whoever trains on it needs neither the bundle nor its text encoder, only torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.runtime.errors import CheckpointError
from motionrt.train.default.checkpoint import STATS_PARTS
from motionrt.train.state_file import save_state

VERSION = 1


@dataclass(frozen=True)
class Start:
    """A teacher and what to ask of it."""

    name: str
    """Tells whether a state in a folder began from the same."""
    skeleton: str
    config: KimodoConfig
    stats: MotionStats
    weights: Mapping[str, Tensor]
    guidance: tuple[float, float]
    """What words and constraints weigh."""
    max_frames: int
    """Of the longest motions that the teacher makes well."""
    prompts: Tensor
    """(N, text_width) float16, embedded."""

    def model(self) -> Kimodo:
        """Make the denoiser."""
        model = Kimodo(self.config, self.stats)
        model.load_state_dict(self.weights)
        return model

    def save(self, path: Path) -> None:
        """Write the file."""
        state = {
            "version": VERSION,
            "name": self.name,
            "skeleton": self.skeleton,
            "config": asdict(self.config),
            "stats": {name: getattr(self.stats, name) for name in STATS_PARTS},
            "weights": dict(self.weights),
            "guidance": list(self.guidance),
            "max_frames": self.max_frames,
            "prompts": self.prompts,
        }
        save_state(path, state)

    @staticmethod
    def load(path: Path) -> Start:
        """Read what `save` wrote; CheckpointError if it is something else."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']}")
            return Start(
                name=state["name"],
                skeleton=state["skeleton"],
                config=KimodoConfig(**state["config"]),
                stats=MotionStats(**state["stats"]),
                weights=state["weights"],
                guidance=(float(state["guidance"][0]), float(state["guidance"][1])),
                max_frames=int(state["max_frames"]),
                prompts=state["prompts"],
            )
        except Exception as error:  # torch.load raises many kinds for a damaged file
            raise CheckpointError(
                f"{path}: is no start of a distillation ({type(error).__name__}); remove it to "
                "make it anew"
            ) from error
