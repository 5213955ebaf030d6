"""Sample a denoiser in torch, before there is a bundle: for looks in the middle of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionrt.models.kimodo import Kimodo
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.sampling.noise import TorchGenerator
from motionrt.runtime.sampling.schedule import cosine_schedule
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.checkpoint import NUM_BASE_STEPS
from motionrt.train.default.losses import unnormalize

Encoder = Callable[[Sequence[str]], NDArray[np.float32]]


class TorchSampler:
    """A denoiser and a text encoder, as one generator of motions."""

    def __init__(self, model: Kimodo, encode: Encoder) -> None:
        """Take a denoiser; encode maps cleaned prompts to text vectors (N, text_width)."""
        self.model = model
        self.encode = encode
        self.device = model.body.mean.device
        self.layout = MotionFeatures(load_skeleton("cmu22"), self.model.config.fps)

    def generate(
        self,
        prompt: str,
        seconds: float,
        seeds: Sequence[int],
        num_steps: int = 25,
        guidance: float = 2.0,
        solver: str = "ddim",
    ) -> list[Motion]:
        """Generate one motion for each seed, as the runtime does without post-processing."""
        frames = int(seconds * self.layout.fps)
        shape = (frames, self.layout.width)
        noise = np.stack([TorchGenerator(seed).randn((1, *shape))[0] for seed in seeds])
        cleaned = clean_prompt(prompt)
        text = self.encode([cleaned])[0] if cleaned else np.zeros(self.model.config.text_width)
        vectors = torch.as_tensor(text, dtype=torch.float32, device=self.device)
        vectors = vectors.expand(len(seeds), 1, -1)
        motion = sample(
            self.model,
            torch.from_numpy(noise).to(self.device),
            vectors,
            num_steps,
            guidance,
            solver,
        )
        features = unnormalize(self.model, motion).cpu().numpy()
        return [self._motion(row, prompt, seed) for row, seed in zip(features, seeds, strict=True)]

    def _motion(self, features: NDArray[np.float32], prompt: str, seed: int) -> Motion:
        arrays = self.layout.decode(features)
        info = {"prompt": prompt, "seed": seed}
        return Motion.from_arrays(arrays, self.layout.skeleton, self.layout.fps, info)


@torch.no_grad()
def sample(
    model: Kimodo,
    noise: Tensor,
    text: Tensor,
    num_steps: int,
    guidance: float,
    solver: str = "ddim",
) -> Tensor:
    """Denoise (B, T, D) with text vectors (B, 1, W) and classifier-free guidance."""
    count, frames, _ = noise.shape
    device = noise.device
    schedule = cosine_schedule(NUM_BASE_STEPS, num_steps, solver)
    frame_mask = torch.ones(2 * count, frames, dtype=torch.bool, device=device)
    both = torch.cat((text, torch.zeros_like(text)))
    text_mask = torch.ones(both.shape[:2], dtype=torch.bool, device=device)
    heading = torch.zeros(2 * count, device=device)
    x, before = noise, torch.zeros_like(noise)
    nothing = torch.zeros(2 * count, frames, noise.shape[-1], device=device)
    for timestep, (a, b, c) in zip(schedule.timesteps, schedule.coefficients, strict=True):
        timesteps = torch.full((2 * count,), int(timestep), device=device)
        predicted = model(
            torch.cat((x, x)), frame_mask, both, text_mask, timesteps, heading, nothing, nothing
        )
        with_text, without = predicted.chunk(2)
        x0 = without + guidance * (with_text - without)
        x = float(a) * x + float(b) * x0 + float(c) * before
        before = x0
    return x
