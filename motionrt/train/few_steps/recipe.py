"""The whole distillation: a bundle in, a student of few steps out."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.train.default.resumable import Progress, lower_priority
from motionrt.train.few_steps.start import Start
from motionrt.train.few_steps.student import STUDENT_FILE, Student
from motionrt.train.few_steps.trainer import DistillConfig, FewStepsTrainer

START_FILE = "start.pt"
LOG_FILE = "distances.csv"
NUM_PROMPTS = 16_000
PRESETS = {
    "cpu": DistillConfig(bfloat16=False, half_teacher=False, num_probes=16, probe_steps=200),
    "cuda": DistillConfig(
        num_steps=1_000_000, batch_size=256, teacher_batch=1024, buffer_size=24_000
    ),
}
"""By what it runs on; where there is no GPU, a student is measured by fewer motions."""


def train(
    work: Path,
    *,
    echo: Callable[[str], None],
    bundle: Path | None = None,
    device: str = "auto",
    minutes: float | None = None,
    probe_seconds: float = 20.0,
    save_seconds: float = 60.0,
    report_every: int = 50,
    student: Path | None = None,
    **changes: object,
) -> bool:
    """Distil, or go on, in the work folder; False if a signal stopped it.

    What it begins from is made of the bundle, or was put there: then torch is all it needs.
    A run without a state there begins from a student's file, where one is given. changes are
    fields of DistillConfig. InputError without a start and a bundle.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    if place.type == "cpu":
        lower_priority()
    given = {name: value for name, value in changes.items() if value is not None}
    config = replace(PRESETS["cuda" if place.type == "cuda" else "cpu"], **given)  # type: ignore[arg-type]
    start = read_start(work, bundle, config.seed, echo)
    begun = None
    if student is not None:
        begun = Student.load(student, start)
        if given.get("student_steps") is None:
            config = replace(config, student_steps=begun.num_steps)
    seconds = None if minutes is None else 60 * minutes
    trainer = FewStepsTrainer(start, config, work, place, seconds, begun)
    echo(f"{config.student_steps} steps on {place}, from step {trainer.step}")
    trainer.probes = trainer.make_probes()
    echo(_told(f"{trainer.elapsed():.0f} s, off all steps", trainer.probes.distances))
    echo(_told("before", trainer.probe()))
    probed = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal probed
        parts = " ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        kept = sum(buffer.size for buffer in trainer.buffers)
        echo(
            f"{trainer.elapsed():.0f} s, step {progress.step}, "
            f"{1000 * progress.seconds_per_step:.0f} ms/step, {kept} ways, "
            f"{trainer.share_done():.0%}: {parts}"
        )
        if trainer.is_done() or time.monotonic() - probed > probe_seconds:
            found = trainer.probe()
            echo(_told(f"{trainer.elapsed():.0f} s, off all steps", found))
            write_row(work / LOG_FILE, {"step": progress.step, **found, **progress.losses})
            probed = time.monotonic()

    finished = trainer.train(report, report_every, save_seconds)
    if not finished:
        echo(f"stopped at step {trainer.step}; the same command goes on from here")
    return finished


def read_start(work: Path, bundle: Path | None, seed: int, echo: Callable[[str], None]) -> Start:
    """Read what a run in the folder begins from, or make it of a bundle.

    InputError without either, CheckpointError if it is of another bundle.
    """
    path = work / START_FILE
    if path.is_file():
        start = Start.load(path)
        if bundle is not None:
            from motionrt.train.few_steps.prepare import start_name

            if start.name != start_name(bundle, NUM_PROMPTS, seed):
                raise CheckpointError(
                    f"{path}: was made of another bundle or seed; give another --work folder"
                )
        return start
    if bundle is None:
        raise InputError(f"{path}: not there, and no bundle is given to make it of")
    from motionrt.train.few_steps.prepare import prepare

    echo(f"reading {bundle} and embedding {NUM_PROMPTS} prompts (some seconds, once)")
    start = prepare(bundle, NUM_PROMPTS, seed)
    work.mkdir(parents=True, exist_ok=True)
    start.save(path)
    return start


def run(
    bundle: Path,
    work: Path,
    output: Path | None,
    precision: str,
    *,
    echo: Callable[[str], None],
    student: Path | None = None,
    num_steps: int | None = None,
    **options: Any,
) -> None:
    """Distil a bundle in the work folder as `train` does; then make the student's at output.

    With no steps nothing is trained: the bundle is made of the given student. InputError without
    one.
    """
    if output is not None:
        from motionrt.runtime.bundle.manifest import check_place

        check_place(output, replace=True)
    made = work / STUDENT_FILE if student is None or num_steps != 0 else student
    if num_steps == 0:
        if student is None:
            raise InputError("no training steps, and no student to make a bundle of")
    elif not train(work, echo=echo, bundle=bundle, student=student, num_steps=num_steps, **options):
        return
    if output is None:
        return
    from motionrt.train.few_steps.finish import make_bundle

    start = read_start(work, bundle, options.get("seed") or 0, echo)
    make_bundle(bundle, Student.load(made, start), work, output, precision, echo)


def write_row(path: Path, row: Mapping[str, float]) -> None:
    """Append a row to a table, with its head if it is new."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def _told(what: str, distances: Mapping[str, float]) -> str:
    return f"{what}: " + ", ".join(f"{name} {value:.2f} cm" for name, value in distances.items())
