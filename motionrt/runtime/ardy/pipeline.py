"""ARDY's pipeline: whole clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from motionrt.runtime.ardy.generation import Generation
from motionrt.runtime.ardy.model import ArdyModel
from motionrt.runtime.ardy.options import ArdyOptions
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.memory import FLOAT, transformer_bytes
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request

_BRANCHES = 3
_FEATURE_COPIES = 3
"""Of a motion's features that are alive while it is decoded."""


class _Generate(ArdyOptions, GenerateKeywords, total=False):
    pass


class _GenerateMany(ArdyOptions, GenerateManyKeywords, total=False):
    pass


class ArdyPipeline(ArdyModel):
    """An ARDY bundle, loaded: ``generate`` and ``generate_many``."""

    def generate(  # type: ignore[override]  # narrower on purpose: it names its options
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_Generate],
    ) -> Motion:
        """Generate one motion as `Pipeline.generate` says; options are `ArdyOptions`."""
        return super().generate(prompt, seconds, **options)

    def generate_many(  # type: ignore[override]  # as above
        self,
        prompts: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_GenerateMany],
    ) -> list[Motion]:
        """Generate motions as `Pipeline.generate_many` says; options are `ArdyOptions`."""
        return super().generate_many(prompts, seconds, **options)

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        sizes = self.sizes
        rows = len(request.prompts) * (1 if request.sample_seeds else request.num_samples)
        tokens = sizes.window_frames(self.fps) // sizes.frames_per_token + sizes.num_text_tokens + 2
        features = rows * max(frames) * self.features.width * FLOAT * _FEATURE_COPIES
        denoiser = transformer_bytes(rows * _BRANCHES, tokens, sizes.hidden_width, sizes.num_heads)
        return denoiser + features

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        return Generation(self, request, seed, progress).batch(frames)
