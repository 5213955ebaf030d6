"""Fewer bits for a graph's weights: fp16, dynamic int8, blockwise int8 and int4.

Works on a model in memory or on one whose weights are loaded one by one while it is saved: new
weights are computed when they are asked for. Weights in the body of a ``Loop`` are found too.
What a precision costs is measured, not assumed: see ``Deviation``.

- ``fp16``: products with weights in half precision; norms, softmax and sums stay in float32.
- dynamic int8 (denoisers): weights with one scale per output, activations rounded at run time. All
  rows of a batch share one activation scale, so a row's last digits depend on the others.
- blockwise int8 and int4 (language models): weights with one scale for each block of inputs, and
  activations rounded in blocks of their own row, so a row does not depend on the others.
- stored int8: weights alone, with one scale for each block of inputs; plain operators bring them
  back to float32, which every backend does once, when it loads the graph.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionrt.runtime.errors import ExportError, InputError

FORMATS = ("fp32", "fp16", "dynamic-int8", "blockwise", "stored-int8")
CONTRIB = "com.microsoft"
CHUNK_ELEMENTS = 1 << 17
"""Weights are worked on in runs of rows of about so many numbers: they stay in the cache."""
DYNAMIC_LARGEST = 63
"""Largest weight of dynamic int8, 7 bits. Processors without VNNI instructions add two products of
a weight and an activation (up to 255) in 16 bits: with 8 bits these overflow, and a step was a
quarter (trained weights) to several times (random ones) further off; with 7 it is the same."""
INT4_TRIALS = 7
"""Scales tried for each block of 4-bit weights; the one of least squared error is kept."""


@dataclass(frozen=True)
class WeightFormat:
    """How one weight is stored."""

    kind: str = "fp32"
    """One of ``FORMATS``."""
    bits: int = 8
    """blockwise: 4 or 8."""
    block_size: int = 32
    """blockwise, stored-int8: inputs that share a scale; a power of two from 16 to 256. Fewer is
    more exact."""
    accuracy_level: int = 0
    """blockwise: onnxruntime's; 0 computes in float32, 4 rounds activations to int8 as well."""


@dataclass(frozen=True)
class Recipe:
    """A precision by its name: the format of weights, and of those that are more sensitive."""

    name: str
    weights: WeightFormat
    embeddings: WeightFormat = WeightFormat()
    """Format of lookup tables: blockwise (8 bits) or fp16 or fp32."""
    exceptions: tuple[tuple[str, WeightFormat], ...] = ()
    """Regular expressions searched in a weight's name; the first that matches decides."""
    min_elements: int = 1 << 12
    """Smaller weights stay in float32."""

    def format_of(self, name: str) -> WeightFormat:
        """Return the format of the weight of a name."""
        for pattern, format_ in self.exceptions:
            if re.search(pattern, name):
                return format_
        return self.weights


FP32 = WeightFormat()
FP16 = WeightFormat("fp16")
INT8_DYNAMIC = WeightFormat("dynamic-int8")
# Activations rounded to int8 in blocks of their own row (accuracy level 4) add next to nothing to
# the error of 4-bit weights and half as much again to that of 8-bit ones (0.5 % to 0.8 % of a
# product), but a product of 15 tokens takes 7 ms instead of 16, and 8 ms instead of 261.
INT8 = WeightFormat("blockwise", bits=8, block_size=32, accuracy_level=4)
INT4 = WeightFormat("blockwise", bits=4, block_size=32, accuracy_level=4)
INT8_WEIGHTS = WeightFormat("stored-int8", block_size=32)
DENOISER_RECIPES = {
    "fp32": Recipe("fp32", FP32),
    "fp16": Recipe("fp16", FP16),
    "int8": Recipe("int8", INT8_DYNAMIC),
    "int8-weights": Recipe("int8-weights", INT8_WEIGHTS),
}
"""Precisions of a network that is run many times a motion.

int8 rounds activations too, which is fastest but differs from frame to frame: a small model's poses
tremble. int8-weights rounds weights alone and computes in float32: as small, and smooth.
"""
LANGUAGE_MODEL_RECIPES = {
    "fp32": Recipe("fp32", FP32),
    "fp16": Recipe("fp16", FP16, embeddings=FP16),
    "int8": Recipe("int8", INT8, embeddings=INT8),
    "int4": Recipe("int4", INT4, embeddings=INT8, exceptions=((r"^projector\.", INT8),)),
    "int4-mixed": Recipe(
        "int4-mixed",
        INT4,
        embeddings=INT8,
        # The maps whose rounding reaches the output most directly.
        exceptions=((r"^projector\.", INT8), (r"\.(v_proj|o_proj|down_proj)\.", INT8)),
    ),
}
"""Precisions of a text encoder, run once a prompt."""


