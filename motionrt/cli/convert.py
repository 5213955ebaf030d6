"""Convert motions between .npz, BVH, glTF, CSV and AMASS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._reading import Reading, reading_options

AMASS_ENDING = "_amass.npz"
"""Files with this ending are written as AMASS, as Kimodo names them."""


EXAMPLES = """\b
motionrt convert walk.npz walk.glb --rest t-pose --joint-names mixamo
motionrt convert walk.npz walk.bvh --fps 60 --bvh-scale 1
"""


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
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
@reading_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    source: Path,
    target: Path,
    fps: float | None,
    rest: str | None,
    joint_names: str | None,
    bvh_scale: float | None,
    amass: bool,
    y_up: bool,
    rest_zero: bool,
    quiet: bool,
    reading: Reading,
) -> None:
    """Convert the motion file IN to OUT; the suffixes say from what to what.

    .npz, .bvh, .glb and .gltf hold any skeleton, .vrma humanoids, .csv the robot G1 (MuJoCo's
    qpos), AMASS .npz SMPL-X bodies, .npy HumanML3D's joint positions; an OUT that ends in
    _amass.npz is AMASS.
    """
    from motionrt.runtime.body.resample import resample
    from motionrt.runtime.formats.table import format_of, reader_options

    target_format = format_of(target)
    if target_format == "npz" and (amass or target.name.endswith(AMASS_ENDING)):
        target_format = "amass"
    elif amass:
        raise click.UsageError(f"{target}: AMASS is written as .npz")
    if y_up and target_format != "amass" and source.suffix.lower() != ".npz":
        raise click.UsageError("--y-up is for AMASS files, neither IN nor OUT is one")
    if rest_zero and "csv" not in (target_format, format_of(source)):
        raise click.UsageError("--rest-zero is for CSV files, neither IN nor OUT is one")
    options: dict[str, Any] = {}
    for option, name, value, formats in [
        ("--rest", "rest", rest, ("bvh", "glb", "gltf")),
        ("--joint-names", "joint_names", joint_names, ("bvh", "glb", "gltf")),
        ("--bvh-scale", "scale", bvh_scale, ("bvh",)),
    ]:
        if value is None:
            continue
        if target_format not in formats:
            raise click.UsageError(f"{option} is for .{' and .'.join(formats)}, not {target}")
        options[name] = value
    if target_format == "amass":
        options["z_up"] = not y_up
    if target_format == "csv":
        options["rest_zero"] = rest_zero

    own = reader_options(reading.format or format_of(source))
    more = {"z_up": not y_up, "rest_zero": rest_zero}
    motion = reading.read(source, **{name: more[name] for name in more if name in own})
    if fps is not None:
        motion = resample(motion, fps)
    motion.save(target, format=target_format, **options)
    if not quiet:
        click.echo(
            f"{target}: {motion.num_frames} frames, {motion.fps:g} fps, {motion.skeleton.name}"
        )
