"""Nodes rewritten in the operators of an older operator set, and what a target runs of a model.

A graph keeps its numbers: every rewriting below says the same in other words. What cannot be said
is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from motionrt.export.lowering.targets import Target
from motionrt.runtime.errors import ExportError

CONTRIB = "com.microsoft"
_WIDENED = frozenset(
    {
        *("Cast", "CastLike", "Constant", "ConstantOfShape", "Equal", "Flatten", "Identity", "If"),
        *("IsInf", "IsNaN", "Loop", "Pad", "Reshape", "Scan", "Shape", "Size", "Split", "Squeeze"),
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "Where"),
        *("ReduceSum", "Transpose", "Unsqueeze", "GreaterOrEqual", "LessOrEqual", "PRelu"),
        *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "QuantizeLinear"),
        *("DequantizeLinear", "ScatterElements", "ScatterND"),
    }
)
"""Operators whose later versions take more element types or have new inputs and attributes, which
are looked for; on what the older one takes they are the same."""
_REDUCTIONS = frozenset(
    f"Reduce{name}"
    for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
"""Reductions whose axes are an attribute before operator set 18; ReduceSum's are an input."""
_ADVICE = {
    "DynamicQuantizeLinear": "export with --precision int8-weights",
    "MatMulInteger": "export with --precision int8-weights",
    "FLOAT16": "export with --precision int8-weights or fp32",
}


def rewrite(model: ir.Model, target: Target) -> bool:
    """Bring a model into a target's operator set, in place, bodies of loops too.

    Returns whether a product of ``MatMulNBits`` became one of plain operators, whose activations
    are not rounded. ExportError if the target cannot run the model, or it cannot be said in its
    operators.
    """
    written = _Writer(target)
    for graph in (model.graph, *model.graph.subgraphs()):
        written.visit(graph)
    _check(model, target)
    model.opset_imports[""] = target.opset
    if not any(node.domain == CONTRIB for node in model.graph.all_nodes()):
        model.opset_imports.pop(CONTRIB, None)
    model.ir_version = target.ir_version
    return written.unpacked


def kept_as_contrib(node: ir.Node, target: Target) -> bool:
    """Return whether a ``MatMulNBits`` stays one."""
    return node.attributes.get_int("bits", 4) in target.contrib.get("MatMulNBits", ())


