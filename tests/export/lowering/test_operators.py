"""Each rewriting against the operator that it replaces, both run by onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from motionrt.export.lowering.operators import rewrite, unpack
from motionrt.export.lowering.targets import Target, targets
from motionrt.export.quantise.rounding import quantise_blockwise
from motionrt.runtime.errors import ExportError

UNITY, UNREAL, WEB = (targets()[name] for name in ("unity", "unreal", "web"))
OLD = targets()["ort-1.17"]
Arrays = dict[str, NDArray[Any]]


def parse(text: str, opset: int = 20) -> onnx.ModelProto:
    """Read a model of one graph in ONNX's text form, shapes inferred as exporters leave them."""
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    return onnx.shape_inference.infer_shapes(onnx.parser.parse_model(f"{header} {text}"))


def run(model: onnx.ModelProto, feed: Arrays) -> list[NDArray[Any]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, feed))


def lowered(model: onnx.ModelProto, target: Target) -> onnx.ModelProto:
    taken = ir.from_proto(model)
    rewrite(taken, target)
    result = ir.to_proto(taken)
    onnx.checker.check_model(result)
    assert result.ir_version == target.ir_version
    assert {entry.version for entry in result.opset_import if not entry.domain} == {target.opset}
    return result


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in ir.from_proto(model).graph.all_nodes()}


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) * 3


@pytest.mark.parametrize(
    ("operator", "body"),
    [
        ("Gelu", "g (float[B,6,8] x) => (float[B,6,8] y) { y = Gelu(x) }"),
        ("Gelu", 'g (float[B,6,8] x) => (float[B,6,8] y) { y = Gelu <approximate="tanh"> (x) }'),
        (
            "LayerNormalization",
            """g (float[B,6,8] x) => (float[B,6,8] y) <float[8] w = {1,2,3,4,5,6,7,8},
            float[8] b = {8,7,6,5,4,3,2,1}>
            { y = LayerNormalization <axis=-1, epsilon=0.001> (x, w, b) }""",
        ),
        (
            "LayerNormalization",
            """g (float[B,6,8] x) => (float[B,6,8] y) <float[1] w = {2}>
            { y = LayerNormalization <axis=1> (x, w) }""",
        ),
        (
            "Split",
            """g (float[B,6,8] x) => (float[B,6,4] y, float[B,6,4] z)
            { y, z = Split <axis=2, num_outputs=2> (x) }""",
        ),
        (
            "Split",
            """g (float[B,6,8] x) => (float[B,6,3] y, float[B,6,5] z) <int64[2] s = {3,5}>
            { y, z = Split <axis=2> (x, s) }""",
        ),
        (
            "ReduceMean",
            """g (float[B,6,8] x) => (float[B,6] y) <int64[1] a = {-1}>
            { y = ReduceMean <keepdims=0> (x, a) }""",
        ),
        ("ReduceL2", "g (float[B,6,8] x) => (float y) { y = ReduceL2 <keepdims=0> (x) }"),
        (
            "ReduceMax",
            """g (float[B,6,8] x) => (float[B,1,1] y) <int64[2] a = {1,2}>
            { y = ReduceMax (x, a) }""",
        ),
        (
            "ReduceMin",
            """g (float[B,6,8] x) => (float[B,6,8] y)
            { y = ReduceMin <noop_with_empty_axes=1> (x) }""",
        ),
        (
            "ReduceSum",
            "g (float[B,6,8] x) => (float[B,8] y) <int64[1] a = {1}>"
            "{ y = ReduceSum <keepdims=0> (x, a) }",
        ),
        (
            "Pad",
            """g (float[B,6,8] x) => (float[B,9,8] y) <int64[2] p = {1,2}, float v = {7},
            int64[1] a = {1}> { y = Pad (x, p, v, a) }""",
        ),
        (
            "Pad",
            """g (float[B,6,8] x) => (float[B,9,11] y) <int64[4] p = {1,2,1,2},
            int64[2] a = {-1,1}> { y = Pad <mode="edge"> (x, p, , a) }""",
        ),
        (
            "Pad",  # pads that are computed
            """g (float[B,6,8] x) => (float[B,6,n] y) <int64[1] a = {2}, int64[1] one = {1}>
            { s = Shape <start=1, end=2> (x) p = Concat <axis=0> (one, s) y = Pad (x, p, , a) }""",
        ),
    ],
)
@pytest.mark.parametrize("target", [UNITY, UNREAL])
def test_a_rewritten_operator_gives_the_same(operator: str, body: str, target: Target) -> None:
    model = parse(body)
    feed = {"x": numbers(2, 6, 8)}
    for found, wanted in zip(run(lowered(model, target), feed), run(model, feed), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert operator in operators(model)


def test_rewriting_reaches_the_body_of_a_loop() -> None:
    model = parse(
        """g (float[4] x, int64 n) => (float[4] y) {
          on = Constant <value = bool {1}> ()
          y = Loop <body = inner (int64 i, bool c, float[4] a) => (bool d, float[4] b) {
            d = Identity (c)
            b = Gelu (a)
          }> (n, on, x)
        }"""
    )
    made = lowered(model, OLD)
    assert "Gelu" not in operators(made)
    assert "Erf" in operators(made)
    feed = {"x": numbers(4), "n": np.array(3)}
    np.testing.assert_allclose(run(made, feed)[0], run(model, feed)[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ExportError, match="does not run Loop"):
        lowered(model, UNITY)


def packed_product(bits: int, k: int, n: int = 6, bias: bool = False) -> onnx.ModelProto:
    """A product with weights of few bits, as exports write it."""
    import torch

    weights = torch.from_numpy(numbers(n, k))
    packed, scales = quantise_blockwise(weights, bits, 16)
    inputs = ["x", "w", "s", *(["", "", "b"] if bias else [])]
    node = onnx.helper.make_node(
        *("MatMulNBits", inputs, ["y"]),
        domain="com.microsoft",
        K=k,
        N=n,
        bits=bits,
        block_size=16,
        accuracy_level=0,
    )
    values = [("w", packed), ("s", scales), *([("b", numbers(n))] if bias else [])]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["B", k])],
        [value("y", onnx.TensorProto.FLOAT, ["B", n])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in values],
    )
    imports = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("com.microsoft", 1)]
    return onnx.helper.make_model(graph, ir_version=10, opset_imports=imports)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("k", "bias"), [(32, False), (32, True), (40, False)])
