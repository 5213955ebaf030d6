"""A text encoder's backbone that is an ONNX graph already: run as it came, and continued.

optimum's graphs end with hidden states. What a bundle's text encoder does behind them (pooling,
normalisation, projector) is traced apart and appended, and what they take beside ids and mask is
made of these two inside the graph: a host gives what it gives to every other text encoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxscript.version_converter
import torch
from numpy.typing import NDArray
from onnx_ir.passes import common
from torch import Tensor, nn

from motionrt.export.graphs import Graph, TensorSpec
from motionrt.export.readers.onnx_encoder import PAST, GraphInput, OnnxEncoder, load_onnx
from motionrt.export.to_onnx import OPSET, anonymise, quiet_exporter, to_onnx
from motionrt.models.text_encoder import TextEncoder
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.onnx_session import first_line, onnxruntime_session
from motionrt.runtime.errors import CheckpointError, ExportError, one_line

_IR_VERSION = 10
"""Of files: what onnxruntime 1.20 reads."""
_NUMBERED = re.compile(r"onnx::\w+_\d+|val_\d+|_v_\d+")
"""Names of weights that tracing folded."""


class GraphRunner:
    """An encoder's graph in onnxruntime, loaded when it first runs."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        """Take what was read."""
        self.encoder = encoder
        self._session: Any = None

    def run(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64], outputs: list[str]
    ) -> list[NDArray[np.float32]]:
        """Run ids and mask (B, S); CheckpointError if onnxruntime cannot."""
        path = self.encoder.path
        try:
            if self._session is None:
                self._session = onnxruntime_session(
                    str(path), choose_backend("cpu"), data=self.encoder.data
                )
            results = self._session.run(outputs, self._feed(input_ids, attention_mask))
        except Exception as error:  # onnxruntime raises many kinds of its own
            raise CheckpointError(f"{path}: cannot be run ({first_line(error)})") from error
        return [np.asarray(result, np.float32) for result in results]

    def _feed(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        made = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros_like(input_ids),
            "position_ids": np.maximum(np.cumsum(attention_mask, axis=1) - 1, 0),
        }
        feed = {}
        for tensor in self.encoder.inputs:
            dtype = tensor.dtype.numpy()
            if tensor.name.startswith(PAST):
                heads, width = tensor.shape[1], tensor.shape[3]
                assert isinstance(heads, int) and isinstance(width, int)
                feed[tensor.name] = np.zeros((len(input_ids), heads, 0, width), dtype)
            else:
                feed[tensor.name] = made[tensor.name].astype(dtype)
        return feed


