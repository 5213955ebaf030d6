"""Kimodo's pipeline: whole motions, of prompts and everything else that the family takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, cast

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.kimodo.chaining import MAX_CHAINED_SECONDS
from motionrt.runtime.kimodo.generation import Generation
from motionrt.runtime.kimodo.model import KimodoModel
from motionrt.runtime.kimodo.options import KimodoOptions
from motionrt.runtime.kimodo.segments import NUM_TRANSITION_FRAMES
from motionrt.runtime.memory import FLOAT, transformer_bytes
from motionrt.runtime.options import either
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request
from motionrt.runtime.sampling.guidance import NUM_WEIGHTS

_WIDTH, _HEADS = 1024, 8
"""Of the released denoisers, for bundles that do not state theirs."""
_FEATURE_COPIES = 3
"""Of a motion's features that are alive while it is sampled, as measured."""
_CLEANING = 8
"""The same of what is alive while it is cleaned up."""


class _Generate(KimodoOptions, GenerateKeywords, total=False):
    pass


class _GenerateMany(KimodoOptions, GenerateManyKeywords, total=False):
    pass


class KimodoPipeline(KimodoModel):
    """A Kimodo bundle, loaded.

    ``generate`` and ``generate_many`` are the whole way; ``encode_text``, ``sample`` and ``decode``
    are its parts.
    """

    def generate(  # type: ignore[override]  # narrower on purpose: it names its options
        self,
        prompt: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_Generate],
    ) -> Motion:
        """Generate one motion as `Pipeline.generate` says; options are `KimodoOptions`.

        Several prompts, or a clip to continue, make one motion of as many parts.
        """
        return super().generate(prompt, seconds, **options)

    def generate_many(  # type: ignore[override]  # as above
        self,
        prompts: str | Sequence[str],
        seconds: float | Sequence[float] = DEFAULT_SECONDS,
        **options: Unpack[_GenerateMany],
    ) -> list[Motion]:
        """Generate motions as `Pipeline.generate_many` says; options are `KimodoOptions`."""
        return super().generate_many(prompts, seconds, **options)

    def _working_memory(self, request: Request, frames: Sequence[int]) -> int:
        width, heads = self.defaults.hidden_width, self.defaults.num_heads
        options = cast(KimodoOptions, request.options)
        mode = self.settle_guidance(options.get("guidance_type"), options.get("guidance_weights"))
        sequence = request.multi_prompt or options.get("continue_from") is not None
        chained = options.get("chain") is not False and max(frames) > self.advised_frames
        in_parts = sequence or chained
        samples = 1 if request.sample_seeds else request.num_samples
        rows = samples if in_parts else samples * len(request.prompts)
        longest = self.advised_frames if chained else max(frames)
        held = bool(options.get("constraints"))
        if chained or (sequence and (len(frames) > 1 or options.get("continue_from") is not None)):
            longest += either(options.get("num_transition_frames"), NUM_TRANSITION_FRAMES)
            held = True  # the transition
        branches = NUM_WEIGHTS[mode.mode] + 1 - (mode.mode == "separated" and not held)
        decoded = sum(frames) if sequence else max(frames)
        copies = rows * _FEATURE_COPIES + _CLEANING  # motions are cleaned up one by one
        features = copies * decoded * self.features.width * FLOAT
        denoiser = transformer_bytes(rows * branches, longest, width or _WIDTH, heads or _HEADS)
        return denoiser + features

    def max_frames(self, request: Request) -> int:
        """Say how long a prompt may be: what is chained may be longer than the model allows."""
        most = super().max_frames(request)
        if request.options.get("chain") is False:
            return most
        return max(most, int(MAX_CHAINED_SECONDS * self.fps))

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        return Generation(self, request, frames, seed, progress).run()

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        Generation(self, request, frames)  # refuses what does not fit
        self.check_prompts(request.prompts)
