"""Models that are too large to hold: traced without weights, saved and run tensor by tensor.

A *hollow* module has every parameter's shape and none of its memory. It is traced like any other;
the graph's initializers are then tied to where their tensors are stored and loaded one at a time
when the graph is saved (``bundle.save_model``), after ``quantise`` if fewer bits are wanted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from motionrt.export.graphs import Graph, TensorSpec
from motionrt.export.readers.weights import Weights
from motionrt.export.to_onnx import to_onnx
from motionrt.runtime.errors import CheckpointError

LARGE_BYTES = 4 << 30
"""Models whose float32 weights take more are streamed."""


def weights_bytes(weights: Weights) -> int:
    """Return the bytes that all tensors take in float32."""
    return sum(4 * _count(shape) for shape in weights.shapes.values())


def hollow(make: Callable[[], nn.Module]) -> nn.Module:
    """Make a module whose parameters take no memory: one NaN each, seen in every place.

    Buffers that a config determines are made on the CPU as usual and keep their values.
    """
    with torch.device("meta"):
        module = make()
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter.device.type == "meta":
                nothing = torch.full((), float("nan"), device="cpu").expand(parameter.shape)
                setattr(part, name, nn.Parameter(nothing, requires_grad=False))
    return module.eval()


def trace_streamed(graph: Graph, weights: Weights) -> ir.Model:
    """Trace a graph whose module is hollow; its initializers load from where they are stored.

    Weights enter the trace as inputs, so that the tracer can neither hold, fold nor rename them.
    """
    names = list(weights.shapes)
    stand_ins = {f"weight_{i}": name for i, name in enumerate(names)}
    spec = replace(
        graph.spec,
        inputs=(
            *graph.spec.inputs,
            *(TensorSpec(alias, weights.shapes[name]) for alias, name in stand_ins.items()),
        ),
    )
    parameters = graph.module.state_dict()
    example = {
        **graph.checks[0],
        **{alias: parameters[name] for alias, name in stand_ins.items()},
    }
    caller = _Caller(graph.module, graph.checks[0], stand_ins)
    model = to_onnx(Graph(spec, caller, (example,)))
    given = {value.name: value for value in model.graph.inputs}
    for alias, name in stand_ins.items():
        value = given[alias]
        model.graph.inputs.remove(value)
        value.name = name
        value.const_value = _lazy(name, weights, weights.shapes[name])
        model.graph.register_initializer(value)
    return model


class _Caller(nn.Module):
    """Calls a module with its parameters among the inputs."""

    def __init__(self, module: nn.Module, inputs: Iterable[str], stand_ins: Mapping[str, str]):
        super().__init__()

        def forward(**given: Tensor) -> Any:
            parameters = {name: given.pop(alias) for alias, name in stand_ins.items()}
            return torch.func.functional_call(module, parameters, (), given)

        # The tracer wants to know every input by its name; a closure hides module's parameters.
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [inspect.Parameter(name, kind) for name in (*inputs, *stand_ins)]
        forward.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
        self.forward = forward


def _lazy(name: str, weights: Weights, shape: tuple[int, ...]) -> ir.LazyTensor:
    return ir.LazyTensor(
        lambda: ir.tensor(load_float32(weights, name).numpy()),
        dtype=ir.DataType.FLOAT,
        shape=ir.Shape(shape),
        name=name,
    )


def load_float32(weights: Weights, name: str) -> Tensor:
    """Load one tensor as contiguous float32; CheckpointError if it is not finite."""
    tensor = weights.load(name).to(torch.float32).contiguous()
    # Both extremes are NaN where any value is, and they cost no second copy.
    low, high = torch.aminmax(tensor)
    if not bool(torch.isfinite(low) and torch.isfinite(high)):
        raise CheckpointError(f"{weights.place}: {name} holds values that are not finite")
    return tensor


def attach_streamed(module: nn.Module, weights: Weights, unit: type[nn.Module]) -> None:
    """Let a hollow module run: each unit loads its weights before its turn and drops them after.

    Units are the modules of the given type, and every module with parameters outside of them.
    """
    covered: set[str] = set()
    for name, part in module.named_modules():
        inside = any(name == held or name.startswith(f"{held}.") for held in covered)
        if inside:
            continue
        if isinstance(part, unit) or next(part.parameters(recurse=False), None) is not None:
            covered.add(name)
            _stream_one(part, name, weights)


def _stream_one(part: nn.Module, prefix: str, weights: Weights) -> None:
    names = {name: f"{prefix}.{name}" for name in part.state_dict()}

    def load(*_: Any) -> None:
        # A lookup table stays as it is stored: what is looked up becomes float32.
        keep = isinstance(part, nn.Embedding)
        state = {
            inner: weights.load(name) if keep else load_float32(weights, name)
            for inner, name in names.items()
        }
        part.load_state_dict(state, assign=True)

    def drop(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        for inner_name, inner in part.named_modules():
            for name, parameter in list(inner.named_parameters(recurse=False)):
                nothing = torch.full((), float("nan")).expand(parameter.shape)
                setattr(inner, name, nn.Parameter(nothing, requires_grad=False))
            del inner_name
        return output

    part.register_forward_pre_hook(load)
    part.register_forward_hook(drop)


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
