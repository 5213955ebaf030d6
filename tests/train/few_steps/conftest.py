from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.train.few_steps.start import Start


@pytest.fixture(scope="session")
def tiny_start() -> Start:
    """A start of a network of one layer, with random weights."""
    torch.manual_seed(0)
    config = KimodoConfig(22, 20.0, 16, 1, 32, 64, 1, 2, norm_first=True, keep_held_root=True)
    stats = MotionStats.identity(config)
    weights = Kimodo(config, stats).state_dict()
    prompts = torch.randn(200, 16).half()
    return Start("tiny", "cmu22", config, stats, weights, (2.5, 2.0), 24, prompts)


@pytest.fixture
def work(tiny_start: Start, tmp_path: Path) -> Path:
    """A work folder that begins from the tiny start."""
    tiny_start.save(tmp_path / "start.pt")
    return tmp_path