class OnnxBackbone(nn.Module):
    """The graph as a module without parameters: what it gives is what the bundle must give."""

    def __init__(self, runner: GraphRunner) -> None:
        """Take the graph; modules may share it."""
        super().__init__()
        self._runner = runner

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map ids and mask (B, S) int64 to hidden states (B, S, W) float32."""
        names = [self._runner.encoder.hidden]
        (hidden,) = self._runner.run(input_ids.numpy(), attention_mask.numpy(), names)
        return torch.from_numpy(hidden)


def continue_graph(encoder: OnnxEncoder, module: TextEncoder, graph: Graph) -> ir.Model:
    """Return a model of graph's signature: the encoder's own, with the module's head behind it.

    module is a `TextEncoder` over an `OnnxBackbone`. The weights stay in the encoder's files until
    the model is saved. ExportError if its operators cannot be brought to ``OPSET``.
    """
    model = _converted(load_onnx(encoder.path), encoder)
    body = model.graph
    hidden = next(value for value in body.outputs if value.name == encoder.hidden)
    given = {value.name: value for value in body.inputs}
    body.inputs.clear()
    body.outputs.clear()
    _rename(model)
    ours = [_value(tensor) for tensor in graph.spec.inputs]
    body.inputs.extend(ours)
    maker = _Maker()
    for tensor in encoder.inputs:
        ir.convenience.replace_all_uses_with(given[tensor.name], maker.make(tensor, *ours[:2]))
    first = next(iter(body), None)
    if first is None:
        raise CheckpointError(f"{encoder.path}: an empty graph")
    body.insert_before(first, maker.nodes)
    # A head computes in float32; the type of this is what it was stated to be, or float16.
    real = ir.node("Cast", [hidden], {"to": ir.DataType.FLOAT}, name="head.float32")
    real.outputs[0].name = "head.hidden"
    body.append(real)
    head = to_onnx(_head(encoder, module, graph))
    names = ("hidden", "attention_mask", "pool_mask")
    sources = dict(zip(names, (real.outputs[0], *ours[1:]), strict=True))
    _append(body, head.graph, sources)
    model.opset_imports.update({k: v for k, v in head.opset_imports.items() if k})
    model.ir_version = _IR_VERSION
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    anonymise(model, graph.spec.name)
    return model


def _converted(model: ir.Model, encoder: OnnxEncoder) -> ir.Model:
    found = model.opset_imports.get("", 0)
    common.InlinePass()(model)
    if found != OPSET:
        try:
            with quiet_exporter():
                onnxscript.version_converter.convert_version(model, OPSET, fallback=True)
        except Exception as error:  # of two converters, each with kinds of its own
            raise ExportError(
                f"{encoder.path}: operator set {found} cannot be brought to {OPSET} "
                f"({one_line(error, 160)})"
            ) from error
    if model.graph.opset_imports.get("") != OPSET:
        raise ExportError(
            f"{encoder.path}: operator set {found} cannot be brought to {OPSET}; export it with "
            "--opset 18"
        )
    return model


def _rename(model: ir.Model) -> None:
    """Put all names of a model into a room of their own, and weights under their layers' names.

    Which layer a weight belongs to decides how it may be quantised; tracing has numbered what it
    folded, but its node is called by the layer: ``/layers.0/mlp/up_proj/MatMul``.
    """
    for value in list(model.graph.initializers.values()):
        if not _NUMBERED.fullmatch(value.name or "") or len(value.uses()) != 1:
            continue
        (node,) = (use.node for use in value.uses())
        parts = (node.name or "").strip("/").split("/")
        name = ".".join([*parts[:-1], "weight"])
        if node.op_type in ("MatMul", "Gemm") and name not in model.graph.initializers:
            value.name = name
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in list(graph.initializers.values()):
            value.name = f"backbone.{value.name}"
        for value in graph.inputs:
            value.name = f"backbone.{value.name}"
        for node in graph:
            if node.name:
                node.name = f"backbone.{node.name}"
            for value in node.outputs:
                if value.name:
                    value.name = f"backbone.{value.name}"
                value.shape = None  # in axes of other names; they are inferred again


class _Maker:
    """Makes what an encoder's graph takes of ids and mask (B, S) int64."""

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []

    def make(self, wanted: GraphInput, ids: ir.Value, mask: ir.Value) -> ir.Value:
        if wanted.name.startswith(PAST):
            return self._past(wanted, ids)
        if wanted.name == "token_type_ids":
            value = self._node("Mul", [ids, self._constant(0)])
        elif wanted.name == "position_ids":
            counted = self._node("CumSum", [mask, self._constant(1)])
            value = self._node("Sub", [counted, self._constant(1)])
            value = self._node("Max", [value, self._constant(0)])
        else:
            value = ids if wanted.name == "input_ids" else mask
        if wanted.dtype != ir.DataType.INT64:
            value = self._node("Cast", [value], to=wanted.dtype)
        return value

    def _past(self, wanted: GraphInput, ids: ir.Value) -> ir.Value:
        """Return an empty (B, heads, 0, width)."""
        batch = self._node("Shape", [ids], start=0, end=1)
        rest = self._constant([wanted.shape[1], 0, wanted.shape[3]])
        sizes = self._node("Concat", [batch, rest], axis=0)
        zero = ir.tensor(np.zeros(1, wanted.dtype.numpy()))
        return self._node("ConstantOfShape", [sizes], value=zero)

    def _constant(self, value: Any) -> ir.Value:
        return self._node("Constant", [], value=ir.tensor(np.asarray(value, np.int64)))

    def _node(self, op_type: str, inputs: Sequence[ir.Value], **attributes: Any) -> ir.Value:
        node = ir.node(op_type, inputs, attributes)
        node.name = node.outputs[0].name = f"given.{len(self.nodes)}"
        self.nodes.append(node)
        return node.outputs[0]


class _Head(nn.Module):
    """What a text encoder does behind its backbone."""

    def __init__(self, module: TextEncoder) -> None:
        super().__init__()
        self.encoder = TextEncoder(_Given(), module.pooling.mode, None, module.normalise)
        self.projector = self.encoder.projector = module.projector

    def forward(self, hidden: Tensor, attention_mask: Tensor, pool_mask: Tensor) -> Tensor:
        result: Tensor = self.encoder(hidden, attention_mask, pool_mask)
        return result


class _Given(nn.Module):
    """A backbone whose result is there."""

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        return hidden


def _head(encoder: OnnxEncoder, module: TextEncoder, graph: Graph) -> Graph:
    masks = {name: graph.checks[0][name] for name in ("attention_mask", "pool_mask")}
    hidden = torch.zeros(*masks["pool_mask"].shape, encoder.width)
    ids, *others = graph.spec.inputs
    spec = replace(graph.spec, inputs=(TensorSpec("hidden", (*ids.axes, encoder.width)), *others))
    return Graph(spec, _Head(module).eval(), ({"hidden": hidden, **masks},))


def _append(body: ir.Graph, head: ir.Graph, sources: Mapping[str, ir.Value]) -> None:
    """Move a head's nodes and weights behind a graph, its inputs taken from there."""
    for value in list(head.inputs):
        ir.convenience.replace_all_uses_with(value, sources[value.name or ""])
    nodes, initializers = list(head), list(head.initializers.values())
    outputs = list(head.outputs)
    kept = set(outputs)
    head.inputs.clear()
    head.outputs.clear()
    head.initializers.clear()
    head.remove(nodes)
    for value in initializers:
        body.register_initializer(value)
    for node in nodes:
        if node.name:
            node.name = f"head.{node.name}"
        for value in node.outputs:
            if value not in kept:
                value.name = f"head.{value.name}"
    body.extend(nodes)
    body.outputs.extend(outputs)


def _value(tensor: TensorSpec) -> ir.Value:
    return ir.Value(
        name=tensor.name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(tensor.axes)
    )