def recipe(name: str, language_model: bool, **changes: Any) -> Recipe:
    """Return a precision by name, with changes to the format of its weights.

    changes are fields of ``WeightFormat`` such as block_size; None leaves one as it is.
    InputError if there is no such precision or a change does not fit.
    """
    known = LANGUAGE_MODEL_RECIPES if language_model else DENOISER_RECIPES
    if name not in known:
        raise InputError(f"precision {name!r}: none of {', '.join(known)}")
    found = known[name]
    wanted = {key: value for key, value in changes.items() if value is not None}
    if not wanted:
        return found
    if found.weights.kind not in ("blockwise", "dynamic-int8", "stored-int8"):
        raise InputError(f"precision {name} has no {', '.join(wanted)}")
    size = wanted.get("block_size", 32)
    if size not in (16, 32, 64, 128, 256):
        raise InputError(f"block size {size}: none of 16, 32, 64, 128, 256")
    changed = [
        (pattern, replace(format_, **wanted) if format_.kind == "blockwise" else format_)
        for pattern, format_ in found.exceptions
    ]
    return replace(found, weights=replace(found.weights, **wanted), exceptions=tuple(changed))


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


@dataclass(frozen=True)
class Deviation:
    """How far a result is from its float32 reference; one row per prompt."""

    cosine: float
    """Smallest cosine of a row with its reference."""
    relative: float
    """Largest |row - reference| / |reference|."""
    joints_cm: float | None = None
    """Mean distance of joints of the final motion in centimetres, the worst prompt's."""

    def to_dict(self) -> dict[str, float]:
        """Return it as a manifest states it."""
        figures = {"cosine": self.cosine, "relative": self.relative}
        return figures if self.joints_cm is None else {**figures, "joints_cm": self.joints_cm}


