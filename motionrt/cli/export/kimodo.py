"""Kimodo: config.yaml, model.safetensors and stats, with a text encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from motionrt.cli._environment import preset_encoder
from motionrt.cli._exporting import (
    Output,
    output_options,
    precision_option,
    triton_option,
    write_bundle,
)
from motionrt.cli._text_conditioning import TextOptions, text_options


@click.command("kimodo")
@click.argument("checkpoint_dir", type=click.Path(path_type=Path))
@text_options
@precision_option
@click.option(
    "--cuda/--no-cuda",
    default=None,
    help="Add the form that NVIDIA GPUs run fastest.  [default: with --precision fp16]",
)
@triton_option
@output_options
def command(
    checkpoint_dir: Path, text: TextOptions, precision: str, cuda: bool | None, output: Output
) -> None:
    """Export the Kimodo checkpoint in CHECKPOINT_DIR, a folder or the name of a published model."""
    if not text.text_encoder and not text.no_text_encoder:
        places, projector = preset_encoder()
        text = replace(text, text_encoder=places, projector=text.projector or projector)
    text.check()
    with write_bundle(output) as writer:
        from motionrt.export.kimodo import export_kimodo
        from motionrt.export.readers.kimodo import read_kimodo
        from motionrt.export.readers.published import find_checkpoint

        checkpoint_dir = find_checkpoint(checkpoint_dir)
        checkpoint = read_kimodo(checkpoint_dir)
        licence = writer.take_licence(output.licence, checkpoint_dir)
        conditioning = text.read(writer, output.force)
        export_kimodo(writer, checkpoint, conditioning, licence, precision, cuda=cuda)
