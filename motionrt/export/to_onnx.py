"""A torch module and its ``GraphSpec`` become an ONNX model."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import torch

import motionrt
from motionrt.export.graphs import Graph
from motionrt.runtime.bundle.manifest import AxisInfo
from motionrt.runtime.errors import ExportError

OPSET = 20
"""ONNX operator set of every graph: the first with a GELU operator."""
UNLIMITED = 1 << 20
"""Size up to which a dynamic axis is traced when its spec names no limit."""


def to_onnx(graph: Graph) -> ir.Model:
    """Trace graph.module with its first input set and return the model, axes dynamic as named.

    ExportError if torch cannot trace the module or fixes an axis that the spec calls dynamic.
    """
    spec = graph.spec
    example = graph.checks[0]
    dims = {}
    for axis in spec.dynamic_axes():
        sizes = spec.axes.get(axis, AxisInfo())
        largest = UNLIMITED if sizes.largest is None else sizes.largest
        dims[axis] = torch.export.Dim(axis, min=sizes.smallest, max=largest)
    dynamic_shapes = {
        tensor.name: {i: dims[axis] for i, axis in enumerate(tensor.axes) if isinstance(axis, str)}
        for tensor in spec.inputs
    }
    try:
        with quiet_exporter(), torch.no_grad():
            program = torch.onnx.export(
                graph.module.eval(),
                (),
                kwargs={tensor.name: example[tensor.name] for tensor in spec.inputs},
                dynamic_shapes=dynamic_shapes,
                output_names=[tensor.name for tensor in spec.outputs],
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # torch raises many kinds, most of them with pages of text
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(f"{spec.name}: torch cannot export this graph: {reason[0]}") from error
    assert program is not None
    model: ir.Model = program.model
    _check_axes(graph, model)
    anonymise(model, spec.name)
    _name_weights(model, graph.module)
    return model


def _check_axes(graph: Graph, model: ir.Model) -> None:
    """Raise if tracing fixed the size of a dynamic axis, or dropped an input."""
    values = {value.name: value for value in model.graph.inputs}
    for tensor in graph.spec.inputs:
        value = values.get(tensor.name)
        if value is None or value.shape is None:
            raise ExportError(f"{graph.spec.name}: input {tensor.name} does not reach the graph")
        for axis, size in zip(tensor.axes, value.shape, strict=True):
            if isinstance(axis, str) and isinstance(size, int):
                raise ExportError(
                    f"{graph.spec.name}/{tensor.name}: axis {axis} was fixed to {size} in tracing"
                )


def anonymise(model: ir.Model, name: str) -> None:
    """Drop what tracing notes of the machine and the source files; name the graph."""
    model.producer_name, model.producer_version = "motionrt", motionrt.__version__
    model.doc_string = None
    model.metadata_props.clear()
    model.graph.name = name
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None


def _name_weights(model: ir.Model, module: torch.nn.Module) -> None:
    """Call initializers by the parameter that they hold, as it is or transposed.

    Tracing folds transposes and then numbers the results, but which layer a weight belongs to
    decides how it may be quantised.
    """
    parameters: dict[tuple[int, ...], list[tuple[str, torch.Tensor]]] = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim == 2:
            for held in (parameter.detach().T, parameter.detach()):
                parameters.setdefault(tuple(held.shape), []).append((name, held))
    taken = set(model.graph.initializers)
    for old, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or old.split(".")[-1] in ("weight", "in_proj_weight"):
            continue
        for name, held in parameters.get(tuple(tensor.shape.numpy()), ()):
            array = torch.from_numpy(np.asarray(tensor.numpy()))
            # Corners first: comparing all numbers of all pairs would take minutes.
            same = torch.equal(array[0, :8], held[0, :8]) and torch.equal(array, held)
            if same and name not in taken:
                taken.add(name)
                value.name = name
                break


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep torch's exporter from talking: what goes wrong is raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
