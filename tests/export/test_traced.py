"""What tests take instead of tracing is what tracing gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from traced import keep_in, key_of

from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.to_onnx import to_onnx


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.factor = nn.Linear(3, 4), factor

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.factor * self.linear(x)
        return scaled


def graph_of(module: nn.Module, largest: str | int = "batch") -> Graph:
    spec = GraphSpec("g", (TensorSpec("x", (largest, 3)),), (TensorSpec("y", (largest, 4)),), 1e-5)
    return Graph(spec, module, ({"x": torch.ones(2, 3)},))


def test_what_is_equal_is_traced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[nn.Module] = []
    export = vars(torch.onnx.export).get("__wrapped__", torch.onnx.export)

    def counted(module: nn.Module, *arguments: object, **options: object) -> object:
        traced.append(module)
        return export(module, *arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", counted)
    keep_in(tmp_path)
    first = to_onnx(graph_of(Scaled(2.0)))
    again = to_onnx(graph_of(Scaled(2.0)))
    assert len(traced) == 1
    assert ir.to_proto(again).SerializeToString() == ir.to_proto(first).SerializeToString()

    other = Scaled(2.0)
    other.linear.bias.data[1] += 1e-6
    for graph in (graph_of(Scaled(3.0)), graph_of(other), graph_of(Scaled(2.0), 2)):
        to_onnx(graph)
        assert traced[-1] is graph.module
    assert len(traced) == 4


def test_functions_are_told_apart_by_what_they_close_over() -> None:
    def times(factor: float) -> Callable[[float], float]:
        return lambda x: x * factor

    assert key_of(times(2)) == key_of(times(2)) is not None
    assert len({key_of(times(2)), key_of(times(3)), key_of(lambda x: x + 2)}) == 3
    assert key_of(torch.ones(3)) != key_of(torch.ones(3).double()) != key_of(torch.ones(1, 3))
    assert key_of(time) is None  # a module, say
