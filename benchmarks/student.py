"""How near a student of few steps comes to all steps of its teacher, and what it costs and keeps.

    python benchmarks/student.py BUNDLE [--teacher DIR] [--seeds 1] [--checked 32] [--write]

BUNDLE is what `motionrt distill` made; the teacher is the embedded default unless another is given.
Every way of sampling starts from the same noise, with words alone and with keyframes of another
motion held. The checks are those of default_quality.py.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from default_quality import MIN_SPEED_RATIO, from_bundle, paces
from results import write_section
from solvers import PROMPTS

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.constraints.kinds import Constraint, constraint_from_motion
from motionrt.train.default.quality import CHECKS, Result, judge

HEADING = "A student of few steps"
FRAMES, KEYFRAMES = 80, (0, 40, 79)
HELD = ("a person walks and turns left", "a person sits down")
KINDS = ("fullbody", "right-hand")
SOURCE_SEED = 1000
TIMED = 10
"""Motions, of which the median counts."""


@dataclass(frozen=True)
class Way:
    """How motions are made."""

    name: str
    pipeline: Any
    solver: str
    steps: int

    def motions(self, tasks: Sequence[Task]) -> list[Motion]:
        """Make a motion of every task."""
        return [self.motion(task) for task in tasks]

    def motion(self, task: Task) -> Motion:
        """Make the motion of a task, as it was sampled."""
        found: Motion = self.pipeline.generate(
            task.prompt,
            num_frames=FRAMES,
            seed=task.seed,
            solver=self.solver,
            num_steps=self.steps,
            constraints=list(task.constraints),
            postprocess=False,
        )
        return found


@dataclass(frozen=True)
class Task:
    """What is asked for."""

    prompt: str
    seed: int
    constraints: tuple[Constraint, ...] = ()


def held_tasks(pipeline: Any, seeds: int) -> list[Task]:
    """Ask for keyframes of other motions of the teacher, with their words."""
    tasks = []
    for prompt, kind in itertools.product(HELD, KINDS):
        source = pipeline.generate(prompt, num_frames=FRAMES, seed=SOURCE_SEED)
        constraint = constraint_from_motion(source, list(KEYFRAMES), kind)
        tasks += [Task(prompt, seed, (constraint,)) for seed in range(seeds)]
    return tasks


def distance_cm(found: Sequence[Motion], wanted: Sequence[Motion]) -> float:
    """Return the mean distance of joints."""
    pairs = zip(found, wanted, strict=True)
    apart = [np.linalg.norm(a.posed_joints - b.posed_joints, axis=-1).mean() for a, b in pairs]
    return float(np.mean(apart) * 100)


def seconds_each(ways: Sequence[Way], task: Task) -> list[float]:
    """Time a motion in every way, by turns; the medians."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(TIMED):
        for way, times in zip(ways, taken, strict=True):
            began = time.perf_counter()
            way.motion(task)
            times.append(time.perf_counter() - began)
    return [float(np.median(times)) for times in taken]


def failed_checks(bundle: Path, seeds: int) -> tuple[int, list[str]]:
    """Run the checks of the default; how many there are, and those that fail."""
    generate = from_bundle(bundle)
    results: list[Result] = [
        judge(check, generate(check.prompt, 5.0, range(seeds))) for check in CHECKS
    ]
    failed = [f"{r.prompt} ({r.passed:.0%})" for r in results if not r.ok]
    for name, ratio in zip(("plain by slow", "quick by plain"), paces(results), strict=True):
        if ratio < MIN_SPEED_RATIO:
            failed.append(f"{name} walk {ratio:.2f}x")
    return len(results) + 2, failed


def main() -> None:
    """Sample in every way, time, check, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--teacher", type=Path, help="else the embedded default")
    parser.add_argument("--seeds", type=int, default=1, help="noises for each prompt")
    parser.add_argument("--checked", type=int, default=32, help="seeds for each check")
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    teacher: Any = motionrt.load(options.teacher, backend="cpu")
    student: Any = motionrt.load(options.bundle, backend="cpu")
    few = int(student.manifest.sampler["num_steps"])
    everything = int(teacher.manifest.sampler["num_base_steps"])
    ways = [
        Way("teacher", teacher, "ddim", 50),
        Way("teacher", teacher, "dpmpp-2m", 12),
        Way("student", student, "ddim", few),
    ]
    whole = Way("teacher", teacher, "ddim", everything)
    free = [Task(prompt, seed) for prompt in PROMPTS for seed in range(options.seeds)]
    held = held_tasks(teacher, options.seeds)
    for way in ways:
        way.motion(free[0]), way.motion(held[0])  # so that loading is not timed
    times = [seconds_each(ways, tasks[0]) for tasks in (free, held)]
    ends = [whole.motions(tasks) for tasks in (free, held)]
    apart = [
        [distance_cm(way.motions(tasks), end) for way in ways]
        for tasks, end in zip((free, held), ends, strict=True)
    ]
    total, failed = failed_checks(options.bundle, options.checked)
    lines = [
        f"{student.manifest.name} ({student.manifest.graphs['step'].precision}), {len(free)} "
        f"motions of words alone and {len(held)} with keyframes held, {FRAMES} frames, on cpu; "
        f"distances are to ddim with all {everything} steps of the teacher from the same noise. "
        "Times are a motion's, against the student's in the same run.",
        "",
        "| who | solver | steps | free, cm | held, cm | free, time | held, time |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row, way in enumerate(ways):
        distances = " | ".join(f"{part[row]:.1f}" for part in apart)
        ratios = " | ".join(f"{part[row] / part[-1]:.1f}x" for part in times)
        lines.append(f"| {way.name} | {way.solver} | {way.steps} | {distances} | {ratios} |")
    lines += [
        "",
        f"Of the default's {total} checks with {options.checked} seeds each the student keeps "
        f"{total - len(failed)}" + (f"; not {', '.join(failed)}." if failed else "."),
    ]
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    warnings.simplefilter("ignore", motionrt.MotionWarning)  # the checks count what is doubtful
    np.seterr(all="raise", under="ignore")
    main()
