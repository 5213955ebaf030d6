from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from motionrt.export.kimodo import GuidedStep
from motionrt.models.kimodo import ROOT_WIDTH, Kimodo, KimodoConfig, MotionStats, with_held_root

NUM_FRAMES = 12


def small(keep: bool) -> Kimodo:
    torch.manual_seed(3)
    config = KimodoConfig(22, 20.0, 8, 1, 16, 32, 1, 2, norm_first=True, keep_held_root=keep)
    return Kimodo(config, MotionStats.identity(config)).eval()


def predict(keep: bool, held: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    model = small(keep)
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


def guided(
    keep: bool, held: torch.Tensor, observed: torch.Tensor, weights: list[float], on: list[float]
) -> torch.Tensor:
    """Give the guided prediction x0 of one step, constraints on in some of its branches."""
    with torch.no_grad():
        _, x0 = GuidedStep(small(keep))(
            torch.randn(observed.shape, generator=torch.Generator().manual_seed(4)),
            torch.zeros_like(observed),
            torch.tensor([900]),
            torch.tensor([0.1, 0.9, 0.0]),
            torch.ones(1, 1, 8),
            torch.ones(1, 1).bool(),
            torch.ones(1, NUM_FRAMES, dtype=torch.bool),
            torch.zeros(1),
            held,
            observed,
            torch.tensor([1.0] + [0.0] * (len(on) - 1)),
            torch.tensor(on),
            torch.tensor(weights),
        )
    predicted: torch.Tensor = x0
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
    others = ~root[..., [1, 3, 4]]
    unled = [array[..., [1, 3, 4]][others] for array in (kept, predicted)]
    torch.testing.assert_close(*unled)
    assert (predicted - observed)[..., :ROOT_WIDTH][root].abs().min() > 0.01
    # The body is told of the path that is kept.
    assert (kept - predicted)[..., ROOT_WIDTH:].abs().max() > 1e-3


@pytest.mark.parametrize("column", [0, 2])
def test_a_path_is_led_through_held_places(observed: torch.Tensor, column: int) -> None:
    held = torch.zeros_like(observed)
    held[:, [2, 8], column] = 1
    kept, predicted = predict(True, held, observed), predict(False, held, observed)
    moved = (kept - predicted)[0, :, column]
    first, second = (observed - predicted)[0, [2, 8], column]
    between = torch.linspace(0, 1, 7)
    wanted = torch.cat((first.expand(2), first + between * (second - first), second.expand(3)))
    torch.testing.assert_close(moved, wanted)
    others = [index for index in range(ROOT_WIDTH) if index != column]
    torch.testing.assert_close(kept[..., others], predicted[..., others])


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_leading_is_interpolation(share: float) -> None:
    generator = torch.Generator().manual_seed(6)
    root, observed = torch.randn(2, 3, 40, ROOT_WIDTH, generator=generator)
    held = (torch.rand(3, 40, ROOT_WIDTH, generator=generator) < share).float()
    found = with_held_root(root, observed, held)
    expected = torch.where(held > 0, observed, root)
    for sample, column in itertools.product(range(3), (0, 2)):
        (frames,) = np.nonzero(held[sample, :, column].numpy())
        if len(frames):
            off = (observed - root)[sample, :, column].numpy()
            expected[sample, :, column] = root[sample, :, column] + torch.from_numpy(
                np.interp(np.arange(40), frames, off[frames])
            )
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("weights", "on"),
    [([2.5, 3.0, 0.0], [0.0, 1.0, 0.0]), ([0.0], [1.0]), ([2.0, 0.0], [1.0, 1.0])],
    ids=["separated", "no guidance", "regular"],
)
def test_guidance_keeps_what_is_held(keep: bool, weights: list[float], on: list[float]) -> None:
    held, observed = torch.zeros(1, NUM_FRAMES, 273), torch.full((1, NUM_FRAMES, 273), 2.0)
    held[:, [0, 6], :3] = 1
    x0 = guided(keep, held, observed, weights, on)[0, [0, 6], :3]
    assert bool((x0 == 2.0).all()) == keep


def test_guidance_without_constraints_holds_nothing() -> None:
    held, observed = torch.ones(1, NUM_FRAMES, 273), torch.full((1, NUM_FRAMES, 273), 2.0)
    x0 = guided(True, held, observed, [2.0, 0.0], [0.0, 0.0])
    assert (x0[..., :ROOT_WIDTH] != 2.0).all()


def test_without_a_held_root_nothing_changes(observed: torch.Tensor) -> None:
    held = torch.zeros_like(observed)
    held[:, 7, 40] = 1
    torch.testing.assert_close(
        predict(True, held, observed), predict(False, held, observed), rtol=0, atol=0
    )
