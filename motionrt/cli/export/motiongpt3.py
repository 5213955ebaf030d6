"""MotionGPT3: a .ckpt with its config.yaml, and the folder of its side files."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._exporting import Output, output_options, precision_option, write_bundle


@click.command("motiongpt3")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The YAML config that it was trained with.  [default: config.yaml beside it]",
)
@click.option(
    "--deps",
    type=click.Path(path_type=Path),
    help="Folder with mot-gpt2 (the language model's config and tokenizer) and HumanML3D's "
    "Mean.npy and Std.npy; what it lacks may lie beside the checkpoint.  [default: deps beside it]",
)
@precision_option
@output_options
def command(
    checkpoint: Path,
    config: Path | None,
    deps: Path | None,
    precision: str,
    output: Output,
) -> None:
    """Export the checkpoint file CHECKPOINT; of a motion VAE alone, its encoder and decoder."""
    beside = checkpoint.parent
    if deps is None:
        deps = beside / "deps" if (beside / "deps").is_dir() else beside
    with write_bundle(output) as writer:
        from motionrt.export.motiongpt3 import export_motiongpt3
        from motionrt.export.readers.motiongpt3 import read_motiongpt3

        read = read_motiongpt3(checkpoint, config or beside / "config.yaml", deps)
        licence = writer.take_licence(output.licence, beside)
        export_motiongpt3(writer, read, precision, licence)
