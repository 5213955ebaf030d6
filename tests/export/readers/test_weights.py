from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from motionrt.export.readers.weights import Weights, shapes_of
from motionrt.models.bert import Bert, BertConfig
from motionrt.runtime.errors import CheckpointError


class Model(nn.Module):
    """One of each kind of layer that draws random numbers for its weights."""

    angles: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.table = nn.Embedding(5, 3)
        self.query = nn.Parameter(torch.empty(2, 3))
        nn.init.xavier_uniform_(self.query)
        nn.init.normal_(self.query)
        self.norm = nn.LayerNorm(3)
        self.register_buffer("angles", torch.arange(3) * 0.5, persistent=False)


def stored() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(tensor) for name, tensor in Model().state_dict().items()}


def weights(tensors: dict[str, torch.Tensor]) -> Weights:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return Weights(Path("model"), shapes, tensors.__getitem__)


def test_a_module_gets_the_weights_and_draws_no_random_numbers() -> None:
    tensors = stored()
    before = torch.get_rng_state()
    made = weights(tensors).build(Model)
    assert torch.equal(torch.get_rng_state(), before)
    assert made.state_dict().keys() == tensors.keys()
    assert all(torch.equal(made.state_dict()[name], tensors[name]) for name in tensors)
    assert made.angles.tolist() == [0.0, 0.5, 1.0]


def test_shapes_take_no_memory() -> None:
    huge = BertConfig(1 << 40, 1 << 10, 4096, 1, 4, 64, 2, 1e-12)
    assert shapes_of(lambda: Bert(huge))["embeddings.word_embeddings.weight"] == (1 << 40, 1 << 10)


def test_what_does_not_fit_is_named_before_anything_is_made() -> None:
    tensors = stored() | {"linear.bias": torch.zeros(7)}
    with pytest.raises(CheckpointError, match=r"misshapen linear\.bias 7 instead of 2; is the con"):
        weights(tensors).build(Model)
