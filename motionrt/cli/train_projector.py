"""Fit a projector from one text encoder's embeddings to another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import step_progress
from motionrt.cli._projector_data import data_options, read_data


@click.command("train-projector")
@data_options
@click.option(
    "-o",
    "--output",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="The projector: .safetensors with metadata, or .pt, a plain state dict. Repeat for both.",
)
@click.option(
    "--kind",
    type=click.Choice(("auto", "moments", "linear", "kernel", "mlp", "attention")),
    default="auto",
    show_default=True,
    help="auto takes linear, or kernel where cross-validation on at most 1,200 rows (seconds) "
    "shows it to be better; moments matches mean and covariance alone, for a handful of pairs.",
)
@click.option(
    "--solver",
    type=click.Choice(("ridge", "pca-ridge", "procrustes", "gradient")),
    default="ridge",
    show_default=True,
    help="How the linear kind is fitted; gradient trains it.",
)
@click.option("--components", default=400, show_default=True, help="Of pca-ridge and procrustes.")
@click.option(
    "--gain",
    is_flag=True,
    help="Scale the result so that its embeddings are as long as the targets: a stronger text "
    "signal, a larger squared error.",
)
@click.option("--hidden", default=4096, show_default=True, help="Width of the mlp kind.")
@click.option("--heads", default=8, show_default=True, help="Heads of the attention kind.")
@click.option("--queries", default=1, show_default=True, help="Queries of the attention kind.")
@click.option(
    "--weights",
    help='Weights of the target features\' errors: "outliers" (those that spread far), or a file '
    "of one number a line (.txt or .npy).",
)
@click.option("--loss", type=click.Choice(("mse", "cosine", "infonce")), default="mse")
@click.option("--optimiser", type=click.Choice(("adamw", "adam")), default="adamw")
@click.option("--lr", default=3e-4, show_default=True, help="Learning rate.")
@click.option("--weight-decay", default=0.01, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--warmup", default=0, show_default=True, help="Batches over which the rate rises.")
@click.option(
    "--schedule",
    type=click.Choice(("cosine-step", "cosine-epoch", "constant")),
    default="cosine-step",
    show_default=True,
)
@click.option("--ema", default=0.0, help="Running mean of the parameters, such as 0.999.")
@click.option(
    "--patience",
    default=10,
    show_default=True,
    help="Epochs without progress to stop after; 0: never.",
)
@click.option("--raw", is_flag=True, help="Do not standardise inputs and targets (gradient only).")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda (gradient only).")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Written after every epoch; training goes on from it if it exists. Removed at the end.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    output: tuple[Path, ...],
    kind: str,
    solver: str,
    components: int,
    gain: bool,
    hidden: int,
    heads: int,
    queries: int,
    weights: str | None,
    loss: str,
    optimiser: str,
    lr: float,
    weight_decay: float,
    batch_size: int,
    epochs: int,
    warmup: int,
    schedule: str,
    ema: float,
    patience: int,
    raw: bool,
    device: str,
    checkpoint: Path | None,
    as_json: bool,
    quiet: bool,
    seed: int,
    shares: tuple[float, float],
    **data: Any,
) -> None:
    """Fit a projector on pairs of embeddings.

    The pairs come from --pairs (a data set of either layout, or a file of both arrays), or are made
    from --texts by a --student and a --teacher encoder.
    """
    import json

    from motionrt.cli._projector_data import loss_weights
    from motionrt.runtime.errors import InputError
    from motionrt.runtime.files import check_writable

    with needing("train", "training"):
        from motionrt.train.gradient import GradientSettings
        from motionrt.train.projector import ProjectorOptions, save_projector, train_projector

    for path in (*output, *([checkpoint] if checkpoint else [])):
        check_writable(path)
    for path in output:
        if path.suffix not in (".safetensors", ".pt"):
            raise InputError(f"{path}: a projector is written as .safetensors or .pt")
    options = ProjectorOptions(
        kind=kind,
        solver=solver,
        components=components,
        gain=gain,
        hidden_dim=hidden,
        num_heads=heads,
        num_queries=queries,
        weights=loss_weights(weights),
        shares=shares,
        seed=seed,
        gradient=GradientSettings(
            optimiser=optimiser,
            learning_rate=lr,
            weight_decay=weight_decay,
            batch_size=batch_size,
            epochs=epochs,
            schedule=schedule,
            warmup_steps=warmup,
            loss=loss,
            standardise=not raw,
            ema=ema,
            patience=patience or None,
            device=device,
        ),
    )
    pairs, provenance, _ = read_data(quiet, **data)
    with step_progress(quiet or as_json) as bar:

        def progress(done: int, total: int, validation: float) -> None:
            if bar is not None:
                bar(f"training, validation loss {validation:.4g}", done, total)

        trained = train_projector(
            pairs, options, checkpoint=checkpoint, progress=progress, provenance=provenance
        )
    for path in output:
        save_projector(path, trained.module, trained.metadata)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    if as_json:
        told = {**trained.metadata, "metrics": trained.metrics.to_dict(), "notes": trained.notes}
        click.echo(json.dumps({**told, "files": [str(path) for path in output]}, indent=1))
    elif not quiet:
        for note in trained.notes:
            click.echo(note)
        figures = trained.metrics
        click.echo(
            f"{trained.metadata['metrics_of']}: mse {figures.mse:.4g} (predicting the mean: "
            f"{figures.mse_of_mean:.4g}), centred cosine {figures.centred_cosine:.3f}, "
            f"R@1 {figures.recall_at_1:.3f} of {figures.num_rows}, "
            f"norm ratio {figures.norm_ratio:.2f}"
        )
        for path in output:
            click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
