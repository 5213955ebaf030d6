"""What a language model thought before it made a motion, and what that changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motionrt.cli._streams import tell
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.cli._output import Outputs
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.pipeline import Pipeline
    from motionrt.runtime.request import Request


def show_thoughts(motions: Sequence[Motion]) -> None:
    """Print on standard error what was thought before each motion."""
    for number, motion in enumerate(motions):
        which = f"sample {number}: " if len(motions) > 1 else ""
        thought = str(motion.info.get("reasoning") or "")
        if not thought:
            tell(f"{which}thought nothing")
        for line in thought.splitlines():
            tell(f"{which}thought: {line}")


def compare_modes(
    pipeline: Pipeline,
    request: Request,
    outputs: Outputs,
    stem: str,
    strict: bool,
    quiet: bool,
) -> None:
    """Make the motions of a request with thinking and without, write both, and compare them."""
    from motionrt.cli._report import warn

    if "thinking" not in pipeline.family.options:
        raise InputError(f"--test-modes: {pipeline.family.name} does not think")
    rows = [("", "thinking", "no thinking")]
    found = []
    seed = request.seed
    for thinking in (True, False):
        asked = replace(request, seed=seed, options={**request.options, "thinking": thinking})
        start = time.perf_counter()
        motions = pipeline.run(asked)
        seconds = time.perf_counter() - start
        seed = motions[0].info["seed"]
        if thinking:
            for note in motions[0].notes:
                tell(f"note: {note}")
            show_thoughts(motions)
        name = "thinking" if thinking else "no_thinking"
        warn(motions, strict, name)
        files = outputs.write(motions, str(_named(Path(stem), name)))
        found.append((motions, seconds, files))
    if quiet:
        return

    def row(label: str, told: Sequence[str]) -> None:
        rows.append((label, *told))  # type: ignore[arg-type]

    first = [motions[0].info for motions, _, _ in found]
    row("seed", [str(info["seed"]) for info in first])
    row("thought", [f"{len(str(info['reasoning']))} letters" for info in first])
    row("tokens", [str(sum(m.info["num_tokens"] for m in motions)) for motions, _, _ in found])
    row("codes", [str(len(info["codes"])) for info in first])
    row("frames", [str(motions[0].num_frames) for motions, _, _ in found])
    row("seconds", [f"{seconds:.2f}" for _, seconds, _ in found])
    same = first[0]["codes"] == first[1]["codes"]
    width = max(len(middle) for _, middle, _ in rows) + 2
    for label, middle, last in rows:
        click.echo(f"{label:<10}{middle:<{width}}{last}")
    click.echo("the motions are the same" if same else "the motions differ")
    for _, _, files in found:
        for path in files:
            click.echo(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")


def _named(stem: Path, name: str) -> Path:
    """Put a mode into a file's name, in front of its ending if it has one."""
    from motionrt.cli._places import format_named

    if format_named(str(stem)) is None:
        return stem.with_name(f"{stem.name}_{name}")
    return stem.with_name(f"{stem.stem}_{name}{stem.suffix}")
