"""What ``motionrt gen`` says of what it made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._streams import tell
from motionrt.runtime.errors import MotionError

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.request import Request


_OF_A_SAMPLE = ("prompt", "sample", "quality")


def warn(motions: Sequence[Motion], strict: bool, name: str = "") -> None:
    """Print the warnings of motions to standard error, a line each, before anything is written.

    What all samples share is said once; name says whose they are, in a list. MotionError with the
    first of them if none is allowed.
    """
    lines = [f"{name and name + ': '}{line}" for line in warning_lines(motions)]
    if strict and lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise MotionError(f"{lines[0]}{more}; nothing of it is written, for --strict")
    for line in lines:
        tell(f"warning: {line}")


def warning_lines(motions: Sequence[Motion]) -> list[str]:
    """Return the warnings of motions; what all samples share is said once."""
    samples: dict[str, list[int]] = {}
    for sample, motion in enumerate(motions):
        for told in motion.warnings:
            samples.setdefault(told, []).append(sample)
    lines = []
    for told, found in samples.items():
        which = "" if len(found) == len(motions) else f"sample {', '.join(map(str, found))}: "
        lines.append(f"{which}{told}")
    return lines


def judged(motions: Sequence[Motion]) -> dict[str, object]:
    """Give the figures and warnings of each motion, for JSON."""
    return {
        "quality": [motion.info.get("quality") for motion in motions],
        "warnings": [motion.warnings for motion in motions],
    }


def report(
    request: Request,
    motions: Sequence[Motion],
    files: Sequence[Path],
    seconds: Mapping[str, float],
    quiet: bool,
    as_json: bool,
    err: bool = False,
) -> None:
    """Print the summary of a run, as text or as JSON; with err to standard error.

    seconds says how long loading, generating and writing took.
    """
    info, fps = motions[0].info, motions[0].fps
    if as_json:
        summary = {
            "files": [str(path) for path in files],
            "prompt": list(request.prompts) if request.multi_prompt else request.prompts[0],
            "frames": [motion.num_frames for motion in motions],
            "fps": fps,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            **{key: value for key, value in info.items() if key not in _OF_A_SAMPLE},
            **judged(motions),
        }
        click.echo(json.dumps(summary))
    elif not quiet:
        frames = motions[0].num_frames
        parts = len(info.get("segments", ()))
        chained = f" in {parts} parts" if parts > len(request.prompts) else ""
        click.echo(
            f"{info['model']} on {info['backend']}: {frames} frames "
            f"({frames / fps:.1f} s{chained}) in {seconds['generate']:.2f} s, seed {info['seed']}",
            err=err,
        )
        for path in files:
            click.echo(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")
