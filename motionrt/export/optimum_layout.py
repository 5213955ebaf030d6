"""A text encoder as optimum lays it out: model.onnx, config and tokenizer in a folder.

``ORTModelForFeatureExtraction.from_pretrained`` loads it: token ids and their mask in, the last
hidden state out. Pooling, framing and projector, which a bundle's graph has in it, are left to
whoever takes the folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from motionrt.export.bundle import save_model
from motionrt.export.checking import check_model
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.parity import check_graph
from motionrt.export.streaming import (
    LARGE_BYTES,
    attach_streamed,
    hollow,
    trace_streamed,
    weights_bytes,
)
from motionrt.export.text_encoder import CHECK_PROMPTS, TextEncoderSource
from motionrt.models.decoder_lm import DecoderLayer
from motionrt.runtime.bundle.manifest import AxisInfo
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_folder

SIDE_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt",
)  # fmt: skip
"""What comes along of the encoder's own folder, where it is there."""


class _Backbone(nn.Module):
    """A backbone by the names that optimum gives its inputs."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.backbone(input_ids, attention_mask)
        return hidden


def write_optimum_layout(source: TextEncoderSource, folder: Path, replace: bool = False) -> None:
    """Write an encoder's backbone in float32, compared with its torch module.

    One above ``LARGE_BYTES`` is written tensor by tensor, and compared on one batch by a module
    that loads its weights layer by layer. ParityError if it differs, InputError if the folder is
    there and replace is not set.
    """
    if source.onnx is not None:
        raise InputError(f"{source.onnx.path}: is in optimum's layout already; copy its folder")
    weights = source.backbone_weights.renamed(lambda name: f"backbone.{name}")
    spec = GraphSpec(
        "model",
        inputs=tuple(
            TensorSpec(name, ("batch_size", "sequence_length"), "int64")
            for name in ("input_ids", "attention_mask")
        ),
        outputs=(
            TensorSpec(
                "last_hidden_state", ("batch_size", "sequence_length", source.embedding_width)
            ),
        ),
        # Of hidden states, before they are averaged; padded rows are no less exact.
        atol=2e-3,
        rtol=1e-3,
        axes={"sequence_length": AxisInfo(largest=source.rules.max_tokens)},
    )
    checks = tuple(
        {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        for ids, mask, _ in (
            source.tokenizer.encode(batch) for batch in (CHECK_PROMPTS, CHECK_PROMPTS[:1])
        )
    )

    def make() -> _Backbone:
        return _Backbone(source.make_backbone())

    if weights_bytes(weights) < LARGE_BYTES:
        module: nn.Module = make()
        weights.fill(module)
    else:
        module, checks = hollow(make), checks[:1]
        attach_streamed(module, weights, DecoderLayer)
    hollowed = Graph(spec, hollow(make), checks)
    with atomic_folder(folder, replace=replace) as place:
        path = place / "model.onnx"
        save_model(trace_streamed(hollowed, weights), path)
        check_model(path, spec)
        check_graph(path, spec, module.eval(), checks)
        for name in SIDE_FILES:
            if (source.folders[0] / name).is_file():
                shutil.copyfile(source.folders[0] / name, place / name)
