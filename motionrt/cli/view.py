"""Draw motions: a player in the browser, contact sheet, animation or video."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from motionrt.cli._places import STANDARD_OUTPUT, is_folder, place_to_write
from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile

SHEETS = (".png", ".jpg", ".jpeg")
ANIMATIONS = (".gif", ".webp", ".mp4")
PLAYER = ".html"
SUFFIXES = (*SHEETS, *ANIMATIONS, PLAYER)
_GENERATOR = b'<meta name="generator" content="motionrt">'
"""What every player has in its head."""


@click.command()
@click.argument("motions", metavar="MOTION...", nargs=-1, required=True, type=MotionFile())
@click.option(
    "-o",
    "--output",
    help="File to write; its suffix decides: .png or .jpg contact sheet, .gif, .webp or .mp4 "
    "animation, .html player. A folder gets the player.  [default: the current folder, and a "
    "browser opens it]",
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
    help="Width of the picture in pixels.  [default: sheet 1400, animation 420 a motion]",
)
@click.option(
    "--fps",
    default=25.0,
    show_default=True,
    type=click.FloatRange(1, 60),
    help="Pictures a second in an animation; the speed of the motion does not change.",
)
@reading_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    motions: tuple[Path, ...],
    output: str | None,
    num_poses: int,
    view: str,
    width: int | None,
    fps: float,
    quiet: bool,
    reading: Reading,
) -> None:
    """Draw MOTION files (.npz, .bvh, .glb, .csv) as stick figures.

    Without -o the player opens in the browser. A sheet has one row for each file, an animation
    shows them side by side, and the player (one HTML file, no network) can overlay them too. Left
    limbs are orange, right limbs blue. Videos (.mp4) need an ffmpeg.

    \b
    motionrt view walk.bvh
    motionrt view walk.npz -o walk.png
    motionrt view walk.npz run.bvh -o compare.html
    """  # noqa: D301, click marks a verbatim paragraph by a real backspace
    place = output or "."
    if is_folder(place):
        place = str(_player_in(place, motions[0].stem))
    suffix = PLAYER if place == STANDARD_OUTPUT else Path(place).suffix.lower()
    if suffix not in SUFFIXES:
        raise click.UsageError(
            f"{place}: cannot draw {suffix or 'a file without a suffix'}; "
            f"choose one of {', '.join(SUFFIXES)}"
        )

    from motionrt.runtime.files import check_writable
    from motionrt.viewer import write_gif, write_html, write_sheet, write_video, write_webp

    if place != STANDARD_OUTPUT:
        check_writable(place)
    loaded = reading.read_all(motions)
    names = [path.stem for path in motions]
    with place_to_write(place, suffix) as path:
        if suffix in SHEETS:
            options = {} if width is None else {"width": width}
            write_sheet(loaded, path, names=names, num_poses=num_poses, view=view, **options)
        elif suffix in ANIMATIONS:
            write = {".gif": write_gif, ".webp": write_webp, ".mp4": write_video}[suffix]
            write(loaded, path, names=names, fps=fps, view=view, width=width)
        else:
            write_html(loaded, path, names=names, view=view)
        size = path.stat().st_size
    opened = output is None and _open_in_browser(path)
    if not quiet:
        told = ": open it in a browser" if output is None and not opened else ""
        click.echo(f"{place}  {size / 1000:.0f} kB{told}", err=place == STANDARD_OUTPUT)


def _player_in(folder: str, name: str) -> Path:
    """Return where the player goes in a folder; only another player is written over."""
    path = Path(folder) / f"{name}{PLAYER}"
    number = 2
    while path.exists() and not _is_player(path):
        path, number = Path(folder) / f"{name}-{number}{PLAYER}", number + 1
    return path


def _is_player(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _GENERATOR in file.read(1000)
    except OSError:
        return False


def _open_in_browser(path: Path) -> bool:
    """Open a page where somebody sees it: on a terminal of a machine that has a display."""
    shown = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if not (shown and sys.stdout.isatty()):
        return False
    import webbrowser

    return webbrowser.open(path.resolve().as_uri())
