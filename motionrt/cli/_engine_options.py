"""Options of TensorRT engines, and what ``motionrt engine`` and an export with --engine do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import StageProgress

ENGINES = ("tensorrt-rtx", "tensorrt")


def engine_options(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of engines; not required, ``write_bundle`` heeds them by itself."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        settings: dict[str, Any] = {"callback": keep, "expose_value": required}
        for option in (
            click.option(
                "--max-frames",
                type=int,
                default=300,
                show_default=True,
                help="Frames of the longest motion that the engines take.",
                **settings,
            ),
            click.option(
                "--max-batch",
                type=int,
                default=4,
                show_default=True,
                help="Motions that the engines make at once.",
                **settings,
            ),
            click.option(
                "--sm",
                help="The GPU's compute capability, such as 89; any is every RTX card, with "
                "tensorrt-rtx.  [default: this GPU's]",
                **settings,
            ),
            click.option(
                "--engine",
                type=click.Choice(ENGINES),
                required=required,
                help="Build engines of the graphs; tensorrt-rtx needs no GPU for that.",
                **settings,
            ),
        ):
            function = option(function)
        return function

    return add


def add_engines(
    bundle: Path,
    engine: str,
    sm: str | None,
    max_frames: int,
    max_batch: int,
    quiet: bool,
    graphs: Sequence[str] = (),
) -> None:
    """Build engines into a bundle and say how large they are."""
    from motionrt.runtime.backend.cuda import find_device

    with needing("export", "export"):
        from motionrt.export.to_tensorrt import (
            EngineTarget,
            build_engines,
            describe,
            parse_capability,
        )
    capability = parse_capability(sm) if sm else find_device().sm
    progress = StageProgress(quiet)
    target = EngineTarget(engine, capability, max_frames, max_batch)
    built = build_engines(bundle, target, graphs or None, progress)
    progress.finish()
    if not quiet:
        for name, size in describe(built).items():
            click.echo(f"{target.name} {name}: {size:.1f} MB")


def keep(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    """Keep an option's value for ``write_bundle``, besides or instead of giving it to a command."""
    ctx.meta[f"motionrt.{option.name}"] = value
    return value
