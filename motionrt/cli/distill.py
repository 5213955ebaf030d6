"""Teach a student of the embedded model, or of one like it, that samples in four steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._extras import needing
from motionrt.export.quantise.recipes import DENOISER_RECIPES


@click.command()
@click.argument("bundle")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Bundle to write at the end.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("runs/distill"),
    show_default=True,
    help="Folder for the state and the table of distances; a run there is resumed.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Time for it, in all.")
@click.option(
    "--steps",
    "num_steps",
    type=click.IntRange(0),
    help="Training steps in all; 0 with --student only makes its bundle.",
)
@click.option(
    "--student",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Go on from the student.pt of another run of this BUNDLE.",
)
@click.option(
    "--apart",
    type=click.FloatRange(0, 1),
    help="First share of the training, in which jumps are taught one by one; else 0.2.",
)
@click.option(
    "--student-steps",
    type=click.IntRange(1, 50),
    help="Steps that the student takes to a motion; else 4.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Motions in a batch.")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), help="Highest learning rate."
)
@click.option("--seed", type=int, help="Of all that is drawn.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--precision",
    type=click.Choice(list(DENOISER_RECIPES)),
    default="int8-weights",
    show_default=True,
    help="Precision of the bundle.",
)
@click.option("--report-every", type=click.IntRange(1), default=50, show_default=True)
def command(
    bundle: str,
    output: Path | None,
    work: Path,
    minutes: float | None,
    precision: str,
    device: str,
    report_every: int,
    **changes: Any,
) -> None:
    """Teach a student of BUNDLE to sample in four steps, without guidance branches.

    BUNDLE is one that train-default made; 'default' is the embedded one. No data is needed: the
    teacher makes the motions that its student learns from. The run can be stopped at any moment
    (Ctrl-C, SIGTERM) and goes on where it was when the same command is given again. The student is
    kept as student.pt in the --work folder; to go on from it elsewhere, or with other settings,
    give it as --student with a new --work folder.
    """
    from motionrt.runtime.bundle.embedded import embedded_bundle

    with needing("train", "distilling"):
        from motionrt.train.few_steps.recipe import run

    teacher = embedded_bundle() if bundle == "default" else Path(bundle)
    run(
        teacher,
        work,
        output,
        precision,
        echo=click.echo,
        minutes=minutes,
        device=device,
        report_every=report_every,
        **changes,
    )
