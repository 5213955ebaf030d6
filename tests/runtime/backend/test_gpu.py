"""On a real GPU: the embedded default's motion is that of the CPU, and steps are recorded.

Everything larger, and what it takes, is ``benchmarks/gpu.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

import motionrt
from motionrt.runtime.backend.backends import status

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not status("cuda").works, reason="no NVIDIA GPU, or no onnxruntime-gpu"),
]


def test_the_default_moves_on_a_gpu_as_it_does_on_the_cpu() -> None:
    pipelines = [motionrt.load(backend=name) for name in ("cpu", "cuda")]
    wanted, found = (
        pipeline.generate("a person walks forward", 2.0, seed=1) for pipeline in pipelines
    )
    assert np.abs(found.root_positions - wanted.root_positions).max() < 1e-3
    assert "TF32 off" in pipelines[1].loaded_graphs["sampler"].runs_on


def test_auto_leaves_the_default_on_the_cpu() -> None:
    assert motionrt.load().backend.name == "cpu"
