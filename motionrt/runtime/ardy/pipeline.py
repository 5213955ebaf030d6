"""ARDY's pipeline: whole clips, and streams that go on for ever."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from os import PathLike
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from motionrt.runtime.ardy.controls import Controls, on_ground
from motionrt.runtime.ardy.generation import Generation
from motionrt.runtime.ardy.model import ArdyModel
from motionrt.runtime.ardy.options import ArdyOptions
from motionrt.runtime.ardy.session import Session, worded
from motionrt.runtime.ardy.snapshot import Snapshot
from motionrt.runtime.ardy.streaming import Settings
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.motion_correction import ROOT_MARGIN_M
from motionrt.runtime.errors import InputError
from motionrt.runtime.memory import FLOAT, transformer_bytes
from motionrt.runtime.pipeline import GenerateKeywords, GenerateManyKeywords, Progress
from motionrt.runtime.request import DEFAULT_SECONDS, Request
from motionrt.runtime.sampling.noise import MAX_SEED, TorchGenerator

_BRANCHES = 3
_FEATURE_COPIES = 3
"""Of a motion's features that are alive while it is decoded."""


class _Generate(ArdyOptions, GenerateKeywords, total=False):
    pass


class _GenerateMany(ArdyOptions, GenerateManyKeywords, total=False):
    pass


class ArdyPipeline(ArdyModel):
    """An ARDY bundle, loaded: ``generate`` and ``generate_many`` for clips, ``stream`` for more."""

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

    def stream(  # type: ignore[override]  # as above
        self,
        prompt: str = "",
        *,
        seed: int | None = None,
        start: Motion | str | PathLike[str] | Sequence[float] = (0.0, 0.0),
        first_heading_rad: float = 0.0,
        num_steps: int | None = None,
        guidance_type: str | None = None,
        guidance_weights: Sequence[float] | None = None,
        history_frames: int | None = None,
        reaction_frames: int = 1,
        postprocess: bool = False,
        root_margin: float = ROOT_MARGIN_M,
        snapshot: Snapshot | bytes | None = None,
        embedding: ArrayLike | None = None,
        embedding_mask: ArrayLike | None = None,
    ) -> Session:
        """Begin a motion without an end, which is steered while it plays.

        Args:
            prompt: what it begins with; empty for none.
            seed: 0 to 2^32 - 1; None draws one (`Session.seed`).
            start: where the root is at first, x and z in metres, or a clip, or its file, that is
                gone on from.
            first_heading_rad: where the body faces at first; not read with a clip.
            num_steps: of denoising, a window; the bundle's if None. Half as many take half as long.
            guidance_type: as in ``generate``, and so are its weights.
            guidance_weights: unitless.
            history_frames: that a window looks back, whole tokens; one token's if None. More is
                steadier and takes longer.
            reaction_frames: that still play as they are after something else was asked for. The
                new window must be made while they play, or playing waits for it.
            postprocess: meet constraints exactly, in the windows that have any.
            root_margin: metres that this may leave between the root and its constraint.
            snapshot: of a stream, or its bytes, which is gone on with; nothing else counts then.
            embedding: of the prompt, (W,) or (L, W), as `Session.prompt` takes it.
            embedding_mask: (L,), with it.

        Raises:
            InputError: a value that does not fit.
        """
        sizes = self.sizes
        history = sizes.frames_per_token if history_frames is None else history_frames
        settings = Settings(
            self.settle_guidance(guidance_type, guidance_weights),
            sizes.num_steps if num_steps is None else num_steps,
            replan_frames=reaction_frames,
            history_frames=history,
            future_frames=sizes.window_frames(self.fps),
            postprocess=postprocess,
            root_margin=root_margin,
        )
        clip, place = None, (0.0, 0.0)
        if isinstance(start, (str, PathLike)):
            start = Motion.load(start)
        if isinstance(start, Motion):
            given = self.fitted_clip(start)[0]
            clip = self.features.normalize(
                self.features.encode(given.local_rot_mats, given.root_positions)
            )
        else:
            place = on_ground(start, "a start is a place x, z on the ground or a clip")
        if not np.isfinite(first_heading_rad):
            raise InputError(f"first heading {first_heading_rad}: must be finite")
        if snapshot is not None:
            prompt, embedding, embedding_mask = "", None, None
        drawn = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
        TorchGenerator(drawn)  # refuses what is no seed
        own, text = worded(self, prompt, embedding, embedding_mask)
        controls = Controls(prompt, text, own)
        session = Session(self, settings, drawn, controls, place, float(first_heading_rad), clip)
        if snapshot is not None:
            session.restore(snapshot)
        return session

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
        return Generation(self, request, frames, seed, progress).run()

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        Generation(self, request, frames)  # refuses what does not fit
        self.check_prompts(request.prompts)
