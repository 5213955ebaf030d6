import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx_encoders import LONGEST, WIDTH, SentenceGraph
from text_checkpoints import write_decoder

from motionrt.export.bundle import BundleWriter, save_model
from motionrt.export.optimum_layout import write_optimum_layout
from motionrt.export.quantise.recipes import recipe
from motionrt.export.running import run_graph
from motionrt.export.text_encoder import (
    TextEncoderOptions,
    TextEncoderSource,
    read_text_encoder,
    trace_text_encoder,
)
from motionrt.export.text_encoder_graph import add_text_encoder
from motionrt.runtime.errors import CheckpointError, ExportError, InputError, ParityError

TEXTS = ["Run.", "A person walks forward.", "Jump high!"]
NAMES = ("input_ids", "attention_mask", "pool_mask")


def _run(source: TextEncoderSource, folder: Path) -> NDArray[np.float32]:
    save_model(trace_text_encoder(source), folder / "text_encoder.onnx")
    feed = dict(zip(NAMES, source.tokenizer.encode(TEXTS), strict=True))
    return np.asarray(run_graph(folder / "text_encoder.onnx", feed)["text_features"])


def _writer(folder: Path) -> BundleWriter:
    folder.mkdir()
    return BundleWriter(folder, lambda stage: None)


def _onnx_folder(tmp_path: Path) -> tuple[Path, Path]:
    """Write a Qwen3, and the same in optimum's layout."""
    model = write_decoder(tmp_path / "qwen", "qwen3", architectures=["Qwen3Model"])
    write_optimum_layout(read_text_encoder(model), tmp_path / "onnx")
    return model, tmp_path / "onnx"


@pytest.mark.parametrize("normalise", [True, False])
def test_all_inputs_are_made_of_ids_and_mask(normalise: bool, tmp_path: Path) -> None:
    graph = SentenceGraph(normalise)
    source = read_text_encoder(graph.write(tmp_path / "encoder"))
    assert (source.options.pooling, source.options.normalise) == ("mean", normalise)
    assert source.rules.max_tokens == LONGEST and source.text_width == WIDTH
    ids, mask, _ = source.tokenizer.encode(TEXTS)
    assert not mask.all() and source.tokenizer.token_id("[CLS]") == ids[0, 0]
    found = _run(source, tmp_path)
    np.testing.assert_allclose(found, graph.sentence(ids, mask), rtol=0, atol=1e-5)
    model = onnx.load(str(tmp_path / "text_encoder.onnx"), load_external_data=False)
    assert [value.name for value in model.graph.input] == list(NAMES)
    assert [value.name for value in model.graph.output] == ["text_features"]
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 20}


def test_options_go_before_what_the_graph_pools(tmp_path: Path) -> None:
    graph = SentenceGraph()
    folder = graph.write(tmp_path / "encoder")
    options = TextEncoderOptions(
        pooling="last_token", normalise=False, instruction="Say it.", max_tokens=12
    )
    source = read_text_encoder(folder, options=options)
    assert source.rules.prefix == "Say it. " and source.rules.max_tokens == 12
    ids, mask, _ = source.tokenizer.encode(TEXTS)
    last = graph.hidden(ids, mask)[np.arange(len(TEXTS)), mask.sum(1) - 1]
    np.testing.assert_allclose(_run(source, tmp_path), last, rtol=0, atol=1e-5)


def test_settings_of_sentence_transformers_are_taken(tmp_path: Path) -> None:
    folder = SentenceGraph().write(tmp_path / "encoder")
    pooling = {"pooling_mode_lasttoken": True, "include_prompt": False}
    prompts = {"prompts": {"query": "Motion: "}, "default_prompt_name": "query"}
    modules = [{"type": f"sentence_transformers.models.{n}"} for n in ("Transformer", "Pooling")]
    (folder / "1_Pooling").mkdir()
    for name, content in (
        ("1_Pooling/config.json", pooling),
        ("config_sentence_transformers.json", prompts),
        ("modules.json", modules),
        ("sentence_bert_config.json", {"max_seq_length": 20}),
    ):
        (folder / name).write_text(json.dumps(content))
    source = read_text_encoder(folder)
    assert (source.options.pooling, source.options.normalise) == ("last_token", False)
    assert source.rules.prefix == "Motion: " and source.rules.pool == "text"
    assert source.rules.max_tokens == 20
    dense = [*modules, {"type": "sentence_transformers.models.Dense"}]
    (folder / "modules.json").write_text(json.dumps(dense))
    with pytest.raises(CheckpointError, match="'Dense' behind the encoder is not read"):
        read_text_encoder(folder)


def test_a_graph_lies_in_a_folder_of_its_own_or_is_named(tmp_path: Path) -> None:
    folder = SentenceGraph().write(tmp_path / "encoder")
    (folder / "onnx").mkdir()
    for name in ("model.onnx", "model.onnx_data"):
        (folder / name).rename(folder / "onnx" / name)
    inside = read_text_encoder(folder)
    named = read_text_encoder(folder / "onnx" / "model.onnx")
    assert inside.fingerprint == named.fingerprint and inside.name == named.name == "encoder"
    (folder / "onnx" / "model.onnx").rename(folder / "onnx" / "model_O2.onnx")
    shutil.copy(folder / "onnx" / "model_O2.onnx", folder / "onnx" / "model_O1.onnx")
    with pytest.raises(CheckpointError, match=r"holds model_O1.onnx, model_O2.onnx; name the"):
        read_text_encoder(folder)


