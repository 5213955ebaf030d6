"""Convert motions between .npz, BVH, glTF, CSV, AMASS and robots' formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._finishing import FinishingFlags, finishing_options
from motionrt.cli._flags import CSV_ANGLES, QUATERNION, FormatName
from motionrt.cli._places import (
    STANDARD_OUTPUT,
    check_standard_output,
    is_folder,
    place_to_write,
)
from motionrt.cli._reading import Reading, reading_options_beside
from motionrt.cli._standard_input import MotionFile
from motionrt.cli._streams import tell
from motionrt.runtime.formats.table import FORMATS

EXAMPLES = """\b
motionrt convert walk.npz walk.glb --rest t-pose --joint-names mixamo
motionrt convert walk.npz walk.bvh --fps 60 --bvh-scale 1
motionrt convert dance.csv dance_beyondmimic.npz --fps 50
motionrt convert walk.npz walk.glb --loop --in-place --for unity
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="IN", type=MotionFile())
@click.argument("target", metavar="OUT", required=False)
@click.option("-o", "--output", help="The same as OUT.")
@click.option("--fps", type=float, help="Frame rate of OUT; other than IN's it is resampled.")
@click.option(
    "--rest",
    type=click.Choice(["neutral", "t-pose"]),
    help="Rest pose of .bvh and .glb; retargeting wants t-pose.  [default: neutral]",
)
@click.option(
    "--joint-names",
    type=click.Choice(["mixamo", "ue5", "vrm"]),
    help="Name the joints of .bvh and .glb as an engine maps them by itself.",
)
@click.option("--bvh-scale", type=float, help="Units per metre of a .bvh OUT.  [default: 100]")
@click.option("--amass", is_flag=True, help="Write an .npz OUT as AMASS (SMPL-X bodies).")
@click.option("--y-up", is_flag=True, help="The AMASS file, IN or OUT, has y up, not z.")
@click.option(
    "--rest-zero", is_flag=True, help="Angles of the CSV, IN or OUT, count from G1's rest pose."
)
@click.option(
    "--format",
    type=FormatName(),
    help="Format of OUT, where its ending does not say it.  [default: by ending]",
)
@click.option("--quaternion", **QUATERNION)
@click.option("--csv-angles", **CSV_ANGLES)
@finishing_options
@reading_options_beside("--quaternion")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    source: Path,
    target: str | None,
    output: str | None,
    fps: float | None,
    rest: str | None,
    joint_names: str | None,
    bvh_scale: float | None,
    amass: bool,
    y_up: bool,
    rest_zero: bool,
    format: str | None,
    quaternion: str | None,
    csv_angles: str | None,
    quiet: bool,
    reading: Reading,
    finishing: FinishingFlags,
) -> None:
    """Convert the motion file IN to OUT; the suffixes say from what to what.

    `motionrt formats` lists them. An OUT that ends in _amass.npz is AMASS, in _mjlab.npz or
    _beyondmimic.npz it is the robot G1 for a tracking task. With --format, OUT may be a folder
    (clips/), in which the file is named like IN, or - for standard output.
    """
    from motionrt.runtime.formats.table import (
        caution,
        format_of,
        format_to_write,
        reader_options,
        writer_options,
        written_with,
    )

    if (target is None) == (output is None):
        raise click.UsageError(f"say where to, as in: motionrt convert {source} walk.bvh")
    finishing.check()
    target = target or output or ""
    in_folder = is_folder(target)
    if format is None and (in_folder or target == STANDARD_OUTPUT):
        if not amass:
            raise click.UsageError(f"{target}: names no format; add --format NAME")
        format = "amass"
    target_format = format or format_to_write(target)
    if in_folder:
        target = str(Path(target) / (source.stem + FORMATS[target_format].ending))
    if amass and target_format not in ("npz", "amass"):
        raise click.UsageError(f"{target}: AMASS is written as .npz")
    target_format = "amass" if amass else target_format
    source_format = reading.format or format_of(source)
    own = reader_options(source_format)
    if y_up and target_format != "amass" and source_format not in ("npz", "amass"):
        raise click.UsageError("--y-up is for AMASS files, neither IN nor OUT is one")
    if rest_zero and "csv" not in (target_format, source_format):
        raise click.UsageError("--rest-zero is for CSV files, neither IN nor OUT is one")
    more: dict[str, Any] = {}
    if source_format in ("npz", "amass") and "z_up" not in reading.options:
        more["z_up"] = not y_up
    if "rest_zero" in own:
        more["rest_zero"] = rest_zero
    options: dict[str, Any] = {}
    for option, name, value in [
        ("--rest", "rest", rest),
        ("--joint-names", "joint_names", joint_names),
        ("--bvh-scale", "scale", bvh_scale),
        ("--quaternion", "quaternion", quaternion),
        ("--csv-angles", "angles", csv_angles),
        ("--root-motion", "root_bone", finishing.writing.get("root_bone")),
        ("--root-smoothing", "root_smoothing", finishing.writing.get("root_smoothing")),
        ("--up", "up", finishing.writing.get("up")),
        ("--forward", "forward", finishing.writing.get("forward")),
    ]:
        if value is None:
            continue
        formats = written_with(name)
        if target_format in formats:
            options[name] = value
        elif name in finishing.settings:
            pass  # it is done to the motion
        elif name == "quaternion" and name in own:
            more[name] = reading.options.get(name, value)
        else:
            endings = [FORMATS[known].ending for known in formats]
            raise click.UsageError(f"{option} is for {' and '.join(endings)}, not {target}")
    if target_format == "amass":
        options["z_up"] = not y_up
    if target_format == "csv":
        options["rest_zero"] = rest_zero

    row = FORMATS[target_format]
    if to_pipe := target == STANDARD_OUTPUT:
        check_standard_output(f"a {row.ending} file", row.is_text)
    motion = reading.read(source, **more)
    finished = finishing.finished(motion, fps)
    motion = finished.motion
    for line in finished.told:
        tell(f"note: {line}")
    wanted = finishing.wishes(motion.skeleton)
    taken = writer_options(target_format)
    options = {**{name: wanted[name] for name in taken if name in wanted}, **options}
    with place_to_write(target, row.ending) as path:
        motion.save(path, format=target_format, **options)
    if told := caution(motion, target_format, **options):
        tell(f"note: {target}: {told}")
    if not quiet:
        click.echo(
            f"{target}: {motion.num_frames} frames, {motion.fps:g} fps, {motion.skeleton.name}",
            err=to_pipe,
        )
