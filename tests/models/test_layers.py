from __future__ import annotations

import pytest
import torch

from motionrt.models.layers import EncoderLayer, SelfAttention, sinusoid, sinusoid_frequencies


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
