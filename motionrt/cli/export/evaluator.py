"""The networks that judge motions of HumanML3D."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._exporting import Output, output_options, write_bundle


@click.command("evaluator")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--meta",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with the evaluator's own mean.npy and std.npy (not those of generation).",
)
@click.option(
    "--glove",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with the word vectors: our_vab_data.npy, our_vab_words.pkl, our_vab_idx.pkl.",
)
@output_options
def command(
    checkpoint: Path,
    meta: Path,
    glove: Path,
    output: Output,
) -> None:
    """Export the evaluator in the file CHECKPOINT (finest.tar), for motionrt evaluate."""
    with write_bundle(output) as writer:
        from motionrt.export.evaluator import export_evaluator
        from motionrt.export.readers.humanml_evaluator import read_evaluator

        read = read_evaluator(checkpoint, meta, glove)
        export_evaluator(writer, read, writer.take_licence(output.licence, checkpoint.parent))
