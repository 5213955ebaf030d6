"""Draw motions: contact sheet, animated GIF or HTML player."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._reading import Reading, reading_options

SUFFIXES = (".png", ".gif", ".html")


@click.command()
@click.argument(
    "motions", metavar="MOTION...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; its suffix decides: .png contact sheet, .gif animation, .html player.",
)
@click.option(
    "--frames",
    "num_poses",
    default=8,
    show_default=True,
    type=click.IntRange(1, 60),
    help="Poses in a row of the sheet.",
)
@click.option(
    "--view",
    default="three-quarter",
    show_default=True,
    type=click.Choice(["front", "side", "three-quarter"]),
    help="Where the camera stands, from how the figure faces at the first frame.",
)
@click.option(
    "--width",
    type=click.IntRange(160, 4000),
    help="Width of the picture in pixels.  [default: sheet 1400, GIF 420 a motion]",
)
@click.option(
    "--fps",
    default=25.0,
    show_default=True,
    type=click.FloatRange(1, 50),
    help="Pictures a second in the GIF; the speed of the motion does not change.",
)
@reading_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    motions: tuple[Path, ...],
    output: Path,
    num_poses: int,
    view: str,
    width: int | None,
    fps: float,
    quiet: bool,
    reading: Reading,
) -> None:
    """Draw MOTION files (.npz, .bvh, .glb, .csv) as stick figures.

    A sheet has one row for each file, a GIF shows them side by side, and the HTML player (one
    file, no network) can overlay them too. Left limbs are orange, right limbs blue.

    \b
    motionrt view walk.npz -o walk.png
    motionrt view walk.npz run.bvh -o compare.html
    """  # noqa: D301, click marks a verbatim paragraph by a real backspace
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise click.UsageError(
            f"{output}: cannot draw {suffix or 'a file without a suffix'}; "
            f"choose one of {', '.join(SUFFIXES)}"
        )

    from motionrt.viewer import write_gif, write_html, write_sheet

    loaded = reading.read_all(motions)
    names = [path.stem for path in motions]
    if suffix == ".png":
        options = {} if width is None else {"width": width}
        write_sheet(loaded, output, names=names, num_poses=num_poses, view=view, **options)
    elif suffix == ".gif":
        write_gif(loaded, output, names=names, fps=fps, view=view, width=width)
    else:
        write_html(loaded, output, names=names, view=view)
    if not quiet:
        click.echo(f"{output}  {output.stat().st_size / 1000:.0f} kB")
