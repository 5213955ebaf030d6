"""What ``motionrt gen`` says of what it made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._streams import tell

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.request import Request


def report(
    request: Request,
    motions: Sequence[Motion],
    files: Sequence[Path],
    seconds: Mapping[str, float],
    quiet: bool,
    as_json: bool,
    err: bool = False,
) -> None:
    """Print the summary of a run, as text or as JSON; warnings, or with err all, go to stderr.

    seconds says how long loading, generating and writing took.
    """
    info, fps = motions[0].info, motions[0].fps
    if dropped := info.get("num_dropped_constraint_frames"):
        tell(f"warning: {dropped} constrained frames lie beyond the clip's end")
    if as_json:
        summary = {
            "files": [str(path) for path in files],
            "prompt": list(request.prompts) if request.multi_prompt else request.prompts[0],
            "frames": [motion.num_frames for motion in motions],
            "fps": fps,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            **{key: value for key, value in info.items() if key not in ("prompt", "sample")},
        }
        click.echo(json.dumps(summary))
    elif not quiet:
        frames = motions[0].num_frames
        click.echo(
            f"{info['model']} on {info['backend']}: {frames} frames "
            f"({frames / fps:.1f} s) in {seconds['generate']:.2f} s, seed {info['seed']}",
            err=err,
        )
        for path in files:
            click.echo(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")
