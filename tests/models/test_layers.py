from __future__ import annotations

import math

import pytest
import torch

from motionrt.models.layers import (
    EncoderLayer,
    SelfAttention,
    local_root_rates,
    sinusoid,
    sinusoid_frequencies,
    turn_angle,
)


def test_sinusoids_are_sine_and_cosine_interleaved() -> None:
    frequencies = sinusoid_frequencies(4)
    torch.testing.assert_close(frequencies, torch.tensor([1.0, 0.01]))
    found = sinusoid(torch.tensor([[0, 3]]), frequencies)
    angle = torch.tensor([3.0, 0.03])
    want = torch.stack((angle.sin(), angle.cos()), -1).flatten()
    torch.testing.assert_close(found[0, 1], want)
    torch.testing.assert_close(found[0, 0], torch.tensor([0.0, 1, 0, 1]))


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours = SelfAttention(12, 3).eval()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 12)
    padded = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    bias = torch.zeros(2, 1, 1, 5).masked_fill(padded[:, None, None], float("-inf"))
    with torch.no_grad():
        want = theirs(x, x, x, key_padding_mask=padded, need_weights=False)[0]
        torch.testing.assert_close(ours(x, bias), want, rtol=0, atol=1e-6)
        torch.testing.assert_close(ours(x, None)[0], want[0], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="no multiple of num_heads 5"):
        SelfAttention(12, 5)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_layer_is_that_of_torch(activation: str, norm_first: bool) -> None:
    torch.manual_seed(0)
    ours = EncoderLayer(12, 3, 20, activation, norm_first).eval()
    theirs = torch.nn.TransformerEncoderLayer(
        12, 3, 20, 0.0, activation, batch_first=True, norm_first=norm_first
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x, None), theirs(x), rtol=0, atol=1e-5)


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    layer, x = EncoderLayer(8, 2, 16, dropout=0.5), torch.randn(1, 4, 8)
    assert not torch.equal(layer(x, None), layer(x, None))
    layer.eval()
    assert torch.equal(layer(x, None), layer(x, None))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_a_turn_is_the_arctangent_of_headings_of_any_length(
    dtype: torch.dtype, atol: float
) -> None:
    angles = torch.linspace(-math.pi, math.pi, 721, dtype=dtype)[1:-1]
    start = torch.tensor(0.7, dtype=dtype)
    heading = 3 * torch.stack((start.cos(), start.sin())).expand(len(angles), 2)
    lengths = torch.linspace(0.1, 2, len(angles), dtype=dtype).unsqueeze(-1)
    following = lengths * torch.stack(((start + angles).cos(), (start + angles).sin()), -1)
    torch.testing.assert_close(turn_angle(heading, following), angles, rtol=0, atol=atol)


def test_a_half_turn_is_pi_and_no_heading_turns_by_nothing() -> None:
    east, west, none = torch.tensor([[1.0, 0], [-2, 0], [0, 0]])
    found = turn_angle(torch.stack((east, none, east)), torch.stack((west, east, none)))
    torch.testing.assert_close(found, torch.tensor([math.pi, 0, 0]))


def test_rates_are_forward_differences_and_the_last_repeats() -> None:
    angle = torch.tensor([0.0, 0.1, 0.3, 0.6])
    root = torch.zeros(2, 4, 5)
    root[..., 0], root[..., 1] = torch.tensor([0.0, 1, 3, 6]), torch.tensor([1.0, 1, 2, 3])
    root[..., 3], root[..., 4] = angle.cos(), angle.sin()
    found = local_root_rates(root, torch.tensor([[4], [3]]), fps=10)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([1.0, 2, 3, 3]))
    torch.testing.assert_close(found[0, :, 1], torch.tensor([10.0, 20, 30, 30]))
    torch.testing.assert_close(found[1, :3, 1], torch.tensor([10.0, 20, 20]))
    torch.testing.assert_close(found[..., 3], root[..., 1])
    single = local_root_rates(root[:, :1], torch.tensor([[1], [1]]), fps=10)
    torch.testing.assert_close(single[..., :3], torch.zeros(2, 1, 3))
