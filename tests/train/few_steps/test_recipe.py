from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.train.few_steps import recipe
from motionrt.train.few_steps.start import Start
from motionrt.train.few_steps.student import Student
from motionrt.train.few_steps.teacher import Teacher
from motionrt.train.few_steps.trainer import DistillConfig, FewStepsTrainer

SMALL = {
    "teacher_steps": 6,
    "probe_steps": 12,
    "num_probes": 4,
    "batch_size": 8,
    "teacher_batch": 16,
    "windows": (1.0,),
    "warmup_steps": 2,
    "ema_decay": 0.5,
}


@pytest.fixture(autouse=True)
def _same_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "lower_priority", lambda: None)


def train(work: Path, said: list[str], **options: object) -> bool:
    """Distil the tiny start a little, on the CPU."""
    changes = {**SMALL, **options}
    return recipe.train(work, echo=said.append, device="cpu", report_every=4, **changes)  # type: ignore[arg-type]


def test_it_learns_both_ways_and_goes_on_from_its_state(work: Path) -> None:
    said: list[str] = []
    assert train(work, said, num_steps=8, apart=0.5, probe_seconds=0.0)
    with (work / "distances.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["4", "8"]
    assert all(float(row["student"]) > 0 for row in rows)
    probes = (work / "probes.pt").stat().st_mtime_ns
    assert train(work, said, num_steps=10, apart=0.5)
    assert any("from step 8" in line for line in said)
    assert (work / "probes.pt").stat().st_mtime_ns == probes, "sampled with all steps again"
    with pytest.raises(CheckpointError, match="batch_size"):
        train(work, said, num_steps=12, apart=0.5, batch_size=4)


def test_each_way_of_teaching_is_exact_for_the_teacher_itself(
    work: Path, tiny_start: Start
) -> None:
    config = DistillConfig(bfloat16=False, half_teacher=False, **SMALL)  # type: ignore[arg-type]
    trainer = FewStepsTrainer(tiny_start, config, work, torch.device("cpu"))
    asked = trainer.source.draw(4, 8, 12)
    noise = trainer.source.noise(*asked.observed.shape)
    # A teacher in one branch that takes its student's steps is what the student should become.
    teacher = Teacher(trainer.teacher.model, (1.0, 1.0))
    states = teacher.run(noise, asked, trainer.jumps, trainer.jumps)
    nobody = states.clone()
    nobody[:, 1:] = 0
    for losses in (trainer.jump_losses, trainer.row_losses):
        with torch.no_grad():
            exact, other = losses(asked, states), losses(asked, nobody)
        assert float(exact["cm"]) < 0.2  # a floor under the root keeps it above 0
        assert float(exact["stops"]) < 1e-6 < 1e-3 < float(other["stops"])


def test_another_run_goes_on_from_a_student(work: Path, tiny_start: Start, tmp_path: Path) -> None:
    said: list[str] = []
    train(work, said, num_steps=4, student_steps=3)
    student = Student.load(work / "student.pt", tiny_start)
    other = tmp_path / "other"
    other.mkdir()
    tiny_start.save(other / "start.pt")
    train(other, said, num_steps=1, learning_rate=1e-12, student=work / "student.pt")
    found = Student.load(other / "student.pt", tiny_start)
    assert found.num_steps == student.num_steps == 3
    for name, value in student.weights.items():
        torch.testing.assert_close(found.weights[name], value, rtol=1e-3, atol=1e-6)
    moved = [
        not torch.equal(value, tiny_start.weights[name]) for name, value in student.weights.items()
    ]
    assert any(moved)


def test_what_does_not_fit_is_refused(work: Path, tiny_start: Start, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match="no bundle is given"):
        recipe.train(tmp_path / "empty", echo=said.append, device="cpu")
    Student(Start(**{**vars(tiny_start), "name": "other"}), 4, tiny_start.weights).save(
        work / "other.pt"
    )
    with pytest.raises(CheckpointError, match="another teacher"):
        train(work, said, student=work / "other.pt")
    (work / "start.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="no start of a distillation"):
        train(work, said)
