"""Print a motion without an end as it falls due, for a robot's controller or another program."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._bundles import backend_options, bundle_options, find_bundle
from motionrt.cli._flags import flag, prompt_text
from motionrt.cli._streams import tell
from motionrt.cli._text_encoder import ask_text_encoder, text_encoder_options
from motionrt.cli._windows import window_options
from motionrt.runtime.errors import InputError, MotionrtError, one_line
from motionrt.runtime.formats.orders import HINGE_ANGLES, QUATERNION_ORDERS

if TYPE_CHECKING:
    from motionrt.runtime.ardy.session import Session
    from motionrt.runtime.body.motion import Motion

_CHUNK_SECONDS = 0.02
"""What is printed at once; at least a frame."""
_LONGEST_LINE = 1 << 20
Lines = Callable[["Motion"], Iterator[str]]


@click.command("stream")
@click.argument("prompt", required=False, default="", type=prompt_text)
@bundle_options
@flag("seed", type=int, help="0 to 4294967295; the same seed and wishes give the same motion.")
@flag("duration", type=click.FloatRange(0, 1e6), help="Seconds.  [default: until it is stopped]")
@click.option(
    "--fps",
    type=click.FloatRange(0, 10_000, min_open=True),
    help="Frames a second, at least the model's.  [default: the model's]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(("csv", "jsonl")),
    help="csv: G1's qpos, a row a frame; jsonl: root, rotations and joints, an object a frame.  "
    "[default: csv for G1, jsonl for others]",
)
@click.option(
    "--quaternion",
    type=click.Choice(QUATERNION_ORDERS),
    help="Order of the root quaternions.  [default: wxyz]",
)
@click.option(
    "--csv-angles",
    type=click.Choice(HINGE_ANGLES),
    help="Hinge angles: those that pose MuJoCo's robot as the motion stands, or as Kimodo's "
    "exporter reads them.  [default: mujoco]",
)
@flag(
    "delay-frames",
    type=click.IntRange(2, 50),
    default=4,
    show_default=True,
    help="With --fps: frames of the model that are known behind one that is printed.",
)
@click.option("--no-wait", is_flag=True, help="Print frames as soon as they are made.")
@window_options
@text_encoder_options
@backend_options
def command(
    prompt: str,
    bundle: Path | None,
    model: str | None,
    seed: int | None,
    duration: float | None,
    fps: float | None,
    format_name: str | None,
    quaternion: str | None,
    csv_angles: str | None,
    delay_frames: int,
    no_wait: bool,
    num_steps: int | None,
    history_frames: int | None,
    reaction_seconds: float,
    text_encoder_url: str | None,
    text_encoder_token: str | None,
    backend: str,
    threads: int,
) -> None:
    """Print a motion without an end on standard output, beginning with PROMPT.

    Frames come as they fall due. What is piped in steers it, a JSON object a line: {"prompt": "a
    person runs"}, {"goal": [2, 3], "seconds": 4}, {"velocity": [1, 0]}, {"velocity": null},
    {"clear": true}. Only bundles that stream (ARDY) can. Ctrl-C or SIGTERM ends it.
    """
    from motionrt.runtime.pipeline import load

    pipeline = load(find_bundle(bundle, model), backend, threads)
    ask_text_encoder(pipeline, text_encoder_url, text_encoder_token)
    session = pipeline.stream(
        prompt,
        seed=seed,
        num_steps=num_steps,
        history_frames=history_frames,
        reaction_frames=max(1, round(reaction_seconds * pipeline.fps)),
    )
    is_robot = "csv" in pipeline.skeleton.extra_formats
    if format_name == "csv" and not is_robot:
        raise InputError(f"csv holds the robot G1's qpos, the model is of {pipeline.skeleton.name}")
    if format_name == "jsonl" or not is_robot:
        for value, option in ((quaternion, "--quaternion"), (csv_angles, "--csv-angles")):
            if value is not None:
                raise click.UsageError(f"{option} goes with --format csv")
        lines: Lines = _objects
    else:
        lines = _rows(quaternion or "wxyz", csv_angles or "mujoco")
    source = session if fps is None else session.at_rate(fps, delay_frames)
    tell(f"{pipeline.manifest.name} at {source.fps:g} frames a second (seed {session.seed})")
    if not sys.stdin.isatty():
        threading.Thread(target=_listen, args=(session,), daemon=True).start()
    left = None if duration is None else max(1, round(duration * source.fps))
    sleep: Callable[[float], object] = _not_at_all if no_wait else time.sleep
    chunks = source.play(_CHUNK_SECONDS, sleep=sleep)
    try:
        for motion in chunks:
            if left is not None:
                motion = motion.crop(0, left)
                left -= motion.num_frames
            sys.stdout.write("".join(f"{line}\n" for line in lines(motion)))
            sys.stdout.flush()
            if left == 0:
                return
    finally:
        chunks.close()


def _not_at_all(seconds: float) -> None:
    """Wait for nothing."""


def _listen(session: Session) -> None:
    """Grant what is asked for line by line; what cannot be is told, and the next one taken."""
    from motionrt.serving.wish import Wish

    lines = iter(lambda: sys.stdin.buffer.readline(_LONGEST_LINE), b"")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            Wish.read(line).grant(session)
        except MotionrtError as error:
            tell(f"Error: line {number}: {one_line(str(error))}")


def _objects(motion: Motion) -> Iterator[str]:
    """Say root (metres), local rotations (w x y z) and joints (metres) of each frame, as JSON."""
    first = motion.info["first_frame"]
    rotations, joints = motion.local_rotations, motion.posed_joints
    for index, root in enumerate(motion.root_positions):
        yield json.dumps(
            {
                "frame": first + index,
                "prompt": motion.info["prompt"],
                "root": root.astype(float).round(5).tolist(),
                "rotations": rotations[index].astype(float).round(6).tolist(),
                "joints": joints[index].astype(float).round(5).tolist(),
            },
            separators=(",", ":"),
        )


def _rows(quaternion: str, angles: str) -> Lines:
    """Return what writes rows of G1's qpos, as files of --format csv have them."""
    from motionrt.runtime.body.g1 import qpos

    def rows(motion: Motion) -> Iterator[str]:
        table = qpos(
            motion.local_rot_mats,
            motion.root_positions,
            quaternion_first=quaternion == "wxyz",
            kimodo_angles=angles == "kimodo",
        )
        for row in table:
            yield ",".join(f"{value:.9g}" for value in row)

    return rows
