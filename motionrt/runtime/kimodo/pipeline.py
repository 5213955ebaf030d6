"""Kimodo's pipeline: whole motions, of prompts and everything else that the family takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.kimodo.generation import Generation
from motionrt.runtime.kimodo.model import KimodoModel
from motionrt.runtime.kimodo.options import KimodoOptions
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request


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

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        generation = Generation(self, request, seed, progress)
        if request.multi_prompt or request.options.get("continue_from") is not None:
            motions = generation.sequence(frames)
            for motion in motions:
                motion.notes.extend(generation.notes)
            return motions
        return generation.batch(frames)
