from __future__ import annotations

import pytest
import torch

from motionrt.models.pooling import POOLINGS, Pooling, pool_to_length

HIDDEN = torch.tensor([[[1.0], [2.0], [4.0], [8.0]], [[1.0], [3.0], [9.0], [9.0]]])
REAL = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
POOLED = torch.tensor([[0, 1, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("mean", [14 / 3, 2.0]),
        ("weighted_mean", [(2 + 8 + 24) / 6, 7 / 3]),
        ("last_token", [8.0, 3.0]),
        ("first_token", [1.0, 1.0]),
    ],
)
def test_each_pooling_by_hand(mode: str, want: list[float]) -> None:
    found = Pooling(mode)(HIDDEN, REAL, POOLED)
    torch.testing.assert_close(found[:, 0], torch.tensor(want))
    assert mode in POOLINGS


def test_nothing_to_pool_is_zero_and_another_mode_is_refused() -> None:
    assert not Pooling()(HIDDEN, REAL, torch.zeros_like(POOLED)).any()
    with pytest.raises(ValueError, match="pooling 'max': none of mean, "):
        Pooling("max")


def test_short_sequences_are_padded_and_long_ones_interpolated() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    padded = pool_to_length(rows, 5)
    assert torch.equal(padded[:3], rows) and not padded[3:].any()
    assert torch.equal(pool_to_length(rows, 3), rows)
    line = torch.arange(8.0)[:, None]
    want = torch.nn.functional.interpolate(line.T[None], size=3, mode="linear")[0].T
    torch.testing.assert_close(pool_to_length(line, 3), want)
