from __future__ import annotations

import numpy as np
import pytest
from places import DATA

from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.noise import MAX_SEED, TorchGenerator

DRAWS = dict(np.load(DATA / "torch_randn.npz"))
"""Drawn with torch.manual_seed and torch.randn on a CPU, torch 2.13."""
ATOL = 2e-6  # torch's own vector units differ by as much


@pytest.mark.parametrize("key", [key for key in DRAWS if key.startswith("seed")])
def test_equals_torch(key: str) -> None:
    seed, count = key.removeprefix("seed").split("_n")
    values = TorchGenerator(int(seed)).randn((int(count),))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, DRAWS[key], atol=ATOL, rtol=0)


def test_consecutive_draws_continue_the_stream() -> None:
    generator = TorchGenerator(7)
    for index in range(4):
        expected = DRAWS[f"stream7_{index}"]
        np.testing.assert_allclose(generator.randn(expected.shape), expected, atol=ATOL, rtol=0)


def test_seeds_differ() -> None:
    assert not np.allclose(TorchGenerator(0).randn((32,)), TorchGenerator(1).randn((32,)))


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_refuses_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        TorchGenerator(seed)
