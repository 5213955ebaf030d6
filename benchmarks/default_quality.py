"""Judge the embedded default: each prompt of the table with many seeds, and contact sheets.

python benchmarks/default_quality.py                       # the embedded default
python benchmarks/default_quality.py --other-wordings      # the same asked for in other words
python benchmarks/default_quality.py --only boxes --first-seed 2000 --seeds 40
python benchmarks/default_quality.py --rarer               # circles, falls, crouched walks
python benchmarks/default_quality.py --bundle DIR
python benchmarks/default_quality.py --work runs/default   # a training, through torch
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from motionrt.runtime.body.motion import Motion
from motionrt.train.default.deeds import circles, crouched, falls, travel
from motionrt.train.default.quality import (
    CHECKS,
    MIN_SHARE,
    OTHER_WORDINGS,
    Result,
    foot_drift,
    judge,
)
from motionrt.viewer import write_sheet

Generator = Callable[[str, float, Sequence[int]], list[Motion]]
MIN_SPEED_RATIO = 1.25
"""By how much a quick walk's median speed is above the plain one's, and that above a slow one's."""

RARER: dict[str, Callable[[Motion], bool]] = {
    "a person walks in a circle": circles,
    "someone strolls around in circles": circles,
    "a person falls down": falls,
    "she collapses": falls,
    "a person sneaks forward": lambda motion: crouched(motion) and travel(motion)[1] > 0.8,
    "a thief walks crouched": lambda motion: crouched(motion) and travel(motion)[1] > 0.8,
}
"""Prompts of few recordings, and what does them."""


def from_bundle(bundle: Path | None) -> Generator:
    """Generate through the runtime with its defaults."""
    import motionrt

    pipeline = motionrt.load(bundle) if bundle else motionrt.load()

    def generate(prompt: str, seconds: float, seeds: Sequence[int]) -> list[Motion]:
        return [pipeline.generate(prompt, seconds=seconds, seed=seed) for seed in seeds]

    return generate


def from_work(work: Path, steps: int, guidance: float, solver: str, teacher: bool) -> Generator:
    """Generate through torch from a training's averaged weights."""
    import torch

    from motionrt.train.default.sampling import Encoder, TorchSampler
    from motionrt.train.default.student import read_student
    from motionrt.train.default.text_space import Teacher, TextSpace
    from motionrt.train.default.trainer import read_averaged

    device = "cuda" if torch.cuda.is_available() else "cpu"
    encode: Encoder
    if teacher:
        space, sentences = TextSpace.load(work / "text_space.safetensors"), Teacher()
        encode = lambda texts: space.project(sentences.embed(texts))  # noqa: E731
    else:
        encode = read_student(work)
    sampler = TorchSampler(read_averaged(work, device), encode)

    def generate(prompt: str, seconds: float, seeds: Sequence[int]) -> list[Motion]:
        return sampler.generate(prompt, seconds, seeds, steps, guidance, solver)

    return generate


def table(results: Sequence[Result]) -> str:
    """Format the results as a Markdown table."""
    lines = [
        "| prompt | does it | feet still | above floor | human speed | smooth | m/s | drift m/s "
        "| jerk m/s³ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.prompt} | {r.passed:.0%} | {r.feet_still:.0%} | {r.above_floor:.0%} "
        f"| {r.speed_human:.0%} | {r.smooth:.0%} | {r.median_speed:.2f} | {r.median_drift:.2f} "
        f"| {r.median_jerk:.0f} |"
        for r in results
    ]
    return "\n".join(lines)


def paces(results: Sequence[Result]) -> tuple[float, float]:
    """Compare median speeds: plain walk by slow walk, quick walk by plain walk."""
    speed = {result.prompt: result.median_speed for result in results}
    plain = speed["a person walks forward"]
    slow, quick = speed["a person walks slowly"], speed["a person walks quickly"]
    return plain / max(slow, 1e-6), quick / max(plain, 1e-6)


