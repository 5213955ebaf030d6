from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.parity import NUDGE, check_graph
from motionrt.export.quantise.recipes import DENOISER_RECIPES
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.to_onnx import to_onnx
from motionrt.runtime.errors import ParityError


class Rounds(nn.Module):
    """A product whose activations int8 rounds, then a step that magnifies what it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = 100 * self.linear(x)
        return scaled


@pytest.fixture
def graph() -> Graph:
    spec = GraphSpec(
        "rounds", (TensorSpec("x", ("batch", 64)),), (TensorSpec("y", ("batch", 64)),), 1e-3
    )
    # Many values stand where a rounding of 255 levels from -1 to 1 could go either way.
    x = torch.linspace(-1, 1, 511)[torch.arange(640) % 511].reshape(10, 64)
    return Graph(spec, Rounds().eval(), ({"x": x},))


def test_nudges_show_what_a_rounding_moves(graph: Graph, tmp_path: Path) -> None:
    spec = graph.spec
    model = to_onnx(graph)
    ir.save(model, tmp_path / "exact.onnx")
    exact = check_graph(tmp_path / "exact.onnx", spec, graph.module, graph.checks, 4)
    assert 0 < exact.moved < 100 * 64 * NUDGE
    quantise(model, DENOISER_RECIPES["int8"])
    ir.save(model, tmp_path / "rounded.onnx")
    loose = GraphSpec(spec.name, spec.inputs, spec.outputs, atol=float("inf"))
    rounded = check_graph(tmp_path / "rounded.onnx", loose, graph.module, graph.checks, 4)
    assert rounded.moved > 100 * exact.moved
    again = check_graph(tmp_path / "rounded.onnx", loose, graph.module, graph.checks)
    assert (again.moved, again.largest) == (0, rounded.largest)


def test_names_the_tensor_that_differs(graph: Graph, tmp_path: Path) -> None:
    ir.save(to_onnx(graph), tmp_path / "graph.onnx")

    def other(x: Tensor) -> Tensor:
        moved: Tensor = graph.module(x=x) + 0.01
        return moved

    with pytest.raises(ParityError, match=r"rounds/y: max \|diff\| 1\.0.e-02, allowed 1e-03"):
        check_graph(tmp_path / "graph.onnx", graph.spec, other, graph.checks)
