"""A graph's weights brought into a recipe's formats, in place.

Works on a model in memory or on one whose weights are loaded one by one while it is saved: new
weights are computed when they are asked for. Weights in the body of a ``Loop`` are found too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionrt.export.quantise.recipes import Recipe, WeightFormat
from motionrt.export.quantise.rounding import quantise_blockwise, round_rows
from motionrt.runtime.errors import ExportError

CONTRIB = "com.microsoft"
DYNAMIC_LARGEST = 63
"""Largest weight of dynamic int8, 7 bits. Processors without VNNI instructions add two products of
a weight and an activation (up to 255) in 16 bits: with 8 bits these overflow, and a step was a
quarter (trained weights) to several times (random ones) further off; with 7 it is the same."""


@dataclass
class Quantised:
    """What ``quantise`` did."""

    recipe: Recipe
    changed: dict[str, WeightFormat] = field(default_factory=dict)
    bytes_before: int = 0
    bytes_after: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a manifest states it."""
        counts: dict[str, int] = {}
        for format_ in self.changed.values():
            label = format_.kind
            if label == "blockwise":
                label = f"int{format_.bits}, blocks of {format_.block_size}"
            counts[label] = counts.get(label, 0) + 1
        return {
            "precision": self.recipe.name,
            "weights": counts,
            "bytes_fp32": self.bytes_before,
            "bytes": self.bytes_after,
        }


def quantise(model: ir.Model, wanted: Recipe) -> Quantised:
    """Bring the weights of a model into a recipe's formats, in place.

    A weight is the constant matrix of a product or lookup. ExportError if none was found although
    the recipe asks for fewer bits.
    """
    done = Quantised(wanted)
    if wanted.weights.kind == "fp32" and not wanted.exceptions:
        fold_transposes(model)
        return done
    graphs = [model.graph, *model.graph.subgraphs()]
    for graph in graphs:
        worker = _Worker(graph, wanted, done)
        for node in list(graph):
            worker.visit(node)
        worker.drop_unused()
    if not done.changed:
        raise ExportError(f"{model.graph.name}: no weights that precision {wanted.name} applies to")
    if any(format_.kind == "blockwise" for format_ in done.changed.values()):
        model.opset_imports[CONTRIB] = 1
    fold_transposes(model)
    return done


def fold_transposes(model: ir.Model) -> None:
    """Store transposed what is only used so: onnxruntime would turn it at every load."""
    for node in list(model.graph):
        if node.op_type != "Transpose" or list(node.attributes.get_ints("perm", [1, 0])) != [1, 0]:
            continue
        value = node.inputs[0]
        if value is None or not value.is_initializer() or len(value.uses()) != 1:
            continue
        tensor = value.const_value
        assert tensor is not None
        rows, columns = (int(size) for size in tensor.shape.numpy())
        value.const_value = ir.LazyTensor(
            lambda tensor=tensor: ir.tensor(np.ascontiguousarray(tensor.numpy().T)),  # type: ignore[misc]
            dtype=tensor.dtype,
            shape=ir.Shape((columns, rows)),
            name=value.name,
        )
        value.shape = ir.Shape((columns, rows))
        ir.convenience.replace_all_uses_with(node.outputs[0], value)
        model.graph.remove(node, safe=True)


class _Parts:
    """Arrays that one weight becomes, computed once for all of them and then let go."""

    def __init__(self, compute: Callable[[], tuple[NDArray[Any], ...]], count: int) -> None:
        self._compute = compute
        self._count = count
        self._kept: dict[int, NDArray[Any]] = {}

    def take(self, index: int) -> ir.TensorProtocol:
        if index not in self._kept:
            self._kept = dict(enumerate(self._compute()))
        return ir.tensor(np.ascontiguousarray(self._kept.pop(index)))


