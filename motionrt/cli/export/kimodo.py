"""Kimodo: config.yaml, model.safetensors and stats, with a text encoder."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._exporting import output_options, precision_option, write_bundle


@click.command("kimodo")
@click.argument("checkpoint_dir", type=click.Path(path_type=Path))
@click.option(
    "--text-encoder",
    "text_encoder",
    multiple=True,
    help="Directory of the text encoder (Qwen3, BERT, or LLM2Vec: give base, MNTP and supervised "
    "in this order, or one directory that holds them).",
)
@click.option("--projector", type=click.Path(path_type=Path), help="Projection file behind it.")
@click.option("--no-text-encoder", is_flag=True, help="A bundle that takes text embeddings only.")
@precision_option
@output_options
def command(
    checkpoint_dir: Path,
    text_encoder: tuple[str, ...],
    projector: Path | None,
    no_text_encoder: bool,
    precision: str,
    output: Path,
    force: bool,
    licence: str,
    quiet: bool,
) -> None:
    """Export the Kimodo checkpoint in CHECKPOINT_DIR."""
    if no_text_encoder == bool(text_encoder):
        raise click.UsageError("give either --text-encoder DIR or --no-text-encoder")
    if projector is not None and no_text_encoder:
        raise click.UsageError("--projector goes with --text-encoder")
    with write_bundle(output, force, quiet) as writer:
        writer.progress("reading the checkpoint")
        from motionrt.export.kimodo import export_kimodo
        from motionrt.export.readers.kimodo import read_kimodo
        from motionrt.export.text_encoder import read_text_encoder

        checkpoint = read_kimodo(checkpoint_dir)
        encoder = read_text_encoder(text_encoder, projector) if text_encoder else None
        export_kimodo(writer, checkpoint, encoder, licence, precision)
