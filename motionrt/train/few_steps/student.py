"""What a distillation gives: weights in a file of half their size, and how they are sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionrt.models.kimodo import Kimodo
from motionrt.runtime.errors import CheckpointError
from motionrt.train.few_steps.start import Start
from motionrt.train.state_file import save_state

STUDENT_FILE = "student.pt"
VERSION = 1


@dataclass(frozen=True)
class Student:
    """A student of a start: a network of the same sizes."""

    start: Start
    num_steps: int
    """Of ddim, in one branch."""
    weights: Mapping[str, Tensor]

    def save(self, path: Path) -> None:
        """Write the weights in float16 with the name of the start, without which they are none."""
        weights = {name: value.detach().half().cpu() for name, value in self.weights.items()}
        state = {
            "version": VERSION,
            "start": self.start.name,
            "num_steps": self.num_steps,
            "weights": weights,
        }
        save_state(path, state)

    @staticmethod
    def load(path: Path, start: Start) -> Student:
        """Read what `save` wrote; CheckpointError if it is of another start or damaged."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            name, num_steps, weights = state["start"], int(state["num_steps"]), state["weights"]
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']}")
            found = {key: value.float() for key, value in weights.items()}
        except Exception as error:  # torch.load raises many kinds for a damaged file
            raise CheckpointError(f"{path}: is no student ({type(error).__name__})") from error
        if name != start.name:
            raise CheckpointError(f"{path}: is a student of another teacher")
        return Student(start, num_steps, found)

    def model(self) -> Kimodo:
        """Make the network; CheckpointError if the weights are of other sizes."""
        model = Kimodo(self.start.config, self.start.stats)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(str(error).splitlines()[0]) from error
        return model.eval()
