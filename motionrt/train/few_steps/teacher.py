"""What is distilled: the teacher's way from noise to a motion, and where it is after each jump."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from motionrt.models.kimodo import ROOT_WIDTH, Kimodo, with_held_root
from motionrt.runtime.sampling.schedule import (
    SOLVERS,
    Schedule,
    alphas_cumprod,
    cosine_betas,
    cosine_schedule,
    log_snr_timesteps,
    respaced_alphas_cumprod,
)
from motionrt.train.default.checkpoint import NUM_BASE_STEPS


@dataclass(frozen=True)
class Conditions:
    """What motions are asked for, (B, ...) each."""

    text: Tensor
    """(B, 1, text_width), zeros where nothing is said."""
    first_heading_rad: Tensor
    """(B,)."""
    frame_mask: Tensor
    """(B, T) bool, True for a frame of the motion."""
    motion_mask: Tensor
    """(B, T, D), 1 where a constraint holds the feature."""
    observed: Tensor
    """(B, T, D) normalised, what is held."""


def student_schedule(num_steps: int) -> Schedule:
    """Return the student's jumps: the runtime's ddim, so that any host can take them."""
    return cosine_schedule(NUM_BASE_STEPS, num_steps, "ddim")


def teacher_schedule(num_steps: int, student: Schedule) -> Schedule:
    """Return about num_steps steps of dpmpp-2m that stop wherever the student does."""
    chosen = log_snr_timesteps(NUM_BASE_STEPS, num_steps)
    for stop in student.timesteps:
        # In place of the nearest one: two steps side by side would magnify what differs in them.
        chosen = chosen[np.arange(len(chosen)) != np.abs(chosen - stop).argmin()]
        chosen = np.union1d(chosen, [stop])
    alphas = respaced_alphas_cumprod(alphas_cumprod(cosine_betas(NUM_BASE_STEPS)), chosen)
    rows = SOLVERS["dpmpp-2m"].rows(alphas)
    return Schedule(chosen[::-1].copy(), rows[::-1].copy())


def predict(model: Kimodo, x: Tensor, timesteps: Tensor, asked: Conditions) -> Tensor:
    """Predict the clean motion in one branch, with words and constraints, (B, T, D) float32."""
    text_mask = torch.ones(asked.text.shape[:2], dtype=torch.bool, device=x.device)
    predicted: Tensor = model(
        x,
        asked.frame_mask,
        asked.text,
        text_mask,
        timesteps,
        asked.first_heading_rad,
        asked.motion_mask,
        asked.observed,
    )
    return predicted.float()


class Teacher:
    """A denoiser with its guidance, as the runtime samples it."""

    def __init__(
        self,
        model: Kimodo,
        guidance: tuple[float, float],
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Take the model and what words and constraints weigh (``separated`` guidance).

        precision is that of its products, where the device has such.
        """
        self.model, self.guidance, self.precision = model, guidance, precision
        # The same network without what leads the path: where nothing is held, that is idle work.
        self.free = copy(model)
        self.free.config = replace(model.config, keep_held_root=False)

    @torch.no_grad()
    def run(self, noise: Tensor, asked: Conditions, steps: Schedule, stops: Schedule) -> Tensor:
        """Denoise (B, T, D); returns the states (B, K + 1, T, D) at the K stops, and the end."""
        constrained = bool(asked.motion_mask.any())
        x, before = noise, torch.zeros_like(noise)
        kept = []
        for timestep, (a, b, c) in zip(steps.timesteps, steps.coefficients, strict=True):
            if timestep in stops.timesteps:
                kept.append(x)
            x0 = self.guided(x, int(timestep), asked, constrained)
            x = float(a) * x + float(b) * x0 + float(c) * before
            before = x0
        return torch.stack((*kept, x), dim=1)

    @torch.no_grad()
    def guided(self, x: Tensor, timestep: int, asked: Conditions, constrained: bool) -> Tensor:
        """Predict the clean motion under guidance, (B, T, D): two branches, or three."""
        nothing = torch.zeros_like(asked.motion_mask)
        silence = torch.zeros_like(asked.text)
        branches = [
            replace(asked, motion_mask=nothing),
            replace(asked, text=silence),
            replace(asked, text=silence, motion_mask=nothing),
        ]
        weights: tuple[float, ...] = self.guidance
        if not constrained:
            del branches[1]
            weights = weights[:1]
        count = len(branches)
        together = Conditions(
            *(
                torch.cat([getattr(branch, name) for branch in branches])
                for name in Conditions.__dataclass_fields__
            )
        )
        timesteps = torch.full((count * len(x),), timestep, device=x.device)
        half = self.precision != torch.float32
        with torch.autocast(x.device.type, self.precision if half else None, enabled=half):
            model = self.model if constrained else self.free
            parts = predict(model, x.repeat(count, 1, 1), timesteps, together).chunk(count)
        x0 = parts[-1]
        for weight, part in zip(weights, parts[:-1], strict=True):
            x0 = x0 + weight * (part - parts[-1])
        if self.model.config.keep_held_root and constrained:
            root = with_held_root(
                x0[..., :ROOT_WIDTH],
                asked.observed[..., :ROOT_WIDTH],
                asked.motion_mask[..., :ROOT_WIDTH],
            )
            x0 = torch.cat((root, x0[..., ROOT_WIDTH:]), dim=-1)
        return x0
