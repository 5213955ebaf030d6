"""ARDY: config.yaml, denoiser and tokenizer, stats, with a text encoder."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._exporting import Output, output_options, precision_option, write_bundle
from motionrt.cli._text_conditioning import TextOptions, text_options


@click.command("ardy")
@click.argument("checkpoint_dir", type=click.Path(path_type=Path))
@text_options
@precision_option
@output_options
def command(checkpoint_dir: Path, text: TextOptions, precision: str, output: Output) -> None:
    """Export the ARDY checkpoint in CHECKPOINT_DIR."""
    text.check()
    with write_bundle(output) as writer:
        from motionrt.export.ardy import export_ardy
        from motionrt.export.readers.ardy import read_ardy

        checkpoint = read_ardy(checkpoint_dir)
        licence = writer.take_licence(output.licence, checkpoint_dir)
        export_ardy(writer, checkpoint, text.read(writer, output.force), licence, precision)