def measure_deviation(
    found: NDArray[np.float32],
    reference: NDArray[np.float32],
    joints: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Deviation:
    """Compare rows (B, ...) with their references; joints are (B, T, J, 3) of both, metres."""
    a = found.reshape(len(found), -1).astype(np.float64)
    b = reference.reshape(len(reference), -1).astype(np.float64)
    lengths = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
    relative = np.linalg.norm(a - b, axis=1) / np.maximum(np.linalg.norm(b, axis=1), 1e-30)
    distance = None
    if joints is not None:
        apart = np.linalg.norm(joints[0].astype(np.float64) - joints[1], axis=-1)
        distance = float(apart.reshape(len(apart), -1).mean(1).max() * 100)
    return Deviation(float((np.sum(a * b, 1) / lengths).min()), float(relative.max()), distance)


def check_deviation(graph: str, deviation: Deviation, largest: float | None) -> None:
    """Raise ExportError if the relative deviation is not finite or above largest."""
    found = deviation.relative
    if not np.isfinite(found):
        raise ExportError(f"{graph}: gives values that are not finite; keep it in fp32")
    if largest is not None and found > largest:
        raise ExportError(
            f"{graph}: deviates from fp32 by {found:.4f} (relative), allowed is {largest:.4f}; "
            "take more bits, smaller blocks or a higher --max-deviation"
        )


def quantise_blockwise(
    weight: Tensor, bits: int, block_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Round a matrix (N, K) to blocks of its rows, as the MatMulNBits operator takes them.

    Returns the packed values (N, ceil(K / block_size), block_size · bits / 8) and the scales
    (N, ceil(K / block_size)); a value is (q - 2^(bits-1)) · scale.
    """
    rows, columns = weight.shape
    num_blocks = -(-columns // block_size)
    packed = torch.empty(rows, num_blocks, block_size * bits // 8, dtype=torch.uint8)
    scales = torch.empty(rows, num_blocks, dtype=torch.float32)

    def work(start: int, stop: int) -> None:
        part = weight[start:stop].to(torch.float32)
        part = torch.nn.functional.pad(part, (0, num_blocks * block_size - columns))
        blocks = part.reshape(stop - start, num_blocks, block_size)
        values, scale = _round_int4(blocks) if bits == 4 else _round_int8(blocks)
        if bits == 4:
            values = values[..., 0::2] | (values[..., 1::2] << 4)
        packed[start:stop], scales[start:stop] = values, scale

    _in_chunks(work, rows, columns)
    return packed.numpy(), scales.numpy()


def dequantise_blockwise(
    packed: NDArray[np.uint8], scales: NDArray[np.float32], bits: int, columns: int
) -> NDArray[np.float32]:
    """Undo ``quantise_blockwise`` as far as its rounding allows."""
    values = packed
    if bits == 4:
        values = np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:2], -1)
    full = (values.astype(np.float32) - (1 << (bits - 1))) * scales[..., None]
    return np.ascontiguousarray(full.reshape(len(full), -1)[:, :columns])


def _round_int8(blocks: Tensor) -> tuple[Tensor, Tensor]:
    scale = blocks.abs().amax(-1) / 127
    inverse = torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0.0)
    values = (blocks * inverse.unsqueeze(-1)).round().clamp(-127, 127) + 128
    return values.to(torch.uint8), scale


def _round_int4(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Map each block's extreme to -8 or near it, whichever leaves the least squared error."""
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    safe = torch.where(extreme.abs() > 1e-30, extreme, 1.0)
    best_gain = torch.full_like(extreme, -1.0)
    best_inverse = torch.zeros_like(extreme)
    best_scale = torch.zeros_like(extreme)
    values, product = torch.empty_like(blocks), torch.empty_like(blocks)
    for trial in range(INT4_TRIALS):
        inverse = -(8.0 + 0.25 * (trial - INT4_TRIALS // 2)) / safe
        torch.mul(blocks, inverse, out=values).round_().clamp_(-8, 7)
        weighted = torch.mul(values, blocks, out=product).sum(-1, keepdim=True)
        squares = values.square_().sum(-1, keepdim=True).clamp_(min=1e-30)
        scale = weighted / squares
        gain = weighted * scale
        better = gain > best_gain
        best_gain = torch.where(better, gain, best_gain)
        best_inverse = torch.where(better, inverse, best_inverse)
        best_scale = torch.where(better, scale, best_scale)
    torch.mul(blocks, best_inverse, out=values).round_().clamp_(-8, 7)
    return values.add_(8).to(torch.uint8), best_scale.squeeze(-1)


def _round_rows(weight: Tensor, largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix (N, K) with one scale a row; transposed, (K, N), as MatMulInteger takes it."""
    rows, columns = weight.shape
    values = torch.empty(columns, rows, dtype=torch.int8)
    scales = torch.empty(rows)

    def work(start: int, stop: int) -> None:
        part = weight[start:stop].to(torch.float32)
        scale = part.abs().amax(1) / largest
        inverse = torch.where(scale > 0, 1 / scale.clamp(min=1e-30), 0.0)
        rounded = (part * inverse.unsqueeze(1)).round().clamp(-largest, largest)
        values[:, start:stop] = rounded.to(torch.int8).T
        scales[start:stop] = scale

    _in_chunks(work, rows, columns)
    return values.numpy(), scales.numpy()


def _in_chunks(work: Callable[[int, int], None], rows: int, columns: int) -> None:
    """Call work for runs of rows, one thread a processor and each of its own.

    A chunk is too small to be split further: torch's threads would wait for each other.
    """
    step = max(CHUNK_ELEMENTS // max(columns, 1), 1)
    starts = range(0, rows, step)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(threads, len(starts))) as pool:
            list(pool.map(lambda start: work(start, min(start + step, rows)), starts))
    finally:
        torch.set_num_threads(threads)


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
            return (*_round_rows(weight.load(), DYNAMIC_LARGEST), np.zeros(n, np.int8))

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


__all__ = [
    "DENOISER_RECIPES",
    "LANGUAGE_MODEL_RECIPES",
    "Deviation",
    "Quantised",
    "Recipe",
    "WeightFormat",
    "check_deviation",
    "dequantise_blockwise",
    "fold_transposes",
    "measure_deviation",
    "quantise",
    "quantise_blockwise",
    "recipe",
]
