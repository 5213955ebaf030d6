"""Blend embeddings with others."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._extras import needing

EXAMPLES = """\b
motionrt blend-embeddings seen.pt read.pt -o blended.pt
motionrt blend-embeddings projected/ text/ --share 0.5 -o blended/
"""


@click.command("blend-embeddings", epilog=EXAMPLES)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write (.pt, .npy or .safetensors), or a folder where folders are given.",
)
@click.option(
    "--share",
    default=0.3,
    show_default=True,
    help="Of the first: 0 gives the second, 1 the first.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(first: Path, second: Path, output: Path, share: float, quiet: bool) -> None:
    """Write what lies between the embeddings FIRST and SECOND: share · FIRST + rest · SECOND.

    They are files of an array each, or folders of files with the same names. Of sequences, the
    tokens that both have are blended.
    """
    with needing("train", "blending"):
        from motionrt.train.blending import blend_embeddings, write_embedding
        from motionrt.train.pairs import matched_files, read_embedding

    if first.is_dir() != second.is_dir():
        raise click.UsageError("name two files, or two folders")
    places = [(output, first, second)]
    if first.is_dir():
        pairs = matched_files((first, second))
        places = [(output / x.name, x, y) for _, x, y in pairs]
    for place, x, y in places:
        write_embedding(place, blend_embeddings(read_embedding(x), read_embedding(y), share))
    if not quiet:
        click.echo(f"{output}: {len(places)} blended, {share:g} of {first}")
