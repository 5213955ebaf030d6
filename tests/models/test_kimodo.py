from __future__ import annotations

import pytest
import torch

from motionrt.models.kimodo import ROOT_WIDTH, Kimodo, KimodoConfig, MotionStats

NUM_FRAMES = 12


def predict(keep: bool, held: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(3)
    config = KimodoConfig(22, 20.0, 8, 1, 16, 32, 1, 2, norm_first=True, keep_held_root=keep)
    model = Kimodo(config, MotionStats.identity(config)).eval()
    noise = torch.randn(observed.shape, generator=torch.Generator().manual_seed(4))
    frames, text_mask = torch.ones(1, NUM_FRAMES, dtype=torch.bool), torch.ones(1, 1).bool()
    with torch.no_grad():
        predicted: torch.Tensor = model(
            noise,
            frames,
            torch.ones(1, 1, 8),
            text_mask,
            torch.tensor([900]),
            torch.zeros(1),
            held,
            observed,
        )
    return predicted


@pytest.fixture
def observed() -> torch.Tensor:
    return torch.randn(1, NUM_FRAMES, 273, generator=torch.Generator().manual_seed(5))


def test_a_held_root_is_kept_where_the_config_says_so(observed: torch.Tensor) -> None:
    held = torch.zeros_like(observed)
    held[:, [0, 5], 0] = held[:, 5, 2] = held[:, 7, 40] = 1
    kept, predicted = predict(True, held, observed), predict(False, held, observed)
    root = held[..., :ROOT_WIDTH] == 1
    torch.testing.assert_close(kept[..., :ROOT_WIDTH][root], observed[..., :ROOT_WIDTH][root])
    torch.testing.assert_close(kept[..., :ROOT_WIDTH][~root], predicted[..., :ROOT_WIDTH][~root])
    assert (predicted - observed)[..., :ROOT_WIDTH][root].abs().min() > 0.01
    # The body is told of the path that is kept.
    assert (kept - predicted)[..., ROOT_WIDTH:].abs().max() > 1e-3


def test_without_a_held_root_nothing_changes(observed: torch.Tensor) -> None:
    held = torch.zeros_like(observed)
    held[:, 7, 40] = 1
    torch.testing.assert_close(
        predict(True, held, observed), predict(False, held, observed), rtol=0, atol=0
    )
