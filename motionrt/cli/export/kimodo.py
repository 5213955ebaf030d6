"""Kimodo: config.yaml, model.safetensors and stats, with a text encoder."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._environment import preset_encoder
from motionrt.cli._exporting import (
    check_text_options,
    output_options,
    precision_option,
    read_text_parts,
    text_options,
    triton_option,
    write_bundle,
    write_optimum,
)


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
    checkpoint_dir: Path,
    text_encoder: tuple[str, ...],
    text_reference: Path | None,
    projector: Path | None,
    no_text_encoder: bool,
    prompt_book: Path | None,
    text_framing: str,
    text_precision: str,
    text_block_size: str | None,
    max_deviation: float | None,
    optimum_layout: Path | None,
    precision: str,
    cuda: bool | None,
    output: Path,
    force: bool,
    licence: str,
    quiet: bool,
) -> None:
    """Export the Kimodo checkpoint in CHECKPOINT_DIR, a folder or the name of a published model."""
    if not text_encoder and not no_text_encoder:
        text_encoder, usual = preset_encoder()
        projector = projector or usual
    check_text_options(text_encoder, projector, no_text_encoder)
    with write_bundle(output, force, quiet) as writer:
        writer.progress("reading the checkpoint")
        from motionrt.export.kimodo import export_kimodo
        from motionrt.export.readers.kimodo import read_kimodo
        from motionrt.export.readers.published import find_checkpoint

        checkpoint_dir = find_checkpoint(checkpoint_dir)
        checkpoint = read_kimodo(checkpoint_dir)
        licence = writer.take_licence(licence, checkpoint_dir)
        encoder, text_recipe, book = read_text_parts(
            text_encoder,
            projector,
            prompt_book,
            text_framing,
            text_precision,
            text_block_size,
            text_reference,
        )
        if encoder is not None:
            writer.keep_licences(*encoder.folders)
        if optimum_layout is not None:
            write_optimum(writer, encoder, optimum_layout, force)
        export_kimodo(
            writer,
            checkpoint,
            encoder,
            licence,
            precision,
            text_recipe=text_recipe,
            max_text_deviation=max_deviation,
            prompt_book=book,
            cuda=cuda,
        )
