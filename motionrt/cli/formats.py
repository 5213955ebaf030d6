"""List the motion files that are read and written."""

from __future__ import annotations

import click

from motionrt.cli._reading import flags_of

_HEADINGS = ("name", "file", "holds", "options when it is read")


@click.command("formats")
@click.option("--markdown", is_flag=True, help="As the table of docs/formats.md.")
def command(markdown: bool) -> None:
    """List the motion files that are read and written, a line each.

    A file's ending says its format; --input-format NAME says it where the ending does not.
    """
    from motionrt.runtime.formats.table import FORMATS

    rows = [
        (row.name, row.ending, row.holds, " ".join(flags_of(row.name))) for row in FORMATS.values()
    ]
    if markdown:
        click.echo(f"| {' | '.join(_HEADINGS)} |\n|{' --- |' * len(_HEADINGS)}")
        for name, ending, holds, flags in rows:
            told = ", ".join(f"`{flag}`" for flag in flags.split())
            click.echo(f"| `{name}` | `{ending}` | {holds} | {told} |")
        return
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    for cells in (_HEADINGS, *rows):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())
