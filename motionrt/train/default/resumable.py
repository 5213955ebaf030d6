"""Training that stops at any step and goes on as if it had not."""

from __future__ import annotations

import os
import signal as signals
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from motionrt.runtime.errors import CheckpointError
from motionrt.train.state_file import save_state

MAY_CHANGE = "num_steps"
"""The one setting that may differ when a run goes on."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    num_steps: int
    losses: dict[str, float]
    """Means since the last report."""
    seconds_per_step: float


class ResumableTrainer(ABC):
    """Steps a model, averages its weights and keeps all that a resumed run needs.

    A subclass says what is trained: it makes the model after `__init__`, hands it to `begin`, and
    gives `losses` and `rate`.
    """

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    ema: dict[str, Tensor]
    """Averaged parameters by name: the result."""

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        device: torch.device,
        gradient_clip: float = 1.0,
    ) -> None:
        """Seed torch and read the state at path; CheckpointError if it is of other settings.

        settings must hold seed, num_steps and ema_decay.
        """
        self.path, self.settings, self.device = path, dict(settings), device
        self.gradient_clip = gradient_clip
        torch.manual_seed(settings["seed"])
        self.generator = torch.Generator(device).manual_seed(settings["seed"] + 1)
        self.stored = self._read()
        self.step = 0

    def begin(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Take the model as it is, or as the stored state left it."""
        self.model, self.optimizers = model, optimizers
        self.ema = {name: p.detach().clone() for name, p in model.named_parameters()}
        state, self.stored = self.stored, None
        if state is None:
            return
        self.step = int(state["step"])
        model.load_state_dict(state["model"])
        for name, value in state["ema"].items():
            self.ema[name].copy_(value)
        for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.generator.set_state(state["generator"].cpu())

    @abstractmethod
    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return the parts of its loss; ``total`` is what is minimised."""

    @abstractmethod
    def rate(self) -> float:
        """Return the learning rate of the coming step."""

    def is_done(self) -> bool:
        """Say whether all steps are taken."""
        return bool(self.step >= self.settings["num_steps"])

    def extra_state(self) -> dict[str, Any]:
        """Return what else the state file must hold."""
        return {}

    def save(self) -> None:
        """Write the state; a subclass adds what it makes of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "config": self.settings,
            **self.extra_state(),
        }
        save_state(self.path, state)

    def train(
        self,
        report: Callable[[Progress], None],
        report_every: int = 50,
        save_seconds: float = 240.0,
    ) -> bool:
        """Run to the last step, saving on the way; False if a signal asked to stop before."""
        num_steps = self.settings["num_steps"]
        sums: dict[str, Tensor] = {}
        count = 0
        since, saved = time.monotonic(), time.monotonic()
        with stop_flag() as stop:
            last = self.is_done()
            while not last:
                for name, value in self.train_step().items():
                    sums[name] = sums[name] + value if name in sums else value
                count += 1
                stopping = stop.is_set
                last = self.is_done()
                if self.step % report_every == 0 or last:
                    losses = {name: float(value) / count for name, value in sums.items()}
                    pace = (time.monotonic() - since) / count
                    report(Progress(self.step, num_steps, losses, pace))
                    sums, count, since = {}, 0, time.monotonic()
                if stopping or last or time.monotonic() - saved > save_seconds:
                    self.save()
                    saved = time.monotonic()
                if stopping and not last:
                    return False
        return True

    def train_step(self) -> dict[str, Tensor]:
        """Take one optimiser step; returns the parts of the loss."""
        rate = self.rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        losses = self.losses()
        torch.autograd.backward(losses["total"])
        nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # An average over the first few steps must not hold the random start.
        decay = min(self.settings["ema_decay"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.model.parameters()), 1 - decay)
        return {name: value.detach() for name, value in losses.items()}

    def _read(self) -> dict[str, Any] | None:
        state = read_state(self.path, self.device)
        if state is None:
            return None
        ours, stored = self.settings, state["config"]
        names = (name for name in {**ours, **stored} if name != MAY_CHANGE)
        changed = [name for name in names if stored.get(name) != ours.get(name)]
        if changed:
            raise CheckpointError(
                f"{self.path}: was trained with another {', '.join(changed)}; give the same "
                "values or another --work folder"
            )
        return state


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read a training's state, None if there is none; CheckpointError if it is damaged."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        state["step"], state["config"]
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise CheckpointError(
            f"{path}: is no training state ({type(error).__name__}); remove it to start anew"
        ) from error
    return state


def lower_priority() -> None:
    """Let everything else on the machine go first, where the system allows it."""
    if hasattr(os, "nice"):
        os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:
            pass


class Flag:
    """Says whether a signal asked to stop."""

    is_set = False


@contextmanager
def stop_flag() -> Iterator[Flag]:
    """Yield a flag that SIGTERM and SIGINT set; their handlers return afterwards."""
    flag = Flag()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        flag.is_set = True

    numbers = (signals.SIGTERM, signals.SIGINT)
    before: Iterable[Any] = [signals.signal(number, handle) for number in numbers]
    try:
        yield flag
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signals.signal(number, handler)
