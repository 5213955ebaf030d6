"""Hold the judge of motions to recordings, to good motions of a model and to bad ones.

python benchmarks/judge.py --data DIR --data DIR      # recorded clips: figures, and who is outside
python benchmarks/judge.py --good --seeds 32          # prompts that the default knows: false alarms
python benchmarks/judge.py --bad --seeds 5            # nonsense on purpose: what is caught
python benchmarks/judge.py --chained --seeds 5        # long prompts in parts: speed, seams
"""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import motionrt
from motionrt.constraints import Root2D
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.quality import judge
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default.clips import read_clips, resample
from motionrt.train.default.dataset import CONTACT_MAX_SPEED_MPS
from motionrt.train.default.quality import CHECKS

RATES = (30.0, 20.0)
BAD: dict[str, dict[str, Any]] = {
    "runs, 8 s, in one piece": {
        "prompt": "a person runs forward",
        "seconds": 8.0,
        "chain": False,
    },
    "walks, 8 s, in one piece": {
        "prompt": "a person walks forward",
        "seconds": 8.0,
        "chain": False,
    },
    "walks, 30 s, in one piece": {
        "prompt": "a person walks forward",
        "seconds": 30.0,
        "chain": False,
    },
    "cartwheel, 5 s": {"prompt": "a person does a cartwheel", "seconds": 5.0},
    "path of 60 m in 5 s": {
        "prompt": "a person walks",
        "seconds": 5.0,
        "constraints": [Root2D([0, 99], [[0, 0], [0, 60]])],
    },
}
LONG = {
    "a person walks forward": 30.0,
    "a person runs forward": 8.0,
    "someone dances": 20.0,
    "someone sits down": 12.0,
}


def clips(folders: Iterable[Path]) -> Iterable[tuple[str, Motion]]:
    """Give every clip at every rate, with contacts as the default's training sees them."""
    skeleton = load_skeleton("cmu22")
    feet = list(skeleton.foot_joints)
    for folder in folders:
        for original in read_clips(folder):
            for fps in RATES:
                clip = original if original.fps == fps else resample(original, fps)
                motion = Motion.from_local(
                    quaternion_to_matrix(clip.rotations), clip.root, skeleton, fps
                )
                places = motion.posed_joints[:, feet]
                speed = np.linalg.norm(np.diff(places, axis=0, append=places[-1:]), axis=-1) * fps
                motion.foot_contacts = (speed < CONTACT_MAX_SPEED_MPS) & (places[..., 1] < 0.10)
                yield f"{original.folder}/{original.name} at {fps:g} fps", motion


def of_recordings(folders: Sequence[Path]) -> None:
    """Print the percentiles of every figure at every rate, and the clips outside."""
    values: dict[tuple[str, float], list[float]] = defaultdict(list)
    limits: dict[tuple[str, float], float] = {}
    outside, count, seconds = [], 0, 0.0
    for name, motion in clips(folders):
        start = time.process_time()
        quality = judge(motion)
        seconds += time.process_time() - start
        count += 1
        for figure in quality.figures:
            values[figure.name, motion.fps].append(figure.value)
            limits[figure.name, motion.fps] = figure.limit
        if told := quality.warning():
            outside.append(f"{name}: {told}")
    click.echo("| figure | fps | median | 95 % | 99 % | highest | limit |")
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (name, fps), found in values.items():
        marks = np.percentile(found, [50, 95, 99, 100])
        told = " | ".join(f"{mark:.3g}" for mark in marks)
        click.echo(f"| {name} | {fps:g} | {told} | {limits[name, fps]:.4g} |")
    click.echo(f"\n{len(outside)} of {count} are outside ({len(outside) / count:.2%}):")
    click.echo("\n".join(outside))
    click.echo(f"\n{1e3 * seconds / count:.1f} ms of a processor a clip")


def of_known_prompts(pipeline: motionrt.KimodoPipeline, seeds: int) -> None:
    """Print how many motions of prompts that the model knows are outside, prompt by prompt."""
    total = 0
    for check in CHECKS:
        motions = [pipeline.generate(check.prompt, 5.0, seed=seed) for seed in range(seeds)]
        found = [motion.warnings for motion in motions if motion.warnings]
        total += len(found)
        click.echo(f"{check.prompt}: {len(found)} of {seeds} {found[:1] or ''}")
    click.echo(f"{total} of {seeds * len(CHECKS)} ({total / seeds / len(CHECKS):.2%})")


