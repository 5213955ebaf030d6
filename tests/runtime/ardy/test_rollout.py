from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.ardy.network import Conditions, Network, Text
from motionrt.runtime.ardy.rollout import extend, num_windows, roll_out
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.guidance import Guidance

GUIDED = Guidance("separated", (2.0, 1.0))


def noise(windows: int, batch: int, network: Network) -> list[NDArray[Any]]:
    rng = np.random.default_rng(2)
    tokens = network.sizes.horizon // network.sizes.frames_per_token
    shape = (batch, tokens, network.sizes.token_width)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(windows)]


def text(network: Network, batch: int = 1) -> Text:
    features = np.linspace(-1, 1, batch * 8, dtype=np.float32).reshape(batch, 1, 8)
    return network.text(features, np.ones((batch, 1)))


def test_windows_cover_a_clip() -> None:
    assert [num_windows(frames, 8) for frames in (1, 8, 9, 16)] == [1, 1, 2, 2]
    assert [num_windows(frames, 8, before=4) for frames in (4, 5, 12, 13)] == [0, 1, 1, 2]


def test_a_clip_is_made_window_by_window(network: Network) -> None:
    draws = noise(3, 2, network)
    options: dict[str, Any] = {"guidance": GUIDED, "num_steps": 4, "crop_history": 4}
    made = roll_out(network, text(network, 2), draws, num_frames=21, **options)
    assert made.shape == (2, 21, network.features.width)
    # What is made first does not depend on what comes after, nor on the other clip of a batch.
    short = roll_out(network, text(network, 2), draws, num_frames=8, **options)
    np.testing.assert_allclose(made[:, :7, :5], short[:, :7, :5], atol=1e-5)
    first = text(network, 2).rows([0])
    alone = roll_out(network, first, [each[:1] for each in draws], num_frames=21, **options)
    np.testing.assert_allclose(made[:1], alone, atol=1e-5)


def test_a_window_lies_where_its_history_ends(network: Network) -> None:
    (first, second) = noise(2, 1, network)
    options: dict[str, Any] = {"guidance": GUIDED, "num_steps": 4}
    start = extend(network, text(network), first, translation=np.array([[3.0, 0, -2]]), **options)
    made = extend(network, text(network), second, history=start[:, -4:], **options)
    assert made.shape[1] == 12
    # History comes back where it was: its root, while its body is the tokenizer's.
    np.testing.assert_allclose(made[:, :4, :5], start[:, -4:, :5], atol=1e-4)
    far = start.copy()
    far[..., :5] = network.features.translated(far[..., :5], np.array([[50.0, 0, 80]]))
    there = extend(network, text(network), second, history=far[:, -4:], **options)
    moved = network.features.translated(made[..., :5], np.array([[50.0, 0, 80]]))
    np.testing.assert_allclose(there[..., :5], moved, atol=2e-3)
    np.testing.assert_allclose(there[..., 5:], made[..., 5:], atol=2e-3)


def test_what_is_known_beyond_the_window_counts_only_up_to_the_last_goal(
    network: Network,
) -> None:
    (draw,) = noise(1, 1, network)
    width = network.features.width
    observed, mask = np.zeros((2, 1, 24, width), np.float32)
    observed[0, 15, :3], mask[0, 15, :3] = 1.5, 1
    options: dict[str, Any] = {"guidance": GUIDED, "num_steps": 4}
    long = extend(network, text(network), draw, conditions=Conditions(observed, mask), **options)
    near = Conditions(observed[:, :16], mask[:, :16])
    short = extend(network, text(network), draw, conditions=near, **options)
    free = extend(network, text(network), draw, **options)
    np.testing.assert_array_equal(long, short)
    assert np.abs(long - free).max() > 1e-3


def test_what_does_not_fit_is_told(network: Network) -> None:
    draws = noise(1, 1, network)
    options: dict[str, Any] = {"guidance": GUIDED, "num_steps": 4}
    for crop in (0, 3, -4):
        with pytest.raises(InputError, match="positive multiple of 4"):
            roll_out(network, text(network), draws, num_frames=8, crop_history=crop, **options)
    history = np.zeros((1, 4, network.features.width), np.float32)
    with pytest.raises(InputError, match="do not crop"):
        roll_out(
            network, text(network), draws, num_frames=8, crop_history=4, history=history, **options
        )
    with pytest.raises(InputError, match="its height must be 0"):
        extend(network, text(network), draws[0], translation=np.ones((1, 3)), **options)
    with pytest.raises(InputError, match="3 frames of history: must be a multiple of 4"):
        extend(network, text(network), draws[0], history=history[:, :3], **options)
    with pytest.raises(InputError, match=r"text features are \(1, 2, 8\)"):
        network.text(np.zeros((1, 2, 8)), np.ones((1, 2)))
