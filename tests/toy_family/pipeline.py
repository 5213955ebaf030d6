from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.bundle.manifest import Bundle, Count
from motionrt.runtime.errors import InputError
from motionrt.runtime.pipeline import BenchmarkCase, Pipeline, Progress
from motionrt.runtime.request import Request
from motionrt.runtime.sampling.noise import TorchGenerator


class ToySampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    num_steps: Count
    bob_height: float


class ToyPipeline(Pipeline):
    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        super().__init__(bundle, backend)
        self.defaults = bundle.section("sampler", ToySampler)

    def wave(self, phases: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
        """Bob once more for every step."""
        heights = np.zeros_like(phases)
        for _ in range(steps):
            heights = heights + self.graph("wave").run({"phase": phases})["height"]
        return heights / np.float32(steps)

    def benchmark_case(self, num_frames: int, solver: str | None = None) -> BenchmarkCase:
        if solver is not None:
            raise InputError(f"solver {solver!r}: toy has none")
        phases = np.linspace(0, 6, num_frames, dtype=np.float32)
        self.graph("wave")
        return BenchmarkCase(lambda steps: self.wave(phases, steps), lambda heights: heights)

    def _check(self, request: Request, frames: Sequence[int]) -> None:
        if request.options.get("num_steps", 1) < 1:
            raise InputError("toy takes one step or more")

    def _generate(
        self, request: Request, seed: int, frames: list[int], progress: Progress | None
    ) -> list[Motion]:
        generator = TorchGenerator(seed)
        steps = request.options.get("num_steps", self.defaults.num_steps)
        height = request.options.get("bob_height", self.defaults.bob_height)
        motions = []
        for prompt, count in zip(request.prompts, frames, strict=True):
            for sample in range(request.num_samples):
                phases = np.arange(count, dtype=np.float32) / np.float32(5) + generator.randn((1,))
                root = np.zeros((count, 3), np.float32)
                root[:, 1] = 1 + height * self.wave(phases, steps)
                joints = self.skeleton.num_joints
                still = np.tile(np.eye(3, dtype=np.float32), (count, joints, 1, 1))
                info = {"prompt": prompt, "seed": seed, "sample": sample, "num_steps": steps}
                info |= {"model": self.manifest.name, "backend": self.backend.name}
                motions.append(Motion.from_local(still, root, self.skeleton, self.fps, info=info))
        return motions