@dataclass(frozen=True)
class _Weight:
    """A constant matrix as its user sees it, (K, N) for x @ w."""

    value: ir.Value
    """The initializer."""
    transposed: bool
    """It is stored (N, K)."""

    @property
    def name(self) -> str:
        return self.value.name or ""

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and outputs: K, N."""
        assert self.value.const_value is not None
        first, second = (int(size) for size in self.value.const_value.shape.numpy())
        return (second, first) if self.transposed else (first, second)

    def load(self) -> Tensor:
        """Return it as (N, K)."""
        matrix = _as_torch(self.value)
        return matrix if self.transposed else matrix.T


class _Worker:
    """Quantises the nodes of one graph."""

    def __init__(self, graph: ir.Graph, wanted: Recipe, done: Quantised) -> None:
        self.graph = graph
        self.recipe = wanted
        self.done = done
        self._made: dict[str, list[ir.Value]] = {}
        self._rounded_inputs: dict[ir.Value, tuple[ir.Value, ...]] = {}

    def visit(self, node: ir.Node) -> None:
        if node.op_type in ("MatMul", "Gemm") and node.domain == "":
            weight = self._weight(node)
            if weight is None:
                return
            format_ = self.recipe.format_of(weight.name)
            k, n = weight.shape
            if format_.kind == "fp32" or k * n < self.recipe.min_elements:
                return
            new = {
                "fp16": self._half_product,
                "dynamic-int8": self._dynamic_product,
                "blockwise": self._blockwise_product,
                "stored-int8": self._stored_product,
            }[format_.kind](node, weight, format_)
            self._replace(node, new)
            self._note(weight.value, format_)
        elif node.op_type == "Gather" and self.recipe.embeddings.kind != "fp32":
            self._lookup(node)

    def drop_unused(self) -> None:
        """Remove transposes and initializers that nothing uses any more."""
        for node in reversed(list(self.graph)):
            if node.op_type in ("Transpose", "Identity") and not any(
                o.uses() for o in node.outputs
            ):
                outputs = set(self.graph.outputs)
                if not any(output in outputs for output in node.outputs):
                    self.graph.remove(node, safe=True)
        for name, value in list(self.graph.initializers.items()):
            if not value.uses() and value not in self.graph.outputs:
                del self.graph.initializers[name]

    def _weight(self, node: ir.Node) -> _Weight | None:
        if node.op_type == "Gemm":
            attributes = {name: a.value for name, a in node.attributes.items()}
            plain = attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0
            if not plain or attributes.get("transA", 0):
                return None
        value = node.inputs[1]
        flipped = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
        while value is not None and value.const_value is None:
            producer = value.producer()
            if producer is None or producer.op_type not in ("Transpose", "Identity"):
                return None
            if producer.op_type == "Transpose":
                if list(producer.attributes.get_ints("perm", [1, 0])) != [1, 0]:
                    return None
                flipped = not flipped
            value = producer.inputs[0]
        if value is None or value.const_value is None or not value.is_initializer():
            return None
        if value.const_value.dtype != ir.DataType.FLOAT or len(value.const_value.shape) != 2:
            return None
        return _Weight(value, flipped)

    def _half_product(self, node: ir.Node, weight: _Weight, _: WeightFormat) -> list[ir.Node]:
        k, n = weight.shape
        (half,) = self._constants(
            weight.name,
            [(".fp16", ir.DataType.FLOAT16, (k, n))],
            lambda: (weight.load().T.to(torch.float16).numpy(),),
        )
        left = _node("Cast", [node.inputs[0]], to=ir.DataType.FLOAT16.value)
        product = _node("MatMul", [left.outputs[0], half])
        return self._with_bias(
            node, [left, product, _node("Cast", [product.outputs[0]], to=ir.DataType.FLOAT.value)]
        )

    def _dynamic_product(
        self, node: ir.Node, weight: _Weight, format_: WeightFormat
    ) -> list[ir.Node]:
        k, n = weight.shape

        def compute() -> tuple[NDArray[Any], ...]:
            return (*round_rows(weight.load(), DYNAMIC_LARGEST), np.zeros(n, np.int8))

        values, scales, zeros = self._constants(
            weight.name,
            [
                (".int8", ir.DataType.INT8, (k, n)),
                (".scale", ir.DataType.FLOAT, (n,)),
                (".zero", ir.DataType.INT8, (n,)),
            ],
            compute,
        )
        left = node.inputs[0]
        assert left is not None
        nodes = []
        if left not in self._rounded_inputs:
            rounded = _node("DynamicQuantizeLinear", [left], num_outputs=3)
            nodes.append(rounded)
            self._rounded_inputs[left] = tuple(rounded.outputs)
        x, x_scale, x_zero = self._rounded_inputs[left]
        product = _node("MatMulInteger", [x, values, x_zero, zeros])
        real = _node("Cast", [product.outputs[0]], to=ir.DataType.FLOAT.value)
        scale = _node("Mul", [x_scale, scales])
        out = _node("Mul", [real.outputs[0], scale.outputs[0]])
        return self._with_bias(node, [*nodes, product, real, scale, out])

    def _stored_product(
        self, node: ir.Node, weight: _Weight, format_: WeightFormat
    ) -> list[ir.Node]:
        k, n = weight.shape
        size = format_.block_size if k % format_.block_size == 0 else k
        blocks = k // size

        def compute() -> tuple[NDArray[Any], ...]:
            packed, scales = quantise_blockwise(weight.load(), 8, size)
            values = (packed.astype(np.int16) - 128).astype(np.int8)
            return (
                values.reshape(n, blocks, size).transpose(1, 2, 0),
                scales.reshape(n, blocks, 1).transpose(1, 2, 0),
                np.array([k, n], np.int64),
            )

        values, scales, shape = self._constants(
            weight.name,
            [
                (".int8", ir.DataType.INT8, (blocks, size, n)),
                (".scale", ir.DataType.FLOAT, (blocks, 1, n)),
                (".shape", ir.DataType.INT64, (2,)),
            ],
            compute,
        )
        real = _node("Cast", [values], to=ir.DataType.FLOAT.value)
        scaled = _node("Mul", [real.outputs[0], scales])
        matrix = _node("Reshape", [scaled.outputs[0], shape])
        product = _node("MatMul", [node.inputs[0], matrix.outputs[0]])
        return self._with_bias(node, [real, scaled, matrix, product])

    def _blockwise_product(
        self, node: ir.Node, weight: _Weight, format_: WeightFormat
    ) -> list[ir.Node]:
        k, n = weight.shape
        bits, size = format_.bits, format_.block_size
        blocks = -(-k // size)
        packed, scales = self._constants(
            weight.name,
            [
                (f".int{bits}", ir.DataType.UINT8, (n, blocks, size * bits // 8)),
                (".scale", ir.DataType.FLOAT, (n, blocks)),
            ],
            lambda: quantise_blockwise(weight.load(), bits, size),
        )
        product = _node(
            "MatMulNBits",
            [node.inputs[0], packed, scales],
            domain=CONTRIB,
            K=k,
            N=n,
            bits=bits,
            block_size=size,
            accuracy_level=format_.accuracy_level,
        )
        return self._with_bias(node, [product])

    def _lookup(self, node: ir.Node) -> None:
        """Store a table in fewer bits: rows are looked up first, made float32 afterwards."""
        table, indices = node.inputs[0], node.inputs[1]
        if table is None or table.const_value is None or not table.is_initializer():
            return
        tensor = table.const_value
        if tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) != 2:
            return
        rows, width = (int(size) for size in tensor.shape.numpy())
        if rows * width < self.recipe.min_elements or node.attributes.get_int("axis", 0) != 0:
            return
        name, format_ = table.name or "", self.recipe.embeddings
        if format_.kind == "fp16":
            (half,) = self._constants(
                f"{name}.lookup",  # a product may hold the same table in another layout
                [(".fp16", ir.DataType.FLOAT16, (rows, width))],
                lambda: (_as_torch(table).to(torch.float16).numpy(),),
            )
            found = _node("Gather", [half, indices])
            new = [found, _node("Cast", [found.outputs[0]], to=ir.DataType.FLOAT.value)]
        else:
            size = format_.block_size if width % format_.block_size == 0 else width
            blocks = width // size

            def compute() -> tuple[NDArray[Any], ...]:
                values, scales = quantise_blockwise(_as_torch(table), 8, size)
                return values, scales[..., None]

            values, scales, middle, shape = (
                *self._constants(
                    f"{name}.lookup",
                    [
                        (".int8", ir.DataType.UINT8, (rows, blocks, size)),
                        (".scale", ir.DataType.FLOAT, (rows, blocks, 1)),
                    ],
                    compute,
                ),
                *self._constants(
                    f"{name}.lookup",
                    [(".middle", ir.DataType.FLOAT, ()), (".shape", ir.DataType.INT64, (3,))],
                    lambda: (np.asarray(128, np.float32), np.asarray([0, 0, width], np.int64)),
                ),
            )
            found = _node("Gather", [values, indices])
            scale = _node("Gather", [scales, indices])
            real = _node("Cast", [found.outputs[0]], to=ir.DataType.FLOAT.value)
            centred = _node("Sub", [real.outputs[0], middle])
            scaled = _node("Mul", [centred.outputs[0], scale.outputs[0]])
            # Zeros copy the sizes of batch and tokens: indices are (B, S).
            flat = _node("Reshape", [scaled.outputs[0], shape])
            new = [found, scale, real, centred, scaled, flat]
        self._replace(node, new)
        self._note(table, format_)

    def _with_bias(self, node: ir.Node, nodes: list[ir.Node]) -> list[ir.Node]:
        bias = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None
        if bias is None:
            return nodes
        return [*nodes, _node("Add", [nodes[-1].outputs[0], bias])]

    def _replace(self, node: ir.Node, new: Sequence[ir.Node]) -> None:
        old, result = node.outputs[0], new[-1].outputs[0]
        result.shape, result.type = old.shape, old.type
        name = old.name
        for i, made in enumerate(new):
            for output in made.outputs:
                output.name = (
                    f"{name}.q{i}" if len(made.outputs) == 1 else f"{name}.q{i}.{output.index()}"
                )
        self.graph.insert_before(node, new)
        ir.convenience.replace_all_uses_with(old, result, replace_graph_outputs=True)
        self.graph.remove(node, safe=True)
        result.name = name

    def _constants(
        self,
        name: str,
        parts: Sequence[tuple[str, ir.DataType, tuple[int, ...]]],
        compute: Callable[[], tuple[NDArray[Any], ...]],
    ) -> list[ir.Value]:
        """Return initializers that are computed when they are written; made once for a name."""
        key = name + parts[0][0]
        if key in self._made:
            return self._made[key]
        shared = _Parts(compute, len(parts))
        values = []
        for index, (suffix, dtype, shape) in enumerate(parts):
            tensor = ir.LazyTensor(
                lambda index=index: shared.take(index),  # type: ignore[misc]
                dtype=dtype,
                shape=ir.Shape(shape),
                name=name + suffix,
            )
            value = ir.Value(
                name=name + suffix,
                shape=ir.Shape(shape),
                type=ir.TensorType(dtype),
                const_value=tensor,
            )
            self.graph.register_initializer(value)
            values.append(value)
            self.done.bytes_after += tensor.nbytes
        self._made[key] = values
        return values

    def _note(self, value: ir.Value, format_: WeightFormat) -> None:
        name = value.name or ""
        if name not in self.done.changed:
            assert value.const_value is not None
            self.done.bytes_before += value.const_value.nbytes
            self.done.changed[name] = format_


def _node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    domain: str = "",
    num_outputs: int = 1,
    **attributes: int,
) -> ir.Node:
    made = [ir.AttrInt64(name, value) for name, value in attributes.items()]
    return ir.Node(domain, op_type, inputs, made, num_outputs=num_outputs)


def _as_torch(value: ir.Value) -> Tensor:
    assert value.const_value is not None
    with warnings.catch_warnings():
        # The array may be read-only; nothing writes to it, and a copy could be gigabytes.
        warnings.simplefilter("ignore")
        return torch.from_numpy(value.const_value.numpy())
