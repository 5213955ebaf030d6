from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from text_checkpoints import write_decoder
from torch import Tensor, nn

from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.quantise.deviation import measure_deviation
from motionrt.export.quantise.recipes import DENOISER_RECIPES, LANGUAGE_MODEL_RECIPES, recipe
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.quantise.rounding import dequantise_blockwise, quantise_blockwise
from motionrt.export.sampling import LoopSpec, compile_loop
from motionrt.export.text_encoder import CHECK_PROMPTS, read_text_encoder, trace_text_encoder
from motionrt.export.to_onnx import to_onnx

pytestmark = pytest.mark.slow


class Step(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(96, 128), nn.Linear(128, 96)

    def forward(self, x: Tensor, amount: Tensor) -> Tensor:
        moved: Tensor = self.second(torch.relu(self.first(x)))
        return x + amount * moved


def _step_graph() -> Graph:
    inputs = (TensorSpec("x", ("batch", 96)), TensorSpec("amount", ()))
    spec = GraphSpec("step", inputs, (TensorSpec("x_next", ("batch", 96)),), atol=1e-5)
    check = {"x": torch.randn(3, 96), "amount": torch.tensor(0.1)}
    return Graph(spec, Step().eval(), (check,))


def _run(model: ir.Model, **feed: NDArray[Any]) -> NDArray[np.float32]:
    data = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


@pytest.mark.parametrize("name", [name for name in LANGUAGE_MODEL_RECIPES if name != "fp32"])
def test_products_equal_those_with_the_rounded_weights(name: str) -> None:
    exact = None if name == "fp16" else 0
    chosen = recipe(name, language_model=True, accuracy_level=exact)
    graph = _step_graph()
    model = to_onnx(graph)
    quantise(model, chosen)
    rounded = Step().eval()
    for linear in (rounded.first, rounded.second):
        weight = linear.weight.detach()
        if name == "fp16":
            value = weight.half().float()
        else:
            bits = chosen.weights.bits
            value = torch.from_numpy(
                dequantise_blockwise(*quantise_blockwise(weight, bits, 32), bits, weight.shape[1])
            )
        linear.weight.data = value
    check = graph.checks[0]
    with torch.no_grad():
        wanted = rounded(**check).numpy()
    found = _run(model, **{k: v.numpy() for k, v in check.items()})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-3 if name == "fp16" else 2e-5)


def test_dynamic_int8_is_near_and_smaller() -> None:
    graph = _step_graph()
    check = {k: v.numpy() for k, v in graph.checks[0].items()}
    reference = _run(to_onnx(graph), **check)
    model = to_onnx(graph)
    done = quantise(model, DENOISER_RECIPES["int8"])
    assert measure_deviation(_run(model, **check), reference).relative < 0.01
    assert done.bytes_after < done.bytes_before / 3.5
    assert done.to_dict()["weights"] == {"dynamic-int8": 2}
    weights = [
        value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if name.endswith(".int8") and value.const_value is not None
    ]
    assert len(weights) == 2
    for weight in weights:
        # Two products of a weight and an activation in 16 bits: processors without VNNI.
        assert 2 * 255 * np.abs(weight.astype(int)).max() < 2**15


@pytest.mark.parametrize(("block_size", "used"), [(32, 32), (64, 64), (256, 128)])
def test_stored_int8_computes_with_the_rounded_weights_in_float32(
    block_size: int, used: int
) -> None:
    graph = _step_graph()
    model = to_onnx(graph)
    done = quantise(model, recipe("int8-weights", language_model=False, block_size=block_size))
    rounded = Step().eval()
    for linear in (rounded.first, rounded.second):
        weight = linear.weight.detach()
        size = used if weight.shape[1] % used == 0 else weight.shape[1]
        packed = quantise_blockwise(weight, 8, size)
        linear.weight.data = torch.from_numpy(dequantise_blockwise(*packed, 8, weight.shape[1]))
    check = graph.checks[0]
    with torch.no_grad():
        wanted = rounded(**check).numpy()
    found = _run(model, **{k: v.numpy() for k, v in check.items()})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert done.bytes_after < done.bytes_before / 3.3
    assert {node.domain for node in model.graph} == {""}


@pytest.mark.parametrize("name", ["int8", "int8-weights"])
def test_weights_in_a_loop_body_are_quantised(name: str) -> None:
    graph = _step_graph()
    spec = LoopSpec("sampler", {"x": "x_next"}, {"amount": "amounts"})
    check = {"x": graph.checks[0]["x"].numpy(), "amounts": np.full(4, 0.1, np.float32)}
    reference = _run(compile_loop(to_onnx(graph), spec), **check)
    model = compile_loop(to_onnx(graph), spec)
    done = quantise(model, DENOISER_RECIPES[name])
    assert len(done.changed) == 2
    assert measure_deviation(_run(model, **check), reference).relative < 0.02


@pytest.mark.parametrize(
    ("name", "relative"), [("fp16", 2e-3), ("int8", 0.03), ("int4", 0.4), ("int4-mixed", 0.3)]
)
def test_text_encoder_in_each_precision(name: str, relative: float, tmp_path: Path) -> None:
    source = read_text_encoder(write_decoder(tmp_path, "qwen3"))
    names = ("input_ids", "attention_mask", "pool_mask")
    feed = dict(zip(names, source.tokenizer.encode(CHECK_PROMPTS), strict=True))
    reference = _run(trace_text_encoder(source), **feed)
    model = trace_text_encoder(source)
    done = quantise(model, recipe(name, language_model=True))
    deviation = measure_deviation(_run(model, **feed), reference)
    assert deviation.relative < relative
    assert done.bytes_after < done.bytes_before * 0.6
    assert "backbone.embed_tokens.weight" in done.changed
    assert "backbone.layers.0.self_attn.q_proj.weight" in done.changed


def test_blockwise_rows_do_not_depend_on_each_other(tmp_path: Path) -> None:
    source = read_text_encoder(write_decoder(tmp_path, "qwen3"))
    model = trace_text_encoder(source)
    quantise(model, recipe("int4", language_model=True, accuracy_level=0))
    names = ("input_ids", "attention_mask", "pool_mask")

    def run(texts: list[str]) -> NDArray[np.float32]:
        return _run(model, **dict(zip(names, source.tokenizer.encode(texts), strict=True)))

    texts = list(CHECK_PROMPTS[:3])
    np.testing.assert_allclose(run(texts)[2:], run(texts[2:]), rtol=0, atol=1e-5)