def test_packed_weights_become_plain_operators(bits: int, k: int, bias: bool) -> None:
    model = packed_product(bits, k, bias=bias)
    made = lowered(model, UNITY)
    assert [entry.domain for entry in made.opset_import] == [""]
    feed = {"x": numbers(3, k)}
    np.testing.assert_allclose(run(made, feed)[0], run(model, feed)[0], rtol=1e-4, atol=1e-4)


def test_weights_that_the_target_has_stay_packed() -> None:
    assert operators(lowered(packed_product(4, 32), OLD)) == {"MatMulNBits"}
    assert "MatMulNBits" not in operators(lowered(packed_product(8, 32), OLD))


def test_the_lower_half_of_a_byte_comes_first() -> None:
    values, scales = unpack(np.array([[[0x90]]], np.uint8), np.ones((1, 1), np.float32), 4, 2)
    assert values.ravel().tolist() == [-8, 1]
    assert scales.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [
        (
            UNITY,
            """g (float[4] x) => (uint8[4] y, float s, uint8 z)
            { y, s, z = DynamicQuantizeLinear (x) }""",
            r"g/y: Unity .* does not run DynamicQuantizeLinear; export with --precision int8-weig",
        ),
        (
            UNITY,
            "g (float[4] x) => (float16[4] y) { y = Cast <to=10> (x) }",
            r"g/y: Unity .* does not run float16 numbers",
        ),
        (
            UNREAL,
            """g (float[6,7] x) => (float[6,4] y, float[6,3] z)
            { y, z = Split <axis=1, num_outputs=2> (x) }""",
            "Split cuts 7 into 2 parts, so it has no form in operator set 17",
        ),
        (
            UNREAL,
            """g (float[6,7] x, int64[1] a) => (float[n,m] y) { y = ReduceMean (x, a) }""",
            "ReduceMean computes its axes",
        ),
        (
            UNREAL,
            "g (float[6,6] x) => (float[3,12] y) { y = Col2Im (x, x, x) }",
            "does not run Col2Im",
        ),
        (
            WEB,
            "g (float[4] x) => (float[4] y) { y = com.microsoft.FastGelu (x) }",
            "does not run com.microsoft.FastGelu",
        ),
        (
            replace(UNREAL, opset=12),
            "g (float[4,4] x) => (float[4,4] y) { y = Softmax (x) }",
            "Softmax is another operator in operator set 12",
        ),
    ],
)
def test_what_cannot_be_the_same_is_refused(target: Target, body: str, message: str) -> None:
    header = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>'
    model = ir.from_proto(onnx.parser.parse_model(f"{header} {body}"))
    with pytest.raises(ExportError, match=message) as caught:
        rewrite(model, target)
    assert "\n" not in str(caught.value)


def test_every_target_says_where_its_words_come_from() -> None:
    for target in targets().values():
        assert target.source and target.date and target.runtime
