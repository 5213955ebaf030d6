"""Make what a distillation begins from of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from motionrt.runtime.sampling.guidance import DEFAULT_WEIGHT
from motionrt.train.default.shipped import SKELETON, Shipped, read_shipped
from motionrt.train.few_steps.prompts import draw_prompts
from motionrt.train.few_steps.start import Start


def start_name(bundle: Path, num_prompts: int, seed: int) -> str:
    """Name the start that is made so; InputError if the bundle is not understood."""
    return _name(read_shipped(bundle), num_prompts, seed)


def prepare(bundle: Path, num_prompts: int, seed: int) -> Start:
    """Read a bundle's denoiser and embed prompts with its text encoder.

    InputError if it is no bundle of a network that `read_shipped` understands.
    """
    shipped = read_shipped(bundle)
    manifest = shipped.bundle.manifest
    weights = manifest.sampler.get("guidance_weights") or (DEFAULT_WEIGHT, DEFAULT_WEIGHT)
    vectors = shipped.encoder()(draw_prompts(num_prompts, seed))
    seconds = manifest.limits.advised_seconds
    return Start(
        name=_name(shipped, num_prompts, seed),
        skeleton=SKELETON,
        config=shipped.model.config,
        stats=shipped.stats,
        weights=shipped.model.state_dict(),
        guidance=(float(weights[0]), float(weights[-1])),
        max_frames=int((seconds or 6.0) * manifest.fps),
        prompts=torch.from_numpy(np.asarray(vectors)).half(),
    )


def _name(shipped: Shipped, num_prompts: int, seed: int) -> str:
    return f"{shipped.digest} {num_prompts} {seed}"
