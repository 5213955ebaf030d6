"""The whole sampling loop as one graph: a step graph becomes the body of an ONNX ``Loop``.

The weights stay initializers of the body: only there does onnxruntime fold and pre-pack them
(measured: a loop over weights of the outer graph takes 2.4 times as long).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from torch import Tensor

from motionrt.runtime.bundle.manifest import AxisInfo, LoopInfo
from motionrt.runtime.errors import ExportError


@dataclass(frozen=True)
class LoopSpec:
    """How a step graph is iterated."""

    name: str
    carried: Mapping[str, str]
    """State: step input -> the step output that it becomes in the next iteration.

    The loop takes the state as inputs of the same names and returns it under the output names.
    """
    scanned: Mapping[str, str]
    """Step input -> loop input with one more axis in front, of which iteration i gets row i.

    All rows are of one length, the number of iterations. Other step inputs do not change.
    """
    steps_axis: str = "steps"
    steps: AxisInfo = field(default_factory=lambda: AxisInfo(typical=20, largest=1000))
    """How many iterations there may be."""
    padded_axis: str | None = None
    """As in ``LoopInfo``: an axis that may be longer than is asked."""
    atol: float = 0.0
    """Allowed difference after several steps; 0 takes the step's."""
    rtol: float = 0.0

    def info(self, step: str) -> LoopInfo:
        """Return what a manifest says of the loop over the graph named step."""
        return LoopInfo(step, self.carried, self.scanned, self.steps_axis, self.padded_axis)


def compile_loop(step: ir.Model, spec: LoopSpec) -> ir.Model:
    """Return a model that runs step once per row of the scanned inputs.

    The step model is consumed: its nodes and initializers move into the loop's body.
    """
    body = step.graph
    inputs = {value.name: value for value in body.inputs}
    outputs = {value.name: value for value in body.outputs}
    for name in (*spec.carried, *spec.scanned):
        if name not in inputs:
            raise ExportError(f"{spec.name}: the step graph has no input {name}")
    for name in spec.carried.values():
        if name not in outputs:
            raise ExportError(f"{spec.name}: the step graph has no output {name}")

    outer_inputs: list[ir.Value] = []
    for value in body.inputs:
        assert value.name is not None
        if value.name in spec.scanned:
            assert value.shape is not None
            rows = ir.Shape([spec.steps_axis, *value.shape])
            outer_inputs.append(_value(spec.scanned[value.name], value.dtype, rows))
        else:
            outer_inputs.append(_value(value.name, value.dtype, value.shape))
    outer = dict(zip((value.name for value in body.inputs), outer_inputs, strict=True))

    iteration = _value("iteration", ir.DataType.INT64, ir.Shape([]))
    going_on = _value("going_on", ir.DataType.BOOL, ir.Shape([]))
    carried = [
        _value(f"{name}.in", inputs[name].dtype, inputs[name].shape) for name in spec.carried
    ]
    gathers = []
    replacement: dict[str, ir.Value] = dict(zip(spec.carried, carried, strict=True))
    for name in spec.scanned:
        gather = ir.Node("", "Gather", [outer[name], iteration], [ir.AttrInt64("axis", 0)])
        gather.outputs[0].name = f"{name}.row"
        gathers.append(gather)
        replacement[name] = gather.outputs[0]
    for value in list(body.inputs):
        assert value.name is not None
        ir.convenience.replace_all_uses_with(value, replacement.get(value.name, outer[value.name]))

    nodes = list(body)
    initializers = list(body.initializers.values())
    results = []
    for name in spec.carried.values():
        result = outputs[name]
        if result.producer() is None:
            # The step hands an input through: a loop body must compute what it returns.
            copy = ir.Node("", "Identity", [replacement.get(name, outer.get(name, result))])
            nodes.append(copy)
            result = copy.outputs[0]
        # The loop's own output carries the plain name.
        result.name = f"{name}.out"
        results.append(result)
    body.inputs.clear()
    body.outputs.clear()
    body.initializers.clear()
    body.remove(nodes)
    keep_going = ir.Node("", "Identity", [going_on])
    keep_going.outputs[0].name = "going_on.next"
    inner = ir.Graph(
        inputs=[iteration, going_on, *carried],
        outputs=[keep_going.outputs[0], *results],
        nodes=[keep_going, *gathers, *nodes],
        initializers=initializers,
        name=f"{spec.name}.step",
    )

    first_scanned = outer[next(iter(spec.scanned))]
    count = ir.Node(
        "", "Shape", [first_scanned], [ir.AttrInt64("start", 0), ir.AttrInt64("end", 1)]
    )
    trips = ir.Node("", "Squeeze", [count.outputs[0]])
    # Named here: a name that onnx_ir makes up may be one of the body's.
    count.outputs[0].name, trips.outputs[0].name = f"{spec.name}.rows", f"{spec.name}.trips"
    # Optional, but TensorRT's parser knows the body's condition only if the loop has one.
    always = ir.Node("", "Constant", [], [ir.AttrTensor("value", ir.tensor(np.array(True)))])
    always.outputs[0].name = "always"
    loop = ir.Node(
        "",
        "Loop",
        [trips.outputs[0], always.outputs[0], *(outer[name] for name in spec.carried)],
        [ir.AttrGraph("body", inner)],
        num_outputs=len(spec.carried),
    )
    for output, (name, returned) in zip(loop.outputs, spec.carried.items(), strict=True):
        output.name, output.type, output.shape = returned, inputs[name].type, inputs[name].shape
    graph = ir.Graph(
        inputs=outer_inputs,
        outputs=list(loop.outputs),
        nodes=[count, trips, always, loop],
        opset_imports=dict(step.graph.opset_imports),
        name=spec.name,
    )
    return ir.Model(
        graph,
        ir_version=step.ir_version,
        producer_name=step.producer_name,
        producer_version=step.producer_version,
    )


def run_in_torch(
    step: Callable[..., Any], outputs: Sequence[str], loop: LoopSpec, inputs: Mapping[str, Tensor]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor], dict[str, Tensor]]:
    """Call a step's module as its loop does.

    outputs names what the module returns; inputs are the loop's. Returns what the loop does, and
    the inputs of the first and of the last step.
    """
    inner = {outer: name for name, outer in loop.scanned.items()}
    rows = {inner[name]: tensor for name, tensor in inputs.items() if name in inner}
    given = {name: tensor for name, tensor in inputs.items() if name not in inner}
    first: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    for i in range(len(next(iter(rows.values())))):
        last = {**given, **{name: tensor[i] for name, tensor in rows.items()}}
        first = first or last
        results = step(**last)
        results = (results,) if isinstance(results, Tensor) else results
        by_name = dict(zip(outputs, results, strict=True))
        given.update({name: by_name[result] for name, result in loop.carried.items()})
    return tuple(given[name] for name in loop.carried), first, last


def _value(name: str, dtype: ir.DataType | None, shape: ir.Shape | None) -> ir.Value:
    kind = None if dtype is None else ir.TensorType(dtype)
    return ir.Value(name=name, type=kind, shape=shape)
