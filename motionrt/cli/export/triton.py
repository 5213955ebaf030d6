"""A bundle as a model repository of NVIDIA's Triton Inference Server."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._extras import needing


@click.command("triton")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The repository: a directory that is made.",
)
@click.option("--name", help="Of the ensemble; its parts begin with it.  [default: the model's]")
@click.option(
    "--diffusion-steps", "num_steps", type=click.IntRange(1), help="[default: the model's]"
)
@click.option("--solver", help="[default: the model's]")
@click.option("--force", is_flag=True, help="Replace an output that exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    bundle: Path | None,
    output: Path,
    name: str | None,
    num_steps: int | None,
    solver: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Write the Kimodo bundle BUNDLE as a Triton model repository.

    Without BUNDLE it is the embedded default. docs/serving.md says what a server needs to run it.
    """
    with needing("export", "export triton"):
        from motionrt.export.triton import write_repository

    from motionrt.runtime.bundle.embedded import bundle_folder

    models = write_repository(
        bundle_folder(bundle), output, name, num_steps=num_steps, solver=solver, replace=force
    )
    if not quiet:
        click.echo(f"{output}: {models[0]}, an ensemble of {', '.join(models[1:])}")
