"""Kimodo: config.yaml, model.safetensors and stats, with a text encoder."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._environment import preset_encoder
from motionrt.cli._exporting import (
    output_options,
    precision_option,
    text_options,
    write_bundle,
)


@click.command("kimodo")
@click.argument("checkpoint_dir", type=click.Path(path_type=Path))
@text_options
@precision_option
@output_options
def command(
    checkpoint_dir: Path,
    text_encoder: tuple[str, ...],
    projector: Path | None,
    no_text_encoder: bool,
    prompt_book: Path | None,
    text_framing: str,
    text_precision: str,
    text_block_size: str | None,
    max_deviation: float | None,
    precision: str,
    output: Path,
    force: bool,
    licence: str,
    quiet: bool,
) -> None:
    """Export the Kimodo checkpoint in CHECKPOINT_DIR, a folder or the name of a published model."""
    if not text_encoder and not no_text_encoder:
        text_encoder, usual = preset_encoder()
        projector = projector or usual
    if no_text_encoder == bool(text_encoder):
        raise click.UsageError("give either --text-encoder DIR or --no-text-encoder")
    if projector is not None and no_text_encoder:
        raise click.UsageError("--projector goes with --text-encoder")
    with write_bundle(output, force, quiet) as writer:
        writer.progress("reading the checkpoint")
        from motionrt.export.kimodo import export_kimodo
        from motionrt.export.quantise.recipes import recipe
        from motionrt.export.readers.kimodo import read_kimodo
        from motionrt.export.readers.published import find_checkpoint
        from motionrt.export.text_encoder import TextEncoderOptions, read_text_encoder
        from motionrt.runtime.text.prompt_book import PromptBook

        size = int(text_block_size) if text_block_size else None
        text_recipe = recipe(text_precision, language_model=True, block_size=size)
        book = PromptBook.load(prompt_book) if prompt_book else None
        checkpoint = read_kimodo(find_checkpoint(checkpoint_dir))
        encoder = None
        if text_encoder:
            options = TextEncoderOptions(framing=text_framing)
            encoder = read_text_encoder(text_encoder, projector, options)
        export_kimodo(
            writer,
            checkpoint,
            encoder,
            licence,
            precision,
            text_recipe=text_recipe,
            max_text_deviation=max_deviation,
            prompt_book=book,
        )
