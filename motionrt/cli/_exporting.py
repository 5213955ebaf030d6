"""What every ``motionrt export`` subcommand shares: its output, and the folder it writes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motionrt.cli._engine_options import add_engines, engine_options, keep
from motionrt.cli._extras import needing
from motionrt.cli._progress import StageProgress
from motionrt.cli._streams import tell
from motionrt.export.lowering.targets import targets
from motionrt.export.quantise.recipes import DENOISER_RECIPES
from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.export.bundle import BundleWriter


@dataclass(frozen=True)
class Output:
    """Where a bundle goes, and what is said on the way."""

    path: Path | None
    """None where a command may write something else alone."""
    force: bool
    licence: str
    quiet: bool


def triton_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --triton, which ``write_bundle`` heeds by itself."""
    return click.option(
        "--triton",
        metavar="REPO",
        type=click.Path(path_type=Path),
        callback=keep,
        expose_value=False,
        help="Also write a model repository of NVIDIA's Triton Inference Server there.",
    )(function)


def output_options(function: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """Add --output, --force, --licence and --quiet, which a command gets as ``output``.

    --target and the options of engines are added too, and heeded by ``write_bundle``. required:
    nothing but a bundle is written.
    """

    @functools.wraps(function)
    def with_output(
        *args: Any, output: Path | None, force: bool, licence: str, quiet: bool, **values: Any
    ) -> Any:
        return function(*args, output=Output(output, force, licence, quiet), **values)

    command = engine_options(required=False)(with_output)
    for option in (
        click.option(
            "--target",
            type=click.Choice(list(targets())),
            expose_value=False,
            callback=keep,
            help="Lower the bundle for another runtime, as motionrt lower does.",
        ),
        click.option("--quiet", is_flag=True, help="Print nothing but errors and warnings."),
        click.option("--licence", default="", help="Licence of the weights, kept in the bundle."),
        click.option("--force", is_flag=True, help="Replace an output that exists."),
        click.option(
            "-o",
            "--output",
            required=required,
            type=click.Path(path_type=Path),
            help="The bundle: a directory that is made.",
        ),
    ):
        command = option(command)
    return command


def precision_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --precision, for the networks that are run many times a motion."""
    return click.option(
        "--precision",
        type=click.Choice(list(DENOISER_RECIPES)),
        default="fp32",
        show_default=True,
        help="int8 is a quarter of the size and faster on CPUs, a little less exact (motionrt "
        "inspect states by how much); int8-weights is as small and nearer to fp32, at its speed; "
        "fp16 is for GPUs.",
    )(function)


@contextmanager
def write_bundle(output: Output) -> Iterator[BundleWriter]:
    """Yield a writer into a temporary folder that becomes the bundle when all went well.

    InputError if the place is taken and nobody said --force, ExportError if the extra is missing.
    """
    from motionrt.runtime.bundle.manifest import check_place
    from motionrt.runtime.files import atomic_folder

    assert output.path is not None
    check_place(output.path, replace=output.force)
    repository = click.get_current_context().meta.get("motionrt.triton")
    if repository is not None and repository.exists() and not output.force:
        raise InputError(f"{repository}: exists already; choose another place, or --force")
    progress = StageProgress(output.quiet)
    progress("starting PyTorch")
    with needing("export", "export"):
        from motionrt.export.bundle import BundleWriter
    meta = click.get_current_context().meta
    if meta.get("motionrt.engine") and meta.get("motionrt.target"):
        raise click.UsageError("--engine and --target exclude each other: engines are for TensorRT")
    with atomic_folder(output.path, replace=output.force) as folder:
        writer = BundleWriter(folder, progress)
        progress("reading the checkpoint")
        yield writer
        if meta.get("motionrt.target"):
            from motionrt.export.lowering.bundle import lower_in_place

            lower_in_place(folder, targets()[meta["motionrt.target"]], progress)
        if meta.get("motionrt.engine"):
            add_engines(
                folder,
                meta["motionrt.engine"],
                meta["motionrt.sm"],
                meta["motionrt.max_frames"],
                meta["motionrt.max_batch"],
                output.quiet,
            )
        if repository is not None:
            from motionrt.export.triton import write_repository

            progress("writing a repository")
            write_repository(folder, repository, replace=output.force)
    seconds = progress.finish()
    for warning in writer.warnings:
        tell(f"Warning: {warning}")
    if not output.quiet:
        size = sum(path.stat().st_size for path in output.path.rglob("*") if path.is_file())
        click.echo(f"{output.path}: {size / 1e6:.1f} MB in {seconds:.0f} s")
