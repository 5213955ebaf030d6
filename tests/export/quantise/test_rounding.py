import numpy as np
import pytest
import torch

from motionrt.export.quantise.rounding import dequantise_blockwise, quantise_blockwise


@pytest.mark.parametrize(("bits", "error"), [(4, 0.09), (8, 0.006)])
@pytest.mark.parametrize("columns", [64, 100])
def test_blockwise_rounding_is_small(bits: int, error: float, columns: int) -> None:
    weight = torch.randn(17, columns, generator=torch.Generator().manual_seed(1))
    packed, scales = quantise_blockwise(weight, bits, 32)
    found = dequantise_blockwise(packed, scales, bits, columns)
    assert np.linalg.norm(found - weight.numpy()) / np.linalg.norm(weight.numpy()) < error


def test_blockwise_keeps_zero_blocks_zero() -> None:
    for bits in (4, 8):
        packed, scales = quantise_blockwise(torch.zeros(2, 32), bits, 32)
        assert not dequantise_blockwise(packed, scales, bits, 32).any()
