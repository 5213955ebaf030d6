"""List the motion files that are read and written."""

from __future__ import annotations

import click

from motionrt.cli._reading import flags_of

_HEADINGS = ("name", "file", "holds", "options when it is read")


@click.command("formats")
@click.option("--targets", is_flag=True, help="List what --for takes instead: programs.")
@click.option("--markdown", is_flag=True, help="As the tables of docs/formats.md.")
def command(targets: bool, markdown: bool) -> None:
    """List the motion files that are read and written, a line each.

    A file's ending says its format; --input-format NAME says it where the ending does not. With
    --targets, the programs that files can be written for, their axes and units, and what --for
    sets.
    """
    from motionrt.runtime.formats.table import FORMATS
    from motionrt.runtime.formats.targets import HEADINGS
    from motionrt.runtime.formats.targets import rows as target_rows

    rows: list[tuple[str, ...]]
    headings: tuple[str, ...]
    if targets:
        headings, rows = HEADINGS, target_rows()
    else:
        headings = _HEADINGS
        rows = [
            (row.name, row.ending, row.holds, " ".join(flags_of(row.name)))
            for row in FORMATS.values()
        ]
    if markdown:
        click.echo(f"| {' | '.join(headings)} |\n|{' --- |' * len(headings)}")
        for cells in rows:
            click.echo(f"| {' | '.join(_marked(*pair) for pair in enumerate(cells))} |")
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for cells in (headings, *rows):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def _marked(column: int, cell: str) -> str:
    """Set in code what is typed: the name, endings and flags."""
    if column == 0 or cell.startswith((".", "_")):
        return f"`{cell}`"
    if not cell.startswith("--"):
        return cell
    return ", ".join(f"`--{flag.strip()}`" for flag in cell.split("--") if flag)
