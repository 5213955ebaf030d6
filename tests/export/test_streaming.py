from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from text_checkpoints import write_decoder, write_llm2vec

from motionrt.export import text_encoder
from motionrt.export.bundle import save_model
from motionrt.export.parity import check_graph
from motionrt.export.quantise.recipes import recipe
from motionrt.export.quantise.rewrite import quantise
from motionrt.export.streaming import attach_streamed, hollow, weights_bytes
from motionrt.export.text_encoder import (
    CHECK_PROMPTS,
    read_text_encoder,
    text_encoder_graph,
    trace_text_encoder,
)
from motionrt.models.decoder_lm import DecoderLayer
from motionrt.runtime.errors import CheckpointError

pytestmark = pytest.mark.slow


def test_a_hollow_module_takes_no_memory(tmp_path: Path) -> None:
    source = read_text_encoder(write_decoder(tmp_path, "qwen3"))
    module = hollow(source.make_module)
    assert sum(p.untyped_storage().nbytes() for p in module.parameters()) < 4096
    assert sum(p.numel() * 4 for p in module.parameters()) == weights_bytes(source.weights)


def test_streamed_weights_give_what_loaded_ones_give(tmp_path: Path) -> None:
    source = read_text_encoder(write_llm2vec(tmp_path))
    ids = [torch.from_numpy(array) for array in source.tokenizer.encode(CHECK_PROMPTS)]
    module = hollow(source.make_module)
    attach_streamed(module, source.weights, DecoderLayer)
    with torch.no_grad():
        found = module(*ids)
        assert torch.equal(found, source.module(*ids))
        assert torch.equal(found, module(*ids)), "the second run"
    assert sum(p.untyped_storage().nbytes() for p in module.parameters()) < 4096


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_a_large_encoder_is_exported_without_loading_it(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = read_text_encoder(write_decoder(tmp_path / "q", "qwen3"))
    expected = [small.module(**check).detach() for check in text_encoder_graph(small).checks]

    monkeypatch.setattr(text_encoder, "LARGE_BYTES", 0)
    source = read_text_encoder(tmp_path / "q")
    graph = text_encoder_graph(source)
    model = trace_text_encoder(source, graph)
    if precision != "fp32":
        quantise(model, recipe(precision, language_model=True))
    files = save_model(model, tmp_path / "text_encoder.onnx")
    assert "module" not in source.__dict__, "the whole model was loaded"
    np.testing.assert_allclose(graph.module(**graph.checks[0]), expected[0], rtol=0, atol=0)
    if precision == "fp32":
        check_graph(tmp_path / "text_encoder.onnx", graph.spec, graph.module, graph.checks)
    else:
        assert (tmp_path / files[0]).stat().st_size < weights_bytes(source.weights) / 4


def test_weights_that_are_not_finite_are_refused_while_streaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_decoder(tmp_path / "q", "qwen3")
    state = load_file(folder / "model.safetensors")
    state["model.layers.1.mlp.up_proj.weight"][0, 0] = float("inf")
    save_file(state, folder / "model.safetensors")
    monkeypatch.setattr(text_encoder, "LARGE_BYTES", 0)
    model = trace_text_encoder(read_text_encoder(folder))
    with pytest.raises(CheckpointError, match=r"up_proj\.weight holds values that are not finite"):
        save_model(model, tmp_path / "text_encoder.onnx")
