"""Judge a bundle by the field's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from motionrt.cli._bundles import backend_options
from motionrt.cli._extras import needing
from motionrt.cli._progress import step_progress

EXAMPLES = """\b
motionrt export evaluator finest.tar --meta Comp_v6_KLD01/meta --glove glove -o evaluator
motionrt evaluate mg3 --data HumanML3D --evaluator evaluator --repeats 20 --modality-texts 100
motionrt evaluate mg3 --data HumanML3D --captions
"""
_PLACE = click.Path(path_type=Path)


@click.command("evaluate", epilog=EXAMPLES)
@click.argument("bundle", required=False, type=_PLACE)
@click.option("--data", required=True, type=_PLACE, help="Folder in HumanML3D's layout.")
@click.option("--evaluator", type=_PLACE, help="Bundle of the networks that judge.")
@click.option("--split", default="test", show_default=True, help="Which list of names.")
@click.option("--limit", type=click.IntRange(min=1), help="Take so many clips, drawn by the seed.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Make everything so often; papers do it 20 times.",
)
@click.option(
    "--modality-texts",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Texts to make many motions of, for MultiModality; papers take 100.",
)
@click.option(
    "--modality-samples",
    type=click.IntRange(min=2),
    default=30,
    show_default=True,
    help="Motions of each of them.",
)
@click.option("--steps", type=int, help="Denoising steps.  [default: the bundle's]")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--captions", is_flag=True, help="Judge captions of the clips instead of motions.")
@click.option("--bert", type=_PLACE, help="Folder of a BERT, for BERTScore of captions.")
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--quiet", is_flag=True, help="Do not report progress.")
def command(
    bundle: Path | None,
    data: Path,
    evaluator: Path | None,
    split: str,
    limit: int | None,
    repeats: int,
    modality_texts: int,
    modality_samples: int,
    steps: int | None,
    batch: int,
    seed: int,
    captions: bool,
    bert: Path | None,
    backend: str,
    threads: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge BUNDLE on a data set of motions and descriptions.

    R-precision (of 32), MM-Dist, FID, Diversity and MultiModality of the motions that it makes of
    the descriptions, beside those of the data's own motions; without BUNDLE of these alone. With
    --captions BLEU, ROUGE-L, CIDEr and BERTScore of what it says of the motions.
    """
    import json

    import numpy as np

    from motionrt.runtime.errors import InputError
    from motionrt.runtime.evaluator.dataset import read_clips
    from motionrt.runtime.pipeline import load

    if captions and bundle is None:
        raise click.UsageError("--captions needs a BUNDLE that describes motions")
    if not captions and evaluator is None:
        raise click.UsageError("--evaluator is missing: the bundle of the networks that judge")
    clips = read_clips(data, split)
    if limit is not None and limit < len(clips):
        chosen = np.random.default_rng(seed).permutation(len(clips))[:limit]
        clips = [clips[row] for row in sorted(chosen)]
    pipeline = None if bundle is None else load(bundle, backend, threads)
    document: dict[str, Any] = {"data": str(data), "split": split, "clips": len(clips)}
    with step_progress(quiet or as_json) as progress:
        if captions:
            with needing("captions", "judging captions"):
                from motionrt.train.caption_scores import caption_scores

            assert pipeline is not None
            said: list[str] = []
            for start in range(0, len(clips), batch):
                if progress is not None:
                    progress("describing", start, len(clips))
                said += pipeline.caption_many(
                    [clip.features for clip in clips[start : start + batch]]
                )
            wanted = [[told.caption for told in clip.descriptions] for clip in clips]
            document["captions"] = caption_scores(said, wanted, bert)
        else:
            from motionrt.runtime.evaluator.evaluation import EvaluationSettings, evaluate
            from motionrt.runtime.evaluator.pipeline import Evaluator

            judge = load(evaluator, backend, threads)
            if not isinstance(judge, Evaluator):
                raise InputError(
                    f"--evaluator {evaluator}: a bundle of {judge.family.name}, which judges "
                    "nothing; make one with: motionrt export evaluator"
                )
            settings = EvaluationSettings(repeats, modality_texts, modality_samples, batch, seed)
            options = {} if steps is None else {"num_steps": steps}
            document["real"] = evaluate(None, judge, clips, settings)
            if pipeline is not None:
                document["bundle"] = evaluate(pipeline, judge, clips, settings, options, progress)
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(f"{len(clips)} clips of {data} ({split})")
    if captions:
        for name, value in document["captions"].items():
            click.echo(f"{name:<16}{value:10.3f}")
        return
    judged = [name for name in ("real", "bundle") if name in document]
    click.echo(" " * 16 + "".join(f"{name:>20}" for name in judged))
    for name in document[judged[-1]]:
        cells = [
            f"{figure['mean']:z.4f} ± {figure['interval']:.4f}" if figure else "-"
            for figure in (document[column].get(name) for column in judged)
        ]
        click.echo(f"{name:<16}" + "".join(f"{cell:>20}" for cell in cells))