def of_nonsense(pipeline: motionrt.KimodoPipeline, seeds: int) -> None:
    """Print how much of what is known to go wrong is warned of, and by its motion alone."""
    click.echo("| asked for | warned of | by the motion alone |")
    click.echo("| --- | ---: | ---: |")
    for name, asked in BAD.items():
        motions = [pipeline.generate(seed=seed, **asked) for seed in range(seeds)]
        warned = sum(bool(motion.warnings) for motion in motions)
        seen = sum(bool(motion.info["quality"]["outside"]) for motion in motions)
        click.echo(f"| {name} | {warned} of {seeds} | {seen} of {seeds} |")


def of_chains(pipeline: motionrt.KimodoPipeline, seeds: int) -> None:
    """Print speeds over a second, and jerk and sliding at the seams against the rest."""
    click.echo(
        "| prompt | s | parts | speed over a second, m/s | jerk, m/s³ | at seams | drift, m/s "
        "| at seams | warned of |"
    )
    click.echo("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for prompt, seconds in LONG.items():
        motions = [pipeline.generate(prompt, seconds, seed=seed) for seed in range(seeds)]
        rows = [_seams(motion) for motion in motions]
        parts = len(motions[0].info["segments"])
        speeds = np.concatenate([row[0] for row in rows])
        jerk = [np.concatenate([row[1][at] for row in rows]).mean() for at in (False, True)]
        drift = []
        for at in (False, True):
            found = np.concatenate([row[2][at] for row in rows])
            drift.append(f"{found.mean():.3f}" if len(found) else "none stands")
        warned = sum(bool(motion.warnings) for motion in motions)
        click.echo(
            f"| {prompt} | {seconds:g} | {parts} "
            f"| {np.median(speeds):.2f} ({speeds.min():.2f} to {speeds.max():.2f}) "
            f"| {jerk[0]:.0f} | {jerk[1]:.0f} | {drift[0]} | {drift[1]} | {warned} of {seeds} |"
        )


def _seams(
    motion: Motion,
) -> tuple[NDArray[np.float64], dict[bool, NDArray[np.float64]], dict[bool, NDArray[np.float64]]]:
    """Give speeds over a second, and jerk and drift of standing feet beside and at the seams."""
    places, fps = motion.posed_joints.astype(np.float64), motion.fps
    lengths = [part["num_frames"] for part in motion.info["segments"]]
    near = np.zeros(motion.num_frames, bool)
    for end, before in zip(np.cumsum(lengths)[:-1], lengths, strict=False):
        overlap = motion.info["num_transition_frames"] + before // 10
        near[max(0, end - overlap - 3) : end + 3] = True
    root = places[:, 0, ::2]
    second = round(fps)
    speeds = np.linalg.norm(root[second:] - root[:-second], axis=-1)
    jerk = np.linalg.norm(np.diff(places, n=3, axis=0), axis=-1).mean(1) * fps**3
    feet = list(motion.skeleton.foot_joints)
    drift = np.linalg.norm(np.diff(places[:, feet, ::2], axis=0), axis=-1) * fps
    assert motion.foot_contacts is not None
    standing = motion.foot_contacts[1:] & motion.foot_contacts[:-1]
    beside = {at: near[1:] == at for at in (False, True)}
    return (
        speeds,
        {at: jerk[near[2:-1] == at] for at in (False, True)},
        {at: drift[beside[at]][standing[beside[at]]] for at in (False, True)},
    )


@click.command()
@click.option("--data", type=click.Path(path_type=Path), multiple=True, help="Motion folders.")
@click.option("--good", is_flag=True, help="Judge prompts that the model knows.")
@click.option("--bad", is_flag=True, help="Judge what is known to go wrong.")
@click.option("--chained", is_flag=True, help="Judge long prompts in parts.")
@click.option("--seeds", default=5, show_default=True, help="Seeds for each prompt.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle; else the embedded one.")
def main(
    data: tuple[Path, ...],
    good: bool,
    bad: bool,
    chained: bool,
    seeds: int,
    bundle: Path | None,
) -> None:
    """Print what is asked for, as Markdown."""
    warnings.simplefilter("ignore", motionrt.MotionWarning)
    if data:
        of_recordings(data)
    pipeline = motionrt.KimodoPipeline.load(bundle)
    if good:
        of_known_prompts(pipeline, seeds)
    if bad:
        of_nonsense(pipeline, seeds)
    if chained:
        of_chains(pipeline, seeds)


if __name__ == "__main__":
    main()
