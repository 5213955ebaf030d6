"""Judge a projector on pairs of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._extras import needing
from motionrt.cli._progress import step_progress
from motionrt.cli._projector_data import data_options, read_data
from motionrt.cli._streams import tell


@click.command("eval-projector")
@click.argument("projector", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--part",
    type=click.Choice(("test", "validation", "train", "all")),
    default="test",
    show_default=True,
    help="Which rows, by the split that train-projector makes with the same seed and shares.",
)
@click.option("--heads", type=int, help="Heads of an attention projector in a .pt file.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Bundle of Kimodo: make motions of targets and projections, and say in centimetres how "
    "far they are apart, and how far another seed would be.",
)
@click.option("--motions", default=16, show_default=True, help="Prompts to make motions of.")
@click.option("--seconds", default=4.0, show_default=True, help="How long these motions are.")
@click.option("--steps", type=int, help="Denoising steps of each.  [default: the bundle's]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw them into a .png or .svg file.")
@click.option("--quiet", is_flag=True, help="Do not report progress.")
def command(
    projector: Path,
    part: str,
    heads: int | None,
    bundle: Path | None,
    motions: int,
    seconds: float,
    steps: int | None,
    as_json: bool,
    plot: Path | None,
    quiet: bool,
    seed: int,
    shares: tuple[float, float],
    **data: Any,
) -> None:
    """Judge the projector in the file PROJECTOR on pairs that it was not trained on."""
    import json

    from motionrt.runtime.errors import InputError

    with needing("train", "judging"):
        from motionrt.export.readers.projector import read_projector
        from motionrt.train.metrics import projector_metrics
        from motionrt.train.pairs import split_pairs
        from motionrt.train.projector import flat_prediction, minimal_pair_score

    module, metadata = read_projector(projector, heads)
    pairs, _, encoders = read_data(quiet or as_json, **data)
    if module.config.in_dim != pairs.x.shape[-1]:
        raise InputError(
            f"{projector}: takes {module.config.in_dim} features, "
            f"the pairs have {pairs.x.shape[-1]}"
        )
    warning = None
    if part == "all":
        rows = pairs
    else:
        chosen = getattr(split_pairs(pairs, seed, shares), part)
        if len(chosen) < 2:
            raise InputError(f"{pairs.source}: {len(chosen)} {part} pairs; choose another --part")
        rows = pairs.rows(chosen)
    trained_on = metadata.get("dataset_sha256") == pairs.content_hash
    if part in ("all", "train") and (trained_on or part == "train"):
        warning = "these rows include those it was trained on"
    elif trained_on and metadata.get("seed") != str(seed):
        warning = f"it was trained with --seed {metadata.get('seed')}: rows may be of its training"
    projected, target = flat_prediction(module, rows)
    metrics = projector_metrics(projected, target, seed)
    moved = None
    if bundle is not None:
        import motionrt
        from motionrt.train.motion_error import motion_error

        if rows.sequences:
            raise InputError(f"{pairs.source}: motions are made of vectors, not of sequences")
        pipeline = motionrt.load(bundle)
        with step_progress(quiet or as_json) as progress:
            moved = motion_error(
                pipeline,
                projected,
                target,
                num_motions=motions,
                seconds=seconds,
                num_steps=steps,
                seed=seed,
                progress=progress,
            )
    suite: dict[str, bool] = {}
    if encoders is not None:
        suite = minimal_pair_score(*encoders, module, target.mean(0))
    if plot is not None:
        from motionrt.train.plots import plot_metrics

        plot_metrics(plot, metrics, projected, target)
    if as_json:
        document = {"part": part, **metrics.to_dict(), "minimal_pairs": suite, "warning": warning}
        if moved is not None:
            document["motions"] = moved.to_dict()
        click.echo(json.dumps(document, indent=1))
        return
    low, high = metrics.mse_interval
    lines = [
        ("rows", f"{metrics.num_rows} ({part})"),
        (
            "mse",
            f"{metrics.mse:.5g}  (90 %: {low:.4g} to {high:.4g}; "
            f"predicting the mean: {metrics.mse_of_mean:.4g})",
        ),
        ("r2", f"{metrics.r2:.3f}"),
        ("cosine", f"{metrics.cosine:.4f}  (5th percentile {metrics.cosine_p5:.4f})"),
        (
            "centred cosine",
            f"{metrics.centred_cosine:.4f}  (5th percentile {metrics.centred_cosine_p5:.4f})",
        ),
        ("norm ratio", f"{metrics.norm_ratio:.3f}"),
        (
            "std ratio",
            f"{metrics.std_ratio_min:.3f} to {metrics.std_ratio_max:.3f}, "
            f"median {metrics.std_ratio_median:.3f}",
        ),
        (
            "outlier features",
            f"{metrics.outlier_dims_gt2} above 2, {metrics.collapsed_dims_lt0_5} below 0.5",
        ),
        (
            "feature correlation",
            f"mean {metrics.per_dim_corr_mean:.3f}, least {metrics.per_dim_corr_min:.3f}",
        ),
        (
            "std profile",
            "undefined" if metrics.std_profile_corr is None else f"{metrics.std_profile_corr:.3f}",
        ),
        (
            "retrieval",
            f"R@1 {metrics.recall_at_1:.3f}, R@10 {metrics.recall_at_10:.3f}, "
            f"MRR {metrics.mrr:.3f}",
        ),
        (
            "retrieval, reverse",
            f"R@1 {metrics.recall_at_1_reverse:.3f}, R@10 {metrics.recall_at_10_reverse:.3f}, "
            f"MRR {metrics.mrr_reverse:.3f}",
        ),
    ]
    if moved is not None:
        lines += [
            (
                "joint error",
                f"{moved.joint_error_cm:.2f} cm, {moved.relative:.2f} of what another seed changes "
                f"({moved.seed_spread_cm:.2f} cm; {moved.num_motions} prompts of "
                f"{moved.seconds:.1f} s)",
            ),
            (
                "  about the root",
                f"{moved.body_error_cm:.2f} cm, {moved.body_relative:.2f} of "
                f"{moved.body_seed_spread_cm:.2f} cm",
            ),
        ]
    if suite:
        lines.append(("minimal pairs", f"{sum(suite.values())} of {len(suite)}"))
        lines += [("  confused", pair) for pair, right in suite.items() if not right]
    for name, value in lines:
        click.echo(f"{name:<20} {value}")
    if warning:
        tell(f"Warning: {warning}")
