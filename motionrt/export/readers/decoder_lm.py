"""Read a Llama or Qwen3 directory in Hugging Face's layout.

The directory holds config.json, model.safetensors (or shards with their index) and tokenizer.json.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.weights import Weights, open_checkpoint, read_json, shapes_of
from motionrt.models.decoder_lm import DecoderConfig, DecoderLM, RopeScaling
from motionrt.runtime.errors import CheckpointError

MODEL_TYPES = ("llama", "qwen3")


@dataclass(frozen=True)
class DecoderCheckpoint:
    """A language model that was read: sizes, and weights named as ``DecoderLM`` names them."""

    directory: Path
    model_type: str
    name_or_path: str
    """What the config says it was loaded from; empty if it says nothing."""
    config: DecoderConfig
    weights: Weights

    @property
    def whole_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of the model, also of layers after the output layer."""
        return expected_shapes(self.config)

    def module(self) -> DecoderLM:
        """Return the model in float32 with its weights."""
        return self.weights.build(lambda: DecoderLM(self.config))


def read_decoder_lm(
    directory: Path,
    model_types: tuple[str, ...] = MODEL_TYPES,
    causal: bool = True,
    output_layer: int = -1,
) -> DecoderCheckpoint:
    """Read config and tensor names; the tensors themselves are loaded when asked for.

    CheckpointError names, on one line, what does not fit: a setting that is not supported, tensors
    that are missing, unexpected or misshapen.
    """
    path = directory / "config.json"
    raw = read_json(path)
    config = decoder_config(raw, path, model_types, causal, output_layer)
    stored = open_checkpoint(directory).renamed(_encoder_name)
    stored.require_layers("layers.", config.num_layers, f"{path}: num_hidden_layers")
    expected = expected_shapes(config)
    needed = _module_shapes(config)
    # Older exports store the rotary frequencies of each layer; they follow from the config.
    spare = [name for name in stored.shapes if name.endswith("rotary_emb.inv_freq")]
    stored.require(expected, spare)
    return DecoderCheckpoint(
        directory=directory,
        model_type=str(raw.get("model_type")),
        name_or_path=str(raw.get("_name_or_path") or ""),
        config=config,
        weights=stored.require(needed, list(stored.shapes)),
    )


def decoder_config(
    raw: dict[str, Any],
    path: Path,
    model_types: tuple[str, ...] = MODEL_TYPES,
    causal: bool = True,
    output_layer: int = -1,
) -> DecoderConfig:
    """Turn a config.json into the config; CheckpointError if it asks for what is not built."""
    model_type = raw.get("model_type")
    if model_type not in model_types:
        raise CheckpointError(
            f"{path}: model_type {told(model_type)}, expected {' or '.join(model_types)}"
        )
    activation = raw.get("hidden_act", "silu")
    if activation != "silu":
        raise CheckpointError(f"{path}: hidden_act {told(activation)}, only silu is supported")
    if raw.get("use_sliding_window") and raw.get("sliding_window"):
        raise CheckpointError(f"{path}: sliding-window attention is not supported")
    hidden, heads = (
        config_count(raw, "hidden_size", path),
        config_count(raw, "num_attention_heads", path),
    )
    kv_heads = config_count(raw, "num_key_value_heads", path, heads)
    head_dim = config_count(raw, "head_dim", path, max(hidden // heads, 1))
    if heads % kv_heads or head_dim % 2:
        raise CheckpointError(
            f"{path}: {heads} heads, {kv_heads} key-value heads, head_dim {head_dim} do not fit"
        )
    # transformers 5 gathers what it knew as rope_theta and rope_scaling in rope_parameters.
    rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise CheckpointError(f"{path}: rope_scaling is no object")
    try:
        config = DecoderConfig(
            vocab_size=config_count(raw, "vocab_size", path),
            hidden_size=hidden,
            intermediate_size=config_count(raw, "intermediate_size", path),
            num_layers=config_count(raw, "num_hidden_layers", path),
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_dim=head_dim,
            rms_norm_eps=positive_number(raw.get("rms_norm_eps", 1e-6), f"{path}: rms_norm_eps"),
            rope_theta=positive_number(
                rope.get("rope_theta", raw.get("rope_theta", 10000.0)), f"{path}: rope_theta", 1e18
            ),
            rope_scaling=_rope_scaling(rope, path),
            attention_bias=bool(raw.get("attention_bias", False)),
            mlp_bias=bool(raw.get("mlp_bias", False)),
            qk_norm=model_type == "qwen3",
            causal=causal,
            output_layer=output_layer,
        )
        _ = config.num_run_layers
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    return config


def expected_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Return every tensor of the whole model, also of layers after the output layer."""
    return _module_shapes(replace(config, output_layer=-1))


def _module_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    return shapes_of(lambda: DecoderLM(config))


def _encoder_name(name: str) -> str | None:
    if name.startswith("lm_head."):
        return None  # predicts tokens; an encoder has no use for it
    return name.removeprefix("model.")


def _rope_scaling(rope: dict[str, Any], path: Path) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise CheckpointError(f"{path}: rope scaling {told(kind)} is not supported")
    try:
        return RopeScaling(
            **{
                key: positive_number(rope[key], f"{path}: {key}")
                for key in ("factor", "low_freq_factor", "high_freq_factor")
            },
            original_max_positions=config_count(rope, "original_max_position_embeddings", path),
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: rope scaling without {error}") from None


def config_count(raw: dict[str, Any], key: str, path: Path, default: int | None = None) -> int:
    """Return a positive whole number of a config; CheckpointError if it is none."""
    value = raw.get(key, default)
    if value is None and key in raw:
        value = default
    return whole_number(value, f"{path}: {key}")
