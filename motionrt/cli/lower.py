"""Bring a bundle into the form that another runtime takes."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.export.lowering.targets import targets


@click.command("lower")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--target", type=click.Choice(list(targets())), required=True, help="What is to run it."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle to make."
)
@click.option("--force", is_flag=True, help="Replace an output that exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(bundle: Path | None, target: str, output: Path, force: bool, quiet: bool) -> None:
    """Rewrite the graphs of BUNDLE, or of the embedded default, for another runtime.

    Operator set, operators, loops and files become what the target takes (docs/targets.md); every
    graph is compared with the one that it was, and refused where it would not be the same. The
    result is a bundle: motionrt gen runs it too.
    """
    from motionrt.cli._extras import needing
    from motionrt.cli._progress import StageProgress
    from motionrt.runtime.bundle.embedded import bundle_folder
    from motionrt.runtime.bundle.manifest import Bundle, check_place
    from motionrt.runtime.files import atomic_folder

    check_place(output, replace=force)
    opened = Bundle(bundle_folder(bundle))
    progress = StageProgress(quiet)
    progress("starting PyTorch")
    with needing("export", "lowering"):
        from motionrt.export.lowering.bundle import lower
    with atomic_folder(output, replace=force) as folder:
        lower(opened, targets()[target], folder, progress)
    seconds = progress.finish()
    if not quiet:
        made = Bundle(output).manifest
        size = sum(info.size for info in made.files.values())
        apart = max(graph.deviation.get("lowered", 0.0) for graph in made.graphs.values())
        click.echo(
            f"{output}: {size / 1e6:.1f} MB for {target} in {seconds:.0f} s, "
            f"within {apart:.1e} of the original"
        )