def test_weights_in_halves_stay_so(tmp_path: Path) -> None:
    graph = SentenceGraph(half=True)
    source = read_text_encoder(graph.write(tmp_path / "encoder"))
    writer = _writer(tmp_path / "bundle")
    added = add_text_encoder(writer, source)
    ids, mask, _ = source.tokenizer.encode(TEXTS)
    found = run_graph(
        tmp_path / "bundle" / "text_encoder.onnx",
        dict(zip(NAMES, source.tokenizer.encode(TEXTS), strict=True)),
    )["text_features"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, graph.sentence(ids, mask), rtol=0, atol=5e-3)
    assert added.manifest["reference"] == {
        "library": "",
        "reason": "no safetensors beside the graph",
    }
    with pytest.raises(ExportError, match="in fp16, which int8 would round again"):
        add_text_encoder(writer, source, recipe("int8", language_model=True))


def _edit(folder: Path, change: Any) -> None:
    model = onnx.load(str(folder / "model.onnx"), load_external_data=False)
    change(model.graph)
    onnx.save_model(model, str(folder / "model.onnx"))


def _call(old: str, new: str) -> Any:
    def change(graph: Any) -> None:
        for value in (*graph.input, *graph.output):
            if value.name == old:
                value.name = new

    return change


def _fix(graph: Any) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 16


def _lead_away(graph: Any) -> None:
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_call("token_embeddings", "logits"), "and no last_hidden_state or token_embeddings"),
        (_call("attention_mask", "mask"), "and no attention_mask"),
        (_call("token_type_ids", "use_cache_branch"), "takes 'use_cache_branch', which no text"),
        (_fix, "export it with dynamic axes"),
        (_lead_away, "its weights '../secret' are no file beside it"),
    ],
)
def test_graphs_of_another_kind_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    folder = SentenceGraph().write(tmp_path / "encoder")
    _edit(folder, change)
    with pytest.raises(CheckpointError, match=r"^[^\n]+$") as caught:
        read_text_encoder(folder)
    assert message in str(caught.value)


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    folder = SentenceGraph().write(tmp_path / "encoder")
    data = folder / "model.onnx_data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-4])
    with pytest.raises(CheckpointError, match=r"model\.onnx_data: too short"):
        read_text_encoder(folder)
    data.unlink()
    with pytest.raises(CheckpointError, match=r"model\.onnx_data: no such file"):
        read_text_encoder(folder)
    data.write_bytes(whole)
    graph = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model\.onnx: no ONNX graph \(it has no operators"):
        read_text_encoder(folder)
    for damage in (b"\xff" * 64, graph[:200]):
        (folder / "model.onnx").write_bytes(damage)
        with pytest.raises(CheckpointError, match=r"model\.onnx[^\n]+$"):
            read_text_encoder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json beside it"):
        read_text_encoder(folder)
    with pytest.raises(InputError, match="no other layer's"):
        read_text_encoder(folder, options=TextEncoderOptions(output_layer=1))


def test_a_pooling_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = SentenceGraph().write(tmp_path / "encoder")

    def square(graph: Any) -> None:
        graph.node[-1].op_type = "Exp"

    _edit(folder, square)
    with pytest.raises(CheckpointError, match="is no pooling of token_embeddings that is known"):
        read_text_encoder(folder)


@pytest.mark.slow
def test_it_is_compared_with_transformers(tmp_path: Path) -> None:
    model, folder = _onnx_folder(tmp_path)
    torch.manual_seed(0)
    torch.save({"weight": torch.randn(10, 64) / 8, "bias": torch.zeros(10)}, tmp_path / "p.pt")
    source = read_text_encoder(folder, tmp_path / "p.pt", reference=model)
    assert source.kind == "qwen3" and source.text_width == 10
    added = add_text_encoder(_writer(tmp_path / "bundle"), source)
    told = added.manifest["reference"]
    assert told["library"].startswith("transformers ")
    assert told["hidden_states"] < 1e-4 and told["relative"] < 1e-5
    exact = read_text_encoder(model, tmp_path / "p.pt")
    ids = (torch.from_numpy(array) for array in exact.tokenizer.encode(TEXTS))
    with torch.no_grad():
        wanted = exact.module(*ids).numpy()
    np.testing.assert_allclose(_run(source, tmp_path), wanted, rtol=0, atol=1e-5)

    other = write_decoder(tmp_path / "other", "qwen3", intermediate_size=64)
    with pytest.raises(ParityError, match=r"are the weights in .*other the graph's"):
        add_text_encoder(
            _writer(tmp_path / "b2"), read_text_encoder(folder, tmp_path / "p.pt", reference=other)
        )
    with pytest.raises(InputError, match="only a text encoder that is an ONNX graph"):
        read_text_encoder(model, reference=model)
    with pytest.raises(InputError, match="in optimum's layout already"):
        write_optimum_layout(source, tmp_path / "again")


@pytest.mark.slow
def test_fewer_bits_go_by_the_layers_of_a_graph_in_fp32(tmp_path: Path) -> None:
    _, folder = _onnx_folder(tmp_path)
    source = read_text_encoder(folder)
    writer = _writer(tmp_path / "bundle")
    added = add_text_encoder(writer, source, recipe("int4-mixed", language_model=True))
    weights = added.manifest["quantised"]["weights"]
    # Keys and values of a model so small stay in fp32.
    assert weights == {"int8, blocks of 32": 5, "int4, blocks of 32": 6}
