"""Measure how well the embedded default meets constraints, before and after the clean-up.

python benchmarks/default_constraints.py                 # the embedded default
python benchmarks/default_constraints.py --bundle DIR
python benchmarks/default_constraints.py --guidance 2 --guidance 3   # of text, of constraints
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.kinds import Constraint, Root2D, constraint_from_motion
from motionrt.train.default.quality import (
    MAX_DRIFT_MPS,
    MIN_CONTACTS,
    contact_share,
    foot_drift,
    mean_jerk,
)

NUM_FRAMES = 80
KEYFRAMES = (0, 40, 79)
SECONDS = 4.0
NUM_SOURCES = 6
"""Motions of each prompt that keyframes are taken from: one alone may be an easy one."""
SOURCE_SEED = 1000
PATHS: dict[str, Callable[[NDArray[np.float64]], tuple[Any, Any]]] = {
    "slow": lambda t: (0 * t, 3.2 * t),
    "quick": lambda t: (0 * t, 6 * t),
    "curve": lambda t: (1.5 * (1 - np.cos(1.5 * t)), 3.5 * np.sin(1.5 * t)),
    "bulge": lambda t: (0.5 * np.sin(np.pi * t), 4 * t),
}
"""x and z in metres over the time from 0 to 1."""
SOURCES = ("a person walks forward", "a person walks and turns left", "a person sits down")
KINDS = ("fullbody", "left-hand", "right-foot")


@dataclass(frozen=True)
class Task:
    """A constraint, and which joints of which frames it holds where."""

    name: str
    prompt: str
    constraint: Constraint
    frames: Sequence[int]
    joints: Sequence[int]
    places: NDArray[np.float64]
    """(frames, joints, 2 or 3) in metres: x and z, or all three."""

    def error(self, motion: Motion) -> float:
        """Return the mean distance from what is held, in metres."""
        joints = motion.posed_joints[list(self.frames)][:, list(self.joints)]
        axes = [0, 2] if self.places.shape[-1] == 2 else [0, 1, 2]
        return float(np.linalg.norm(joints[..., axes] - self.places, axis=-1).mean())


def path_tasks() -> Iterator[Task]:
    """Ask for walks along paths, given at every frame or at three."""
    time = np.linspace(0, 1, NUM_FRAMES)
    for path in PATHS.values():
        points = np.stack(path(time), axis=-1)
        for kind, frames in (("every frame", range(NUM_FRAMES)), ("3 waypoints", KEYFRAMES)):
            held = list(frames)
            constraint = Root2D(held, points[held].tolist())
            yield Task(f"path, {kind}", "a person walks", constraint, held, [0], points[held, None])


def keyframe_tasks(pipeline: Any) -> Iterator[Task]:
    """Ask for keyframes of other motions of the model, with their words and with fewer."""
    for source, seed in itertools.product(SOURCES, range(SOURCE_SEED, SOURCE_SEED + NUM_SOURCES)):
        motion = pipeline.generate(source, seconds=SECONDS, seed=seed)
        skeleton = motion.skeleton
        for kind in KINDS:
            constraint = constraint_from_motion(motion, list(KEYFRAMES), kind)
            joints = {
                "fullbody": range(skeleton.num_joints),
                "left-hand": skeleton.end_effector_groups["LeftHand"][:1],
                "right-foot": skeleton.end_effector_groups["RightFoot"][:1],
            }[kind]
            places = motion.posed_joints[list(KEYFRAMES)][:, list(joints)]
            yield Task(f"{kind} of its words", source, constraint, KEYFRAMES, joints, places)
            if "turns" in source:
                fewer = "a person walks"
                yield Task(f"{kind} of a turn", fewer, constraint, KEYFRAMES, joints, places)


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle; else the embedded one.")
@click.option("--seeds", default=4, show_default=True, help="Motions for each constraint.")
@click.option("--guidance", multiple=True, type=float, help="Guidance weights; else the bundle's.")
def main(bundle: Path | None, seeds: int, guidance: tuple[float, ...]) -> None:
    """Generate under every constraint and print how far it is met."""
    pipeline: Any = motionrt.load(bundle) if bundle else motionrt.load()
    options: dict[str, Any] = {"seconds": SECONDS, "seed": 7, "num_samples": seeds}
    if guidance:
        options["guidance_weights"] = list(guidance)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for task in (*path_tasks(), *keyframe_tasks(pipeline)):
        asked = {"constraints": [task.constraint], **options}
        raw = pipeline.generate_many(task.prompt, postprocess=False, **asked)
        cleaned = pipeline.generate_many(task.prompt, **asked)
        exact = pipeline.generate_many(task.prompt, compat="latest", **asked)
        figures: list[tuple[float, ...]] = [
            (
                task.error(before),
                task.error(after),
                task.error(newest),
                foot_drift(before),
                foot_drift(after),
                foot_drift(after) > MAX_DRIFT_MPS,
                contact_share(after) < MIN_CONTACTS,
                mean_jerk(after),
            )
            for before, after, newest in zip(raw, cleaned, exact, strict=True)
        ]
        rows.setdefault(task.name, []).extend(figures)
        click.echo(f"{task.name}: {task.prompt}: {np.mean(figures, axis=0).round(3)}", err=True)
    click.echo(
        "| constraint | off, sampled | off, cleaned up | off, `--compat latest` | drift, sampled "
        f"| drift, cleaned up | over {MAX_DRIFT_MPS} m/s | hardly any contacts | jerk m/s³ |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, figures in rows.items():
        *distances, before, after, sliding, untold, jerk = np.mean(figures, axis=0)
        meters = " | ".join(f"{distance:.3f} m" for distance in distances)
        drift = f"{before:.2f} m/s | {after:.2f} m/s | {sliding:.0%} | {untold:.0%}"
        click.echo(f"| {name} | {meters} | {drift} | {jerk:.0f} |")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
