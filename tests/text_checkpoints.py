"""Small text-encoder checkpoints with random weights, in the layouts that readers meet."""

import json
from pathlib import Path
from typing import Any

import torch
from byte_tokenizer import tokenizer_json
from safetensors.torch import save_file

from motionrt.export.readers.decoder_lm import decoder_config, expected_shapes
from motionrt.models.bert import Bert, BertConfig


def write_decoder(
    folder: Path, kind: str, hidden: int = 64, layers: int = 2, shards: int = 1, **changes: Any
) -> Path:
    """Write a Llama or Qwen3 of few layers; changes go into its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": hidden // 4,
        "vocab_size": 280,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "tokenizer.json").write_text(tokenizer_json(kind))
    generator = torch.Generator().manual_seed(hidden + layers)
    state = {}
    for name, shape in expected_shapes(decoder_config(raw, folder)).items():
        random = torch.randn(shape, generator=generator) * 0.1
        state[f"model.{name}"] = random + 1 if name.endswith("norm.weight") else random
    state["lm_head.weight"] = torch.randn(280, hidden, generator=generator)
    if shards == 1:
        save_file(state, folder / "model.safetensors")
        return folder
    weight_map = {
        name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors"
        for i, name in enumerate(state)
    }
    for file in set(weight_map.values()):
        save_file({n: t for n, t in state.items() if weight_map[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def write_adapter(folder: Path, base: Path, rank: int = 4, alpha: int = 6, **changes: Any) -> Path:
    """Write a LoRA over the attention maps of a base."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", **changes}
    (folder / "adapter_config.json").write_text(json.dumps(raw))
    config = json.loads((base / "config.json").read_text())
    generator = torch.Generator().manual_seed(rank)
    state = {}
    for name, shape in expected_shapes(decoder_config(config, base)).items():
        if "_proj" in name:
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            state[f"{stem}.lora_A.weight"] = torch.randn(rank, shape[1], generator=generator) * 0.1
            state[f"{stem}.lora_B.weight"] = torch.randn(shape[0], rank, generator=generator) * 0.1
    save_file(state, folder / "adapter_model.safetensors")
    return folder


def write_llm2vec(folder: Path) -> Path:
    """Write a base and two adapters as folders of one directory."""
    base = write_decoder(folder / "base", "llama")
    write_adapter(folder / "mntp", base)
    write_adapter(folder / "supervised", base, rank=6, alpha=9)
    return folder


def write_bert(folder: Path) -> Path:
    """Write a BERT of two layers with sentence-transformers' files."""
    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(280, 48, 96, 2, 4, 64, 2, 1e-12)
    raw = {
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.layer_norm_eps,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "tokenizer.json").write_text(tokenizer_json("bert"))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "2_Normalize").mkdir(exist_ok=True)
    torch.manual_seed(0)
    state = {f"bert.{name}": tensor for name, tensor in Bert(config).state_dict().items()}
    state["bert.pooler.dense.weight"] = torch.zeros(48, 48)
    state["bert.embeddings.position_ids"] = torch.arange(64)[None]
    save_file(state, folder / "model.safetensors")
    return folder
