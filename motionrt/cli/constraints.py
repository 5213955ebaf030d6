"""Check constraint files, draw them, and make them out of motions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._reading import Reading, reading_options
from motionrt.cli._standard_input import MotionFile
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.runtime.body.skeleton import Skeleton
    from motionrt.runtime.constraints.files import Problem
    from motionrt.runtime.constraints.kinds import Constraint

ALL_FRAMES = "all"


@click.group()
def command() -> None:
    """Check constraint files, draw them, and make them out of motions."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="The bundle it is meant for.  [default: embedded]",
)
@click.option("--skeleton", help="Instead of --bundle: soma30, g1 or smplx22.")
@click.option("--frames", type=click.IntRange(1), help="Length of the clip in frames.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="The same in seconds.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the constraints as PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
def check(
    file: Path,
    bundle: Path | None,
    skeleton: str | None,
    frames: int | None,
    duration: float | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Explain all problems of a constraint FILE.

    The exit code is 1 if there are errors. Conventions: metres, y up, +z forward, radians, frames
    from 0, headings as (cosine, sine).
    """
    if bundle is not None and skeleton is not None:
        raise click.UsageError("give --bundle DIR or --skeleton NAME, not both")
    if frames is not None and duration is not None:
        raise click.UsageError("give --frames or --duration, not both")
    from motionrt.runtime.constraints.files import find_problems, load_document

    chosen, fps, most = _target(bundle, skeleton)
    num_frames = int(duration * fps) if duration is not None else frames
    document = load_document(file)
    problems = find_problems(document, chosen, num_frames or most, fps)
    errors = [problem for problem in problems if problem.is_error]
    constraints: list[Constraint] = []
    if not errors:
        from motionrt.runtime.constraints.files import parse_constraints

        constraints = parse_constraints(document, chosen)
    if as_json:
        click.echo(json.dumps(_report(problems, constraints)))
    else:
        for problem in problems:
            click.echo(f"{'error' if problem.is_error else 'warning'}: {problem}")
        for line in map(_described, range(len(constraints)), constraints):
            click.echo(line)
        warnings = len(problems) - len(errors)
        click.echo(
            f"{file}: {_counted(len(errors), 'error')}, {_counted(warnings, 'warning')} "
            f"for {chosen.name}"
        )
    if plot is not None:
        if errors:
            raise InputError(f"{plot}: not drawn, {file} has errors")
        from motionrt.viewer.constraint_plot import plot_constraints

        plot_constraints(plot, constraints, chosen)
        if not as_json:
            click.echo(f"wrote {plot}")
    if errors:
        sys.exit(1)


@command.command("from-motion")
@click.argument("motion", type=MotionFile())
@click.option("--frames", required=True, help="Frames of the motion: 0,45 or 0-30 or 0-90:10.")
@click.option(
    "--type",
    "kind",
    default="fullbody",
    show_default=True,
    help="root2d, fullbody, left-hand, right-hand, left-foot, right-foot or end-effector.",
)
@click.option("--joint-names", help="For end-effector: LeftHand,Hips and so on.")
@click.option(
    "--first-frame",
    type=int,
    default=0,
    show_default=True,
    help="Frame of the motion that is frame 0 of the constraints.",
)
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    help="Frame rate of the model they are for; frames are moved to it.  [default: the motion's]",
)
@reading_options
@click.option("--append", is_flag=True, help="Add to the constraints that the file has already.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to.")
def from_motion(
    motion: Path,
    frames: str,
    kind: str,
    joint_names: str | None,
    first_frame: int,
    fps: float | None,
    append: bool,
    output: Path,
    reading: Reading,
) -> None:
    """Make constraints out of a MOTION file.

    They hold what the motion does at some frames, to chain clips and to edit them.
    """
    from motionrt.runtime.constraints.files import read_constraints, write_constraints
    from motionrt.runtime.constraints.kinds import constraint_from_motion

    clip = reading.read(motion)
    names = [name.strip() for name in joint_names.split(",")] if joint_names else []
    made = constraint_from_motion(
        clip, _frame_list(frames, clip.num_frames), kind, names, first_frame, fps
    )
    before = read_constraints(output) if append and output.exists() else []
    write_constraints(output, [*before, made])
    click.echo(f"wrote {output}: {_described(len(before), made)}")
    if fps is None and clip.fps != 30:
        click.echo(f"note: frames count at the motion's {clip.fps:g} fps; --fps moves them")


def _target(bundle: Path | None, skeleton: str | None) -> tuple[Skeleton, float, int | None]:
    """Return the skeleton that constraints must fit, fps, and the most frames there may be."""
    from motionrt.runtime.body.skeleton import load_skeleton

    if skeleton is not None:
        return load_skeleton(skeleton), 30.0, None
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import Bundle

    opened = Bundle(bundle_folder(bundle))
    return opened.skeleton, opened.manifest.fps, opened.manifest.limits.max_frames


def _frame_list(text: str, num_frames: int) -> list[int]:
    """Read frames: numbers, ranges a-b with their end, ranges a-b:step; "all" is every frame."""
    if text == ALL_FRAMES:
        return list(range(num_frames))
    frames: list[int] = []
    for part in text.split(","):
        body, colon, step = part.strip().partition(":")
        first, dash, last = body.partition("-")
        try:
            numbers = [int(word) for word in (first, last or first, step or "1")]
        except ValueError:
            raise click.UsageError(f"--frames {text!r}: expected 0,45 or 0-30 or 0-90:10") from None
        if numbers[2] < 1 or numbers[1] < numbers[0] or (dash and not last) or (colon and not step):
            raise click.UsageError(f"--frames {text!r}: {part.strip()!r} is no range")
        if numbers[1] >= num_frames:
            raise InputError(f"frame {numbers[1]}: the motion has {num_frames} frames")
        frames += range(numbers[0], numbers[1] + 1, numbers[2])
    return frames


def _described(number: int, constraint: Constraint) -> str:
    frames = constraint.frame_indices.tolist()
    names = ", ".join(map(str, frames[:8])) + (", ..." if len(frames) > 8 else "")
    return f"{number} {constraint.type}: frame{'s' if len(frames) > 1 else ''} {names}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _report(problems: list[Problem], constraints: list[Constraint]) -> dict[str, object]:
    return {
        "errors": sum(problem.is_error for problem in problems),
        "warnings": sum(not problem.is_error for problem in problems),
        "problems": [
            {
                "level": "error" if problem.is_error else "warning",
                "constraint": problem.index,
                "type": problem.kind or None,
                "message": problem.message,
            }
            for problem in problems
        ],
        "constraints": [
            {"type": item.type, "frame_indices": item.frame_indices.tolist()}
            for item in constraints
        ],
    }
