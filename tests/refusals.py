"""What a pipeline refuses, it refuses before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request

_OF_REQUESTS = ("num_frames", "seed", "num_samples", "sample_seeds", "multi_prompt")


def check(
    pipeline: Pipeline, prompt: str | Sequence[str], seconds: Any = 1.0, **keywords: Any
) -> None:
    """Check the request that ``generate_many`` would make of these; no graph may run."""
    common = {name: keywords.pop(name) for name in _OF_REQUESTS if name in keywords}
    request = Request.make(pipeline.family, prompt, seconds, options=keywords, **common)
    frames = pipeline.frames_of(request)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "graph", lambda name: pytest.fail(f"{name} runs"))
        pipeline.check(request.with_motions(pipeline.family, Motion.load), frames)
