"""Train a model as the embedded default is one, on folders of captioned motion."""

from __future__ import annotations

from pathlib import Path

import click

from motionrt.cli._extras import needing
from motionrt.export.quantise.recipes import DENOISER_RECIPES


@click.command()
@click.argument("data", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Bundle to write at the end.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("runs/default"),
    show_default=True,
    help="Folder for caches, state and losses; a run there is resumed.",
)
@click.option(
    "--from",
    "start",
    metavar="BUNDLE",
    help="Go on from a bundle's weights, with its text encoder; 'default' is the embedded one.",
)
@click.option(
    "--steps",
    type=click.IntRange(0),
    help="Training steps in all; 0 with --from only makes its bundle anew.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="Highest learning rate; else 0.001, and 0.0005 with --from.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Windows in a batch.")
@click.option(
    "--preset",
    type=click.Choice(["auto", "small", "base"]),
    default="auto",
    show_default=True,
    help="Size and length of the training; auto is base on a GPU and small on a CPU.",
)
@click.option("--optimizer", type=click.Choice(["adamw", "muon"]), help="Optimiser.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option(
    "--fp32", is_flag=True, help="Train in full precision, as processors without bfloat16 do."
)
@click.option(
    "--precision",
    type=click.Choice(list(DENOISER_RECIPES)),
    default="int8-weights",
    show_default=True,
    help="Precision of the bundle.",
)
@click.option("--report-every", type=click.IntRange(1), default=50, show_default=True)
def command(
    data: tuple[Path, ...], work: Path, output: Path | None, start: str | None, **options: object
) -> None:
    """Train the embedded default on motion data folders DATA.

    The run can be stopped at any moment (Ctrl-C, SIGTERM) and goes on where it was when the same
    command is given again. On a CPU it takes the lowest priority.

    With --from the training begins from a bundle that this command made, so that a few thousand
    steps on motions of your own are enough; give the same --from when it goes on. With --steps 0
    as well no data is read: the bundle gets the graphs that this version exports, of its own
    weights.
    """
    if not data and options["steps"] != 0:
        raise click.MissingParameter(param_type="argument", param_hint="'DATA...'")
    from motionrt.runtime.bundle.embedded import embedded_bundle

    with needing("train", "training"):
        from motionrt.train.default.recipe import run

    begin = None
    if start is not None:
        begin = embedded_bundle() if start == "default" else Path(start)
    run(list(data), work, output, echo=click.echo, start=begin, **options)  # type: ignore[arg-type]
