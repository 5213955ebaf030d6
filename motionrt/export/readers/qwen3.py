"""Read a Qwen3 directory: a causal language model whose hidden states are averaged."""

from __future__ import annotations

from pathlib import Path

from motionrt.export.readers.decoder_lm import DecoderCheckpoint, read_decoder_lm


def read_qwen3(directory: Path, output_layer: int = -1) -> DecoderCheckpoint:
    """Read a Qwen3 of any size; output_layer as in ``DecoderConfig``. See ``read_decoder_lm``."""
    return read_decoder_lm(directory, ("qwen3",), causal=True, output_layer=output_layer)
