"""ARDY: config.yaml, denoiser and tokenizer, stats, with a text encoder."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._exporting import (
    check_text_options,
    output_options,
    precision_option,
    read_text_parts,
    text_options,
    write_bundle,
    write_optimum,
)


@click.command("ardy")
@click.argument("checkpoint_dir", type=click.Path(path_type=Path))
@text_options
@precision_option
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
    output: Path,
    force: bool,
    licence: str,
    quiet: bool,
) -> None:
    """Export the ARDY checkpoint in CHECKPOINT_DIR."""
    check_text_options(text_encoder, projector, no_text_encoder)
    with write_bundle(output, force, quiet) as writer:
        writer.progress("reading the checkpoint")
        from motionrt.export.ardy import export_ardy
        from motionrt.export.readers.ardy import read_ardy

        checkpoint = read_ardy(checkpoint_dir)
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
        export_ardy(
            writer,
            checkpoint,
            encoder,
            licence,
            precision,
            text_recipe=text_recipe,
            max_text_deviation=max_deviation,
            prompt_book=book,
        )
