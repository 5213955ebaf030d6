"""Read LLM2Vec: a Llama whose attention looks both ways, with two adapters folded in.

Three directories: the base Llama (Hugging Face layout), the MNTP adapter and the supervised adapter
(PEFT layout). Source: BehnamGhader 2024, arXiv:2404.05961; LoRA: Hu 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from motionrt.export.readers.config_values import positive_number, told, whole_number
from motionrt.export.readers.decoder_lm import DecoderCheckpoint, read_decoder_lm
from motionrt.export.readers.weights import Weights, open_checkpoint, read_json
from motionrt.runtime.errors import CheckpointError

LORA_NAME = re.compile(
    r"(?:base_model\.)?(?:model\.)*(layers\..+)\.lora_(A|B)(?:\.default)?\.weight"
)
REFUSED = ("rank_pattern", "alpha_pattern", "use_dora", "modules_to_save", "fan_in_fan_out")
"""PEFT settings that would change what an adapter means; none is set in LLM2Vec's."""


@dataclass(frozen=True)
class Adapter:
    """A low-rank change to a model's maps: W + scale · B A."""

    directory: Path
    scale: float
    weights: Weights
    """Named ``<map>.A`` and ``<map>.B``."""

    @property
    def maps(self) -> set[str]:
        """The maps it changes, such as ``layers.0.self_attn.q_proj``."""
        return {name[:-2] for name in self.weights.shapes}

    def delta(self, name: str) -> Tensor:
        """Return the float32 change of one map's weight."""
        a, b = (self.weights.load(f"{name}.{half}").to(torch.float32) for half in "AB")
        return self.scale * (b @ a)


def read_llm2vec(
    base: Path, adapters: tuple[Path, ...], output_layer: int = -1, causal: bool = False
) -> DecoderCheckpoint:
    """Read a Llama with any number of adapters, which are folded in float32 as tensors load.

    CheckpointError if an adapter was made for other sizes or other maps.
    """
    checkpoint = read_decoder_lm(base, ("llama",), causal=causal, output_layer=output_layer)
    opened = tuple(read_adapter(directory, checkpoint) for directory in adapters)

    def load(name: str) -> Tensor:
        weight = checkpoint.weights.load(name)
        changed = name.removesuffix(".weight")
        deltas = [adapter.delta(changed) for adapter in opened if changed in adapter.maps]
        if not deltas:
            return weight
        merged = weight.to(torch.float32)
        for delta in deltas:
            merged = merged + delta
        return merged

    weights = Weights(checkpoint.weights.place, checkpoint.weights.shapes, load)
    return replace(checkpoint, model_type="llm2vec", weights=weights)


def read_adapter(directory: Path, base: DecoderCheckpoint) -> Adapter:
    """Read a PEFT LoRA folder for a base; CheckpointError if it does not fit."""
    path = directory / "adapter_config.json"
    raw = read_json(path)
    if raw.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: peft_type {told(raw.get('peft_type'))}, expected 'LORA'")
    for key in REFUSED:
        if raw.get(key):
            raise CheckpointError(f"{path}: {key} is set, which is not supported")
    if raw.get("bias", "none") != "none":
        raise CheckpointError(f"{path}: bias {told(raw['bias'])} is not supported")
    rank = whole_number(raw.get("r"), f"{path}: r")
    alpha = positive_number(raw.get("lora_alpha"), f"{path}: lora_alpha")
    stored = open_checkpoint(directory, "adapter_model")
    names: dict[str, str] = {}
    for name in stored.shapes:
        found = LORA_NAME.fullmatch(name)
        if found is None:
            raise CheckpointError(f"{stored.place}: {name} is no LoRA tensor of this model")
        names[name] = f"{found[1]}.{found[2]}"
    weights = stored.renamed(names.__getitem__)
    if not weights.shapes:
        raise CheckpointError(f"{stored.place}: holds no tensors")
    expected: dict[str, tuple[int, ...]] = {}
    whole = base.whole_shapes
    for changed in sorted({name[:-2] for name in weights.shapes}):
        shape = whole.get(f"{changed}.weight")
        if shape is None or len(shape) != 2:
            raise CheckpointError(f"{stored.place}: {changed} is not in the base {base.directory}")
        expected[f"{changed}.A"] = (rank, shape[1])
        expected[f"{changed}.B"] = (shape[0], rank)
    try:
        weights.require(expected)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; is it an adapter for another base?") from None
    root = rank**0.5 if raw.get("use_rslora") else rank
    return Adapter(directory, alpha / root, weights)
