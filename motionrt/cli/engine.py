"""Build TensorRT engines into a bundle, for any GPU, without one."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._engine_options import add_engines, engine_options


@click.command("engine")
@click.argument("bundle", type=click.Path(path_type=Path))
@engine_options(required=True)
@click.option("--graph", "graphs", multiple=True, help="A graph, several times for more.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    bundle: Path,
    engine: str,
    sm: str | None,
    max_frames: int,
    max_batch: int,
    graphs: tuple[str, ...],
    quiet: bool,
) -> None:
    """Build engines of the step and the decoder of BUNDLE and list them in its manifest.

    TensorRT for RTX builds for any GPU on a machine without one; TensorRT only for its own.
    """
    add_engines(bundle, engine, sm, max_frames, max_batch, quiet, graphs)
