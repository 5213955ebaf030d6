from __future__ import annotations

import torch

from motionrt.train.few_steps.buffer import Buffer
from motionrt.train.few_steps.teacher import Conditions


def ways(values: list[int]) -> tuple[Conditions, torch.Tensor]:
    """Ways of which every number is one of values."""
    states = torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 4, 5)
    count = len(values)
    mask = torch.zeros(count, 4, 5)
    frames = torch.ones(count, 4, dtype=torch.bool)
    return Conditions(states[:, 0, :1, :2], states[:, 0, 0, 0], frames, mask, mask), states


def test_the_oldest_ways_make_room() -> None:
    buffer = Buffer(4)
    for values in ([1, 2, 3], [4, 5]):
        buffer.add(*ways(values))
    assert buffer.size == 4
    asked, states = buffer.draw(200, torch.Generator().manual_seed(0))
    assert set(states[:, 0, 0, 0].tolist()) == {2.0, 3.0, 4.0, 5.0}
    # What was asked for stays with its way.
    torch.testing.assert_close(asked.first_heading_rad, states[:, 0, 0, 0])
    assert states.dtype == asked.motion_mask.dtype == torch.float32


def test_more_than_it_holds_leaves_the_last() -> None:
    buffer = Buffer(2)
    buffer.add(*ways([1, 2, 3]))
    buffer.add(*ways([]))
    _, states = buffer.draw(50, torch.Generator().manual_seed(0))
    assert set(states[:, 0, 0, 0].tolist()) == {2.0, 3.0}
