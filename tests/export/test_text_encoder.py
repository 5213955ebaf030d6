import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from byte_tokenizer import tokenizer_json
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from text_checkpoints import write_adapter, write_bert, write_decoder, write_llm2vec

from motionrt.export.text_encoder import (
    TextEncoderOptions,
    TextEncoderSource,
    read_text_encoder,
    text_encoder_graph,
    trace_text_encoder,
)
from motionrt.models.projector import ProjectorConfig, make_projector
from motionrt.runtime.errors import CheckpointError, InputError

TEXTS = ["Run.", "A person walks forward, then turns left.", "Jump high!"]
ROUNDING = 3e-6  # float32 through two layers, summed in another order


def _encode(source: TextEncoderSource, texts: list[str]) -> NDArray[np.float32]:
    ids = (torch.from_numpy(array) for array in source.tokenizer.encode(texts))
    with torch.no_grad():
        return np.asarray(source.module(*ids).numpy())


def _write(kind: str, folder: Path) -> Path:
    if kind == "llm2vec":
        return write_llm2vec(folder)
    return write_bert(folder) if kind == "bert" else write_decoder(folder, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen3", "llm2vec", "bert"])
def test_exported_graph_gives_single_prompts_and_batches_the_same(
    kind: str, tmp_path: Path
) -> None:
    source = read_text_encoder(_write(kind, tmp_path / kind))
    data = ir.to_proto(trace_text_encoder(source)).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(texts: list[str]) -> NDArray[np.float32]:
        names = ("input_ids", "attention_mask", "pool_mask")
        feed = dict(zip(names, source.tokenizer.encode(texts), strict=True))
        return np.asarray(session.run(None, feed)[0])

    together, alone = run(TEXTS), np.concatenate([run([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(together, _encode(source, TEXTS), rtol=0, atol=ROUNDING)
    assert text_encoder_graph(source).spec.outputs[0].axes == ("batch", source.text_width)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_decoder_matches_transformers(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = write_decoder(tmp_path, kind)
    source = read_text_encoder(folder, options=TextEncoderOptions(framing="plain"))
    reference = transformers.AutoModel.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()
    ids, mask, _ = (torch.from_numpy(array) for array in source.tokenizer.encode(TEXTS[:1]))
    with torch.no_grad():
        wanted = reference(
            input_ids=ids, **({"is_causal": False} if kind == "llama" else {})
        ).last_hidden_state
        found = source.module.backbone(ids, mask)
    if kind == "qwen3":
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0, atol=1e-5)
    else:  # bidirectional: only a single token's attention equals the causal one
        with torch.no_grad():
            wanted = reference(input_ids=ids[:, :1]).last_hidden_state
            found = source.module.backbone(ids[:, :1], mask[:, :1])
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0, atol=1e-5)


def test_llm2vec_attends_both_ways_and_qwen3_does_not(tmp_path: Path) -> None:
    llama = read_text_encoder(write_llm2vec(tmp_path / "l")).module.backbone
    qwen = read_text_encoder(write_decoder(tmp_path / "q", "qwen3")).module.backbone
    first, second = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 9]])
    ones = torch.ones_like(first)
    with torch.no_grad():
        assert not torch.allclose(llama(first, ones)[:, 0], llama(second, ones)[:, 0])
        torch.testing.assert_close(qwen(first, ones)[:, 0], qwen(second, ones)[:, 0])


def test_shards_read_as_one_file_does(tmp_path: Path) -> None:
    one = read_text_encoder(write_decoder(tmp_path / "one", "qwen3"))
    three = read_text_encoder(write_decoder(tmp_path / "three", "qwen3", shards=3))
    np.testing.assert_array_equal(_encode(one, TEXTS), _encode(three, TEXTS))


def test_manifest_states_all_that_a_host_needs(tmp_path: Path) -> None:
    source = read_text_encoder(write_llm2vec(tmp_path))
    manifest = json.loads(json.dumps(source.manifest))
    assert manifest["framing"] == "llama3-user"
    assert manifest["rules"]["prefix"] == "<|start_header_id|>user<|end_header_id|>\n\n"
    assert manifest["rules"]["text_tokens"] == 400
    assert manifest["encoder"] == "llm2vec"
    assert len(manifest["fingerprint"]) == 64


def test_bert_takes_pooling_and_norm_from_its_files(tmp_path: Path) -> None:
    found = _encode(read_text_encoder(write_bert(tmp_path)), TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_projector_is_fused(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "q", "qwen3")
    weight, bias = torch.randn(10, 64), torch.randn(10)
    torch.save({"weight": weight, "bias": bias}, tmp_path / "projection.pt")
    plain = _encode(read_text_encoder(folder), TEXTS)
    source = read_text_encoder(folder, tmp_path / "projection.pt")
    assert source.text_width == 10
    wanted = plain @ weight.numpy().T + bias.numpy()
    np.testing.assert_allclose(_encode(source, TEXTS), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        ProjectorConfig("mlp", 64, 10, hidden_dim=20),
        ProjectorConfig("attention", 64, 10, num_queries=2, num_heads=4),
        ProjectorConfig("kernel", 64, 10, num_centres=30),
    ],
    ids=lambda config: config.kind,
)
def test_every_kind_of_projector_exports_with_its_encoder(
    config: ProjectorConfig, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = make_projector(config)
    if config.kind == "kernel":
        for name in ("centres", "weight", "bias"):
            torch.nn.init.normal_(getattr(module, name))
        module.get_buffer("gamma").fill_(0.01)
    path = tmp_path / "projector.safetensors"
    metadata = {"kind": config.kind, "num_heads": str(config.num_heads)}
    save_file(module.state_dict(), path, metadata)
    source = read_text_encoder(write_decoder(tmp_path / "q", "qwen3", layers=1), path)
    data = ir.to_proto(trace_text_encoder(source)).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = ("input_ids", "attention_mask", "pool_mask")
    feed = dict(zip(names, source.tokenizer.encode(TEXTS), strict=True))
    found = np.asarray(session.run(None, feed)[0])
    assert found.shape == (len(TEXTS), 10)
    np.testing.assert_allclose(found, _encode(source, TEXTS), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[:1], _encode(source, TEXTS[:1]), rtol=0, atol=1e-5)


def test_projector_for_another_width_or_framing_is_refused(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "q", "qwen3")
    narrow = {"weight": torch.randn(10, 32), "bias": torch.randn(10)}
    save_file(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(CheckpointError, match="takes 32 features, the encoder q gives 64"):
        read_text_encoder(folder, tmp_path / "narrow.safetensors")
    fit = {"weight": torch.randn(10, 64), "bias": torch.randn(10)}
    save_file(fit, tmp_path / "chat.safetensors", {"prompt_format": "chatml-user"})
    with pytest.raises(CheckpointError, match="trained with prompts framed 'chatml-user'"):
        read_text_encoder(folder, tmp_path / "chat.safetensors")


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path, "qwen3")
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    state["model.layers.7.extra.weight"] = torch.zeros(2)
    state["model.norm.weight"] = torch.zeros(63)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        read_text_encoder(folder)
    message = str(caught.value)
    assert "missing layers.1.mlp.up_proj.weight" in message
    assert "unexpected layers.7.extra.weight" in message
    assert "norm.weight 63 instead of 64" in message
    assert "\n" not in message


def test_damaged_files_are_refused_with_one_line(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path, "qwen3")
    whole = (folder / "model.safetensors").read_bytes()
    for damage in (whole[: len(whole) // 2], b"\xff" * 64, b""):
        (folder / "model.safetensors").write_bytes(damage)
        with pytest.raises(CheckpointError, match=r"^[^\n]+$"):
            read_text_encoder(folder)
    (folder / "model.safetensors").write_bytes(whole)
    for text in ("{", "[]", '{"model_type": "gpt2"}', '{"model_type": "qwen3"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"config\.json[^\n]+$"):
            read_text_encoder(folder)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path, "qwen3")
    state = load_file(folder / "model.safetensors")
    state["model.norm.weight"][3] = float("nan")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"norm\.weight holds values"):
        _ = read_text_encoder(folder).module


def test_a_shard_outside_the_directory_is_refused(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path, "qwen3", shards=2)
    index = {"weight_map": {"model.norm.weight": "../model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="is no shard beside it"):
        read_text_encoder(folder)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    folder = write_llm2vec(tmp_path / "l")
    other = write_decoder(tmp_path / "other", "llama", hidden=32)
    write_adapter(folder / "mntp", other)
    with pytest.raises(CheckpointError, match="another base"):
        read_text_encoder(folder)
    deeper = write_decoder(tmp_path / "deeper", "llama", layers=3)
    write_adapter(folder / "mntp", deeper)
    with pytest.raises(CheckpointError, match=r"layers\.2\..* is not in the base"):
        read_text_encoder(folder)


@pytest.mark.parametrize(
    "change", [{"use_dora": True}, {"rank_pattern": {"q_proj": 2}}, {"bias": "all"}, {"r": 0}]
)
def test_adapter_settings_that_change_its_meaning_are_refused(
    change: dict[str, object], tmp_path: Path
) -> None:
    folder = write_llm2vec(tmp_path)
    write_adapter(folder / "mntp", folder / "base")
    path = folder / "mntp" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"adapter_config\.json: [^\n]+$"):
        read_text_encoder(folder)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "q", "qwen3", vocab_size=200)
    with pytest.raises(CheckpointError, match="another model's tokenizer"):
        read_text_encoder(folder)
    folder = write_llm2vec(tmp_path / "l")
    (folder / "base" / "tokenizer.json").write_text(tokenizer_json("qwen3"))
    with pytest.raises(CheckpointError, match="lacks <\\|start_header_id\\|>"):
        read_text_encoder(folder)
    (folder / "base" / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no tokenizer"):
        read_text_encoder(folder)


def test_unknown_places_and_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        read_text_encoder(tmp_path / "nothing")
    folder = write_decoder(tmp_path, "qwen3")
    with pytest.raises(InputError, match="framing"):
        read_text_encoder(folder, options=TextEncoderOptions(framing="poem"))
    with pytest.raises(InputError, match="pooling"):
        read_text_encoder(folder, options=TextEncoderOptions(pooling="max"))
    with pytest.raises(CheckpointError, match="output_layer 5"):
        read_text_encoder(folder, options=TextEncoderOptions(output_layer=5))
