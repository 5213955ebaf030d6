"""Finish motions for games and scenes: loops, paths, ends, speed, other programs' axes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from motionrt.cli._finishing import FinishingFlags, finishing_options
from motionrt.cli._flags import FormatName
from motionrt.cli._places import (
    STANDARD_OUTPUT,
    check_standard_output,
    is_folder,
    place_to_write,
)
from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile
from motionrt.cli._streams import tell
from motionrt.runtime.formats.table import FORMATS

EXAMPLES = """\b
motionrt finish walk.npz -o loop.glb --loop --in-place --for unity
motionrt finish run.bvh -o run.glb --loop --root-motion bone --start-at origin --face +z
motionrt finish wave.npz -o wave.bvh --from-pose rest --to-pose rest --fps 60
motionrt finish walk.npz -o left.npz --mirror --speed 0.9 --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="MOTION", type=MotionFile())
@click.option("-o", "--output", required=True, help="File to write, a folder, or -.")
@finishing_options
@click.option("--fps", type=float, help="Frame rate of the file.  [default: MOTION's]")
@click.option("--rest", type=click.Choice(["neutral", "t-pose"]), help="Rest pose of BVH and glTF.")
@click.option(
    "--joint-names",
    type=click.Choice(["mixamo", "ue5", "vrm"]),
    help="Name the joints of BVH and glTF as engines map them.",
)
@click.option("--format", type=FormatName(), help="Format of the file.  [default: by ending]")
@reading_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def command(
    source: Path,
    output: str,
    fps: float | None,
    rest: str | None,
    joint_names: str | None,
    format: str | None,
    quiet: bool,
    as_json: bool,
    reading: Reading,
    finishing: FinishingFlags,
) -> None:
    """Finish MOTION and write it: what is asked for is done in the order of the flags below.

    A loop is cut where the body comes back to a pose as it moves; the seam is then closed in
    positions, rotations, velocities and heading, and how far it was off is told.
    """
    from motionrt.runtime.formats.table import caution, format_of, format_to_write, writer_options

    finishing.check()
    if output == STANDARD_OUTPUT and as_json:
        raise click.UsageError("-o - goes without --json")
    in_folder = is_folder(output)
    if format is None and (in_folder or output == STANDARD_OUTPUT):
        format = reading.format or format_of(source)
    name = format or format_to_write(output)
    if in_folder:
        output = str(Path(output) / (source.stem + FORMATS[name].ending))
    row = FORMATS[name]
    if to_pipe := output == STANDARD_OUTPUT:
        check_standard_output(f"a {row.ending} file", row.is_text)
    finished = finishing.finished(reading.read(source), fps)
    motion = finished.motion
    given = {"rest": rest, "joint_names": joint_names}
    wanted = {
        **finishing.wishes(motion.skeleton),
        **{key: value for key, value in given.items() if value is not None},
    }
    options: dict[str, Any] = {key: wanted[key] for key in writer_options(name) if key in wanted}
    with place_to_write(output, row.ending) as path:
        motion.save(path, format=name, **options)
    if told := caution(motion, name, **options):
        tell(f"note: {output}: {told}")
    if as_json:
        figures = {"file": output, "frames": motion.num_frames, "fps": motion.fps}
        click.echo(json.dumps({**figures, **finished.figures}))
        return
    if quiet:
        return
    for line in finished.told:
        click.echo(line, err=to_pipe)
    click.echo(
        f"{output}: {motion.num_frames} frames, {motion.fps:g} fps, {motion.skeleton.name}",
        err=to_pipe,
    )