def unpack(
    packed: NDArray[np.uint8], scales: NDArray[np.float32], bits: int, block_size: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights of a ``MatMulNBits`` as int8 (blocks, block_size, N), scales (blocks, 1, N).

    packed is (N, blocks, block_size * bits / 8), of 4 bits the lower half first, and means zero at
    half its range. Source: onnxruntime's ContribOperators.md.
    """
    n, blocks = packed.shape[:2]
    values = packed
    if bits == 4:
        values = np.stack((packed & 15, packed >> 4), axis=-1).reshape(n, blocks, block_size)
    signed = (values.astype(np.int16) - (1 << (bits - 1))).astype(np.int8)
    scales = scales.reshape(n, blocks, 1)
    return (
        np.ascontiguousarray(signed.transpose(1, 2, 0)),
        np.ascontiguousarray(scales.transpose(1, 2, 0)),
    )


@dataclass
class _Writer:
    """Rewrites the nodes of graphs."""

    target: Target
    unpacked: bool = False

    def visit(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._base = ""
        self._count = 0
        for node in list(graph):
            rule = self._rule(node)
            if rule is not None:
                self._base, self._count = node.outputs[0].name or "", 0
                rule(node)
        for name, value in list(graph.initializers.items()):
            if not value.uses() and value not in graph.outputs:
                del graph.initializers[name]

    def _rule(self, node: ir.Node) -> Callable[[ir.Node], None] | None:
        opset = self.target.opset
        if node.domain == CONTRIB:
            unpacks = node.op_type == "MatMulNBits" and not kept_as_contrib(node, self.target)
            return self._matmul_n_bits if unpacks else None
        if node.domain:
            return None
        if node.op_type == "Gelu" and opset < 20:
            return self._gelu
        if node.op_type == "LayerNormalization" and opset < 17:
            return self._layer_normalization
        if opset < 18:
            if node.op_type in _REDUCTIONS:
                return self._reduction
            return {"Split": self._split, "Pad": self._pad}.get(node.op_type)
        return None

    def _refuse(self, node: ir.Node, why: str) -> ExportError:
        place = f"{self.graph.name}/{node.outputs[0].name}"
        return ExportError(f"{place}: {node.op_type} {why}, so it has no form in {self._target()}")

    def _target(self) -> str:
        return f"operator set {self.target.opset} (target {self.target.name})"

    def _constant(self, array: NDArray[Any]) -> ir.Value:
        tensor = ir.tensor(array)
        return self._initializer(ir.DataType(tensor.dtype), array.shape, tensor)

    def _scalar(self, value: float) -> ir.Value:
        return self._constant(np.asarray(value, np.float32))

    def _initializer(
        self, dtype: ir.DataType, shape: Sequence[int], tensor: ir.TensorProtocol
    ) -> ir.Value:
        name = f"{self._base}.c{self._count}"
        self._count += 1
        tensor.name = name
        value = ir.Value(
            name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def _replace(self, node: ir.Node, new: Sequence[ir.Node]) -> None:
        """Put nodes in the place of one, the last of which gives its result."""
        old, result = node.outputs[0], new[-1].outputs[0]
        name = old.name
        for i, made in enumerate(new):
            for output in made.outputs:
                output.name = f"{name}.l{i}"
        result.shape, result.type = old.shape, old.type
        self.graph.insert_before(node, new)
        ir.convenience.replace_all_uses_with(old, result, replace_graph_outputs=True)
        self.graph.remove(node, safe=True)
        result.name = name

    def _gelu(self, node: ir.Node) -> None:
        """x/2 (1 + erf(x/√2)), or with tanh(√(2/π) (x + 0.044715 x³)). Source: ONNX's Gelu-20."""
        x = _input(node, 0)
        if node.attributes.get_string("approximate", "none") == "tanh":
            square = _node("Mul", x, x)
            cube = _node("Mul", square, x)
            small = _node("Mul", cube, self._scalar(0.044715))
            sum_ = _node("Add", x, small)
            inner = _node("Mul", sum_, self._scalar(np.sqrt(2 / np.pi)))
            nodes = [square, cube, small, sum_, inner, _node("Tanh", inner)]
        else:
            scaled = _node("Div", x, self._scalar(np.sqrt(2)))
            nodes = [scaled, _node("Erf", scaled)]
        share = _node("Add", nodes[-1], self._scalar(1))
        whole = _node("Mul", x, share)
        self._replace(node, [*nodes, share, whole, _node("Mul", whole, self._scalar(0.5))])

    def _layer_normalization(self, node: ir.Node) -> None:
        x = _input(node, 0)
        if len(node.outputs) > 1 and any(output.uses() for output in node.outputs[1:]):
            raise self._refuse(node, "also gives its mean")
        axis = node.attributes.get_int("axis", -1)
        if axis >= 0:
            if x.shape is None:
                raise self._refuse(node, "is of an input of unknown rank")
            axis -= len(x.shape)
        axes = ir.AttrInt64s("axes", list(range(axis, 0)))
        mean = _node("ReduceMean", x, attributes=[axes])
        apart = _node("Sub", x, mean)
        square = _node("Mul", apart, apart)
        variance = _node("ReduceMean", square, attributes=[axes])
        epsilon = self._scalar(node.attributes.get_float("epsilon", 1e-5))
        safe = _node("Add", variance, epsilon)
        deviation = _node("Sqrt", safe)
        normal = _node("Div", apart, deviation)
        nodes = [mean, apart, square, variance, safe, deviation, normal]
        nodes.append(_node("Mul", normal, _input(node, 1)))
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            nodes.append(_node("Add", nodes[-1], node.inputs[2]))
        self._replace(node, nodes)

    def _reduction(self, node: ir.Node) -> None:
        axes = node.inputs[1] if len(node.inputs) > 1 else None
        values = None if axes is None else _known(axes)
        if axes is not None and values is None:
            raise self._refuse(node, "computes its axes")
        nothing = values is None or not len(values)
        if nothing and node.attributes.get_int("noop_with_empty_axes"):
            self._replace(node, [_node("Identity", _input(node, 0))])
            return
        node.attributes.pop("noop_with_empty_axes", None)
        if values is not None and len(values):
            node.attributes["axes"] = ir.AttrInt64s("axes", [int(axis) for axis in values])
        if len(node.inputs) > 1:
            node.resize_inputs(1)

    def _split(self, node: ir.Node) -> None:
        count = node.attributes.pop("num_outputs", None)
        if count is None or (len(node.inputs) > 1 and node.inputs[1] is not None):
            return
        x = _input(node, 0)
        axis = node.attributes.get_int("axis", 0)
        size = None if x.shape is None else x.shape[axis]
        if not isinstance(size, int) or size % len(node.outputs):
            raise self._refuse(node, f"cuts {size} into {len(node.outputs)} parts")

    def _pad(self, node: ir.Node) -> None:
        axes = node.inputs[3] if len(node.inputs) > 3 else None
        if axes is None:
            return
        x, pads, places = _input(node, 0), _input(node, 1), _known(axes)
        if places is None or x.shape is None:
            raise self._refuse(node, "computes its axes" if places is None else "has no rank")
        rank, count = len(x.shape), len(places)
        # Axes that are not named take the zero behind the last of the pads.
        wanted = np.full(2 * rank, 2 * count, np.int64)
        for i, axis in enumerate(places):
            wanted[int(axis) % rank] = i
            wanted[rank + int(axis) % rank] = count + i
        zero = self._constant(np.zeros(1, np.int64))
        longer = _node("Concat", pads, zero, attributes=[ir.AttrInt64("axis", 0)])
        whole = _node("Gather", longer, self._constant(wanted))
        inputs = [x, whole.outputs[0], *node.inputs[2:3]]
        padded = ir.Node("", "Pad", inputs, list(node.attributes.values()))
        self._replace(node, [longer, whole, padded])

    def _matmul_n_bits(self, node: ir.Node) -> None:
        given = [i for i, value in enumerate(node.inputs) if value is not None]
        k, n = node.attributes["K"].as_int(), node.attributes["N"].as_int()
        bits, size = node.attributes.get_int("bits", 4), node.attributes["block_size"].as_int()
        if bits not in (4, 8) or not set(given) <= {0, 1, 2, 5}:
            raise self._refuse(node, "has zero points or an unusual number of bits")
        blocks = -(-k // size)
        packed, scales = (_tensor(_input(node, i)) for i in (1, 2))
        if packed is None or scales is None:
            raise self._refuse(node, "computes its weights")
        parts = _Parts(lambda: unpack(packed.numpy(), scales.numpy(), bits, size))
        shapes = (ir.DataType.INT8, (blocks, size, n)), (ir.DataType.FLOAT, (blocks, 1, n))
        values, factors = (
            self._initializer(
                dtype,
                shape,
                ir.LazyTensor(lambda i=i: parts.take(i), dtype=dtype, shape=ir.Shape(shape)),  # type: ignore[misc]
            )
            for i, (dtype, shape) in enumerate(shapes)
        )
        real = _node("Cast", values, attributes=[ir.AttrInt64("to", ir.DataType.FLOAT.value)])
        scaled = _node("Mul", real, factors)
        flat = _node("Reshape", scaled, self._constant(np.array([blocks * size, n], np.int64)))
        nodes = [real, scaled, flat]
        if blocks * size != k:
            bounds = [self._constant(np.array([bound], np.int64)) for bound in (0, k, 0)]
            nodes.append(_node("Slice", flat, *bounds))
        nodes.append(_node("MatMul", _input(node, 0), nodes[-1]))
        if len(node.inputs) > 5 and node.inputs[5] is not None:
            nodes.append(_node("Add", nodes[-1], node.inputs[5]))
        self.unpacked = True
        self._replace(node, nodes)


class _Parts:
    """Two arrays that are computed together, when the first is asked for, and let go one by one."""

    def __init__(self, compute: Callable[[], tuple[NDArray[Any], ...]]) -> None:
        self._compute = compute
        self._kept: dict[int, NDArray[Any]] = {}

    def take(self, index: int) -> ir.TensorProtocol:
        if index not in self._kept:
            self._kept = dict(enumerate(self._compute()))
        return ir.tensor(self._kept.pop(index))


def _check(model: ir.Model, target: Target) -> None:
    """Raise ExportError for what the target does not run, or means otherwise."""
    source = model.opset_imports.get("", target.opset)
    for node in model.graph.all_nodes():
        where = f"{model.graph.name}/{node.outputs[0].name if node.outputs else node.name}"
        if node.domain:
            if node.domain != CONTRIB or node.op_type not in target.contrib:
                raise _not_run(where, target, f"{node.domain}.{node.op_type}", node.op_type)
            continue
        lacking = target.operators is not None and node.op_type not in target.operators
        if lacking or (node.op_type in ("Loop", "Scan") and not target.loops):
            raise _not_run(where, target, node.op_type, node.op_type)
        old = _schema(node.op_type, source)
        new = _schema(node.op_type, target.opset)
        if new is None and target.operators is not None:
            continue  # known to it by name, whatever the operator set
        if new is None:
            raise _not_run(where, target, node.op_type, node.op_type)
        changed = old is not None and old.since_version != new.since_version
        given = len(node.inputs)
        while given and node.inputs[given - 1] is None:
            given -= 1
        unknown = set(node.attributes) - set(new.attributes)
        if (changed and node.op_type not in _WIDENED) or given > new.max_input or unknown:
            raise ExportError(
                f"{where}: {node.op_type} is another operator in operator set {target.opset}, "
                f"which target {target.name} needs; no rewriting is known"
            )
        if node.op_type == "Cast":
            _check_type(ir.DataType(node.attributes["to"].as_int()), where, target)
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if value.const_value is not None:
                _check_type(value.const_value.dtype, f"{graph.name}/{value.name}", target)


def _not_run(where: str, target: Target, what: str, key: str) -> ExportError:
    advice = _ADVICE.get(key, "this model cannot be had for it")
    return ExportError(f"{where}: {target.runtime} does not run {what}; {advice}")


_TYPES = {"FLOAT": "float32", "DOUBLE": "float64"}


def _check_type(dtype: ir.DataType, where: str, target: Target) -> None:
    if _TYPES.get(dtype.name, dtype.name.lower()) not in target.types:
        raise _not_run(where, target, f"{dtype.name.lower()} numbers", dtype.name)


def _schema(op_type: str, opset: int) -> Any:
    try:
        return onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None


def _input(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None
    return value


def _tensor(value: ir.Value) -> ir.TensorProtocol | None:
    """Return what a value holds, if it is known: an initializer or a constant."""
    return ir.convenience.get_const_tensor(value)


def _known(value: ir.Value) -> NDArray[Any] | None:
    tensor = _tensor(value)
    return None if tensor is None else np.atleast_1d(tensor.numpy())


def _node(op_type: str, *inputs: ir.Value | ir.Node, attributes: Iterable[ir.Attr] = ()) -> ir.Node:
    values = [given.outputs[0] if isinstance(given, ir.Node) else given for given in inputs]
    return ir.Node("", op_type, values, list(attributes))