def of_rarer(
    generate: Generator,
    seconds: float,
    seeds: Sequence[int],
    only: Sequence[str],
    sheet: Path | None,
) -> None:
    """Print how many seeds of each rarer prompt do it, and how standing feet drift."""
    click.echo("| prompt | does it | drift m/s |\n| --- | --- | --- |")
    shown = {}
    for prompt, does in RARER.items():
        if only and not any(part in prompt for part in only):
            continue
        motions = generate(prompt, seconds, seeds)
        done = np.mean([does(motion) for motion in motions])
        drift = np.median([foot_drift(motion) for motion in motions])
        click.echo(f"| {prompt} | {done:.0%} | {drift:.2f} |")
        shown[prompt] = motions[0]
    if sheet:
        write_sheet(list(shown.values()), sheet, names=list(shown), num_poses=12, width=1000)


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle; else the embedded one.")
@click.option("--work", type=click.Path(path_type=Path), help="Work folder of a training.")
@click.option("--seeds", default=32, show_default=True, help="Seeds for each prompt.")
@click.option("--first-seed", default=0, show_default=True)
@click.option("--seconds", default=5.0, show_default=True)
@click.option("--only", multiple=True, help="Only prompts that contain this.")
@click.option("--other-wordings", is_flag=True, help="Ask for the same in other words.")
@click.option("--rarer", is_flag=True, help="Prompts of few recordings instead.")
@click.option("--steps", default=25, show_default=True, help="Denoising steps (with --work).")
@click.option("--guidance", default=2.0, show_default=True, help="Text guidance (with --work).")
@click.option("--solver", default="ddim", show_default=True, help="Solver (with --work).")
@click.option("--teacher", is_flag=True, help="Encode prompts with the teacher (with --work).")
@click.option("--sheet", type=click.Path(path_type=Path), help="Contact sheet to draw (PNG).")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Figures to store.")
def main(
    bundle: Path | None,
    work: Path | None,
    seeds: int,
    first_seed: int,
    seconds: float,
    only: tuple[str, ...],
    other_wordings: bool,
    rarer: bool,
    steps: int,
    guidance: float,
    solver: str,
    teacher: bool,
    sheet: Path | None,
    json_path: Path | None,
) -> None:
    """Generate every prompt of the table and print how many seeds pass."""
    generate = from_work(work, steps, guidance, solver, teacher) if work else from_bundle(bundle)
    if rarer:
        of_rarer(generate, seconds, range(first_seed, first_seed + seeds), only, sheet)
        return
    results: list[Result] = []
    shown: dict[str, Motion] = {}
    for check in CHECKS:
        if only and not any(part in check.prompt for part in only):
            continue
        started = time.monotonic()
        prompts = OTHER_WORDINGS[check.prompt] if other_wordings else (check.prompt,)
        motions = [
            motion
            for row, prompt in enumerate(prompts)
            for motion in generate(
                prompt, seconds, range(first_seed + row, first_seed + seeds, len(prompts))
            )
        ]
        results.append(judge(check, motions))
        shown[check.prompt] = motions[0]
        click.echo(
            f"{check.prompt}: {results[-1].passed:.0%} ({check.what}), "
            f"{(time.monotonic() - started) / seeds:.2f} s a motion",
            err=True,
        )
    click.echo(table(results))
    if not only:
        to_plain, to_quick = paces(results)
        click.echo(f"\nplain walk is {to_plain:.2f}x the slow one, quick {to_quick:.2f}x the plain")
        good = [r.ok for r in results] + [to_plain >= MIN_SPEED_RATIO, to_quick >= MIN_SPEED_RATIO]
        click.echo(f"{sum(good)} of {len(good)} pass (at least {MIN_SHARE:.0%} of seeds)")
    if sheet:
        write_sheet(list(shown.values()), sheet, names=list(shown), num_poses=12, width=1000)
    if json_path:
        figures = [asdict(result) for result in results]
        json_path.write_text(json.dumps(figures, indent=1, default=float), "utf-8")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
