"""A text encoder as one graph of a bundle: ids and masks in, a motion model's vector out."""

from __future__ import annotations

from typing import Any

import torch

from motionrt.export.bundle import BundleWriter
from motionrt.export.graphs import Graph, GraphSpec, TensorSpec
from motionrt.export.text_encoder import TextEncoderSource

ATOL, RTOL = 2e-4, 1e-4
"""Rounding through a few dozen layers, whose sums onnxruntime orders in its own way."""
CHECK_TEXTS = (
    "A person walks forward.",
    "Someone turns left, sits down on a low chair, and waves with the right hand.",
    "Jump!",
)


def add_text_encoder(writer: BundleWriter, source: TextEncoderSource) -> dict[str, Any]:
    """Export ``text_encoder`` and ``tokenizer.json``; return the manifest's text section.

    Batch and length are dynamic; checked on texts of different lengths in one batch and alone.
    """
    tokens = ("batch", "tokens")
    spec = GraphSpec(
        name="text_encoder",
        inputs=tuple(
            TensorSpec(name, tokens, "int64")
            for name in ("input_ids", "attention_mask", "pool_mask")
        ),
        outputs=(TensorSpec("text_features", ("batch", source.text_width)),),
        atol=ATOL,
        rtol=RTOL,
    )
    checks = []
    for texts in (CHECK_TEXTS, CHECK_TEXTS[:1]):
        arrays = source.tokenizer.encode(texts)
        checks.append(
            {t.name: torch.from_numpy(a) for t, a in zip(spec.inputs, arrays, strict=True)}
        )
    writer.add_graph(Graph(spec, source.module, tuple(checks)))
    writer.add_file("tokenizer.json", source.tokenizer_json)
    return {**source.manifest, "tokenizer": "tokenizer.json"}
