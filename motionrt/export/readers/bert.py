"""Read a BERT-like sentence encoder, such as MiniLM, in Hugging Face's layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motionrt.export.readers.config_values import positive_number, told
from motionrt.export.readers.decoder_lm import config_count
from motionrt.export.readers.sentence_transformers import read_sentence_settings
from motionrt.export.readers.weights import Weights, open_checkpoint, read_json, shapes_of
from motionrt.models.bert import Bert, BertConfig
from motionrt.runtime.errors import CheckpointError


@dataclass(frozen=True)
class BertCheckpoint:
    """A BERT that was read, with what its sentence-transformers files say, if it has them."""

    directory: Path
    config: BertConfig
    weights: Weights
    pooling: str
    normalise: bool
    max_tokens: int


def read_bert(directory: Path) -> BertCheckpoint:
    """Read config, tensor names and sentence-transformers settings.

    CheckpointError names, on one line, what does not fit.
    """
    path = directory / "config.json"
    raw = read_json(path)
    if raw.get("model_type") != "bert":
        raise CheckpointError(f"{path}: model_type {told(raw.get('model_type'))}, expected 'bert'")
    for key, allowed in (
        ("hidden_act", ("gelu",)),
        ("position_embedding_type", ("absolute",)),
    ):
        if raw.get(key, allowed[0]) not in allowed:
            raise CheckpointError(f"{path}: {key} {told(raw[key])} is not supported")
    config = BertConfig(
        vocab_size=config_count(raw, "vocab_size", path),
        hidden_size=config_count(raw, "hidden_size", path),
        intermediate_size=config_count(raw, "intermediate_size", path),
        num_layers=config_count(raw, "num_hidden_layers", path),
        num_heads=config_count(raw, "num_attention_heads", path),
        max_positions=config_count(raw, "max_position_embeddings", path),
        type_vocab_size=config_count(raw, "type_vocab_size", path),
        layer_norm_eps=positive_number(raw.get("layer_norm_eps", 1e-12), f"{path}: layer_norm_eps"),
    )
    if config.hidden_size % config.num_heads:
        raise CheckpointError(f"{path}: hidden_size is no multiple of num_attention_heads")
    stored = open_checkpoint(directory).renamed(lambda name: name.removeprefix("bert."))
    stored.require_layers("encoder.layer.", config.num_layers, f"{path}: num_hidden_layers")
    shapes = shapes_of(lambda: Bert(config))
    spare = [n for n in stored.shapes if n.startswith(("pooler.", "cls."))]
    settings = read_sentence_settings(directory)
    return BertCheckpoint(
        directory,
        config,
        stored.require(shapes, spare),
        settings.pooling or "mean",
        settings.normalise,
        min(config.max_positions, settings.max_tokens or config.max_positions),
    )
