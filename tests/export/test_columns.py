from __future__ import annotations

import pytest
import torch
from torch import nn

from motionrt.export.columns import ColumnLayer, in_columns
from motionrt.models.layers import EncoderLayer


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@torch.no_grad()
def test_a_layer_in_columns_is_the_layer(activation: str, norm_first: bool) -> None:
    torch.manual_seed(0)
    layer = EncoderLayer(12, 3, 20, activation, norm_first).eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    columns = ColumnLayer(layer)
    x = torch.randn(2, 5, 12)
    padded = torch.zeros(2, 1, 1, 5)
    padded[1, ..., 3:] = -torch.inf
    causal = torch.full((5, 5), -torch.inf).triu(1).expand(2, 1, 5, 5)
    for bias in (None, padded, causal):
        torch.testing.assert_close(columns(x, bias), layer(x, bias), rtol=0, atol=2e-5)
    assert dict(columns.named_parameters()).keys() == dict(layer.named_parameters()).keys()


def test_what_is_no_layer_stays_and_weights_are_shared() -> None:
    layer, last = EncoderLayer(8, 2, 16), nn.Linear(8, 3)
    whole = nn.Sequential(nn.Sequential(layer, last))
    turned = in_columns(whole)
    assert isinstance(turned.get_submodule("0.0"), ColumnLayer)
    assert whole.get_submodule("0.0") is layer  # the argument stays as it was
    assert turned.get_submodule("0.1") is last
    assert turned.get_parameter("0.0.linear1.weight") is layer.linear1.weight
