"""Join motions: each goes on where the one before ends, in the same phase of the stride."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._flags import FormatName
from motionrt.cli._places import STANDARD_OUTPUT, check_standard_output, place_to_write
from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile
from motionrt.runtime.formats.table import FORMATS

EXAMPLES = """\b
motionrt blend walk.npz run.npz -o walk-run.npz
motionrt blend idle.bvh walk.bvh idle.bvh -o patrol.bvh --seconds 0.3
"""


@click.command(epilog=EXAMPLES)
@click.argument("motions", metavar="MOTION MOTION...", nargs=-1, required=True, type=MotionFile())
@click.option("-o", "--output", required=True, help="File to write, or - for standard output.")
@click.option(
    "--seconds",
    type=float,
    default=0.4,
    show_default=True,
    help="How long one motion fades into the next.",
)
@click.option("--format", type=FormatName(), help="Format of the file.  [default: by ending]")
@reading_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    motions: tuple[Path, ...],
    output: str,
    seconds: float,
    format: str | None,
    quiet: bool,
    reading: Reading,
) -> None:
    """Join MOTION files on one skeleton into one motion.

    The next one is moved and turned to where the one before ends. They meet where their poses and
    velocities are most alike, within the last second and a half of the one and the first of the
    other, so that walking feet keep their stride.
    """
    from motionrt.runtime.body.blend import blended
    from motionrt.runtime.formats.table import format_to_write

    if len(motions) < 2:
        raise click.UsageError("name two motions or more")
    if format is None and output == STANDARD_OUTPUT:
        raise click.UsageError("-: names no format; add --format NAME")
    name = format or format_to_write(output)
    row = FORMATS[name]
    if to_pipe := output == STANDARD_OUTPUT:
        check_standard_output(f"a {row.ending} file", row.is_text)
    first, *others = reading.read_all(motions)
    for other in others:
        first = blended(first, other, seconds)
    with place_to_write(output, row.ending) as path:
        first.save(path, format=name)
    if not quiet:
        click.echo(
            f"{output}: {first.num_frames} frames, {first.fps:g} fps, {first.skeleton.name}",
            err=to_pipe,
        )
