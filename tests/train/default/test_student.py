from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.corpus import sentences
from motionrt.train.default.resumable import Progress
from motionrt.train.default.student import (
    StudentConfig,
    StudentTrainer,
    read_student,
    train_tokenizer,
)

pytestmark = pytest.mark.slow

CONFIG = StudentConfig(
    num_steps=8,
    batch_size=8,
    vocab_size=400,
    hidden_size=16,
    intermediate_size=32,
    num_layers=1,
    num_heads=2,
    warmup_steps=2,
)
TEXTS = [clean_prompt(text) for text in sentences(40, seed=1)]


@pytest.fixture
def make_student(
    random_vectors: Callable[[int, int], NDArray[np.float32]], tmp_path: Path
) -> Callable[..., StudentTrainer]:
    vectors = random_vectors(len(TEXTS), 6)

    def make(config: StudentConfig = CONFIG, folder: str = "work") -> StudentTrainer:
        captions, corpus = (TEXTS[:20], vectors[:20]), (TEXTS[20:], vectors[20:])
        return StudentTrainer(captions, corpus, config, tmp_path / folder, torch.device("cpu"))

    return make


def quiet(_: Progress) -> None:
    pass


def test_sentences_are_many_different_and_repeatable() -> None:
    made = sentences(500, seed=0)
    assert len(set(made)) == 500
    assert made == sentences(500, seed=0) != sentences(500, seed=1)
    assert any("not move" in sentence for sentence in sentences(1000, seed=0))


def test_the_tokenizer_can_write_any_text() -> None:
    tokenizer = train_tokenizer(TEXTS, 400)
    for text in ("A person walks forward.", "Größe 走る 🤸"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_a_resumed_distillation_ends_as_one_without_a_break(
    make_student: Callable[..., StudentTrainer],
) -> None:
    whole = make_student(folder="whole")
    assert whole.train(quiet)
    broken = make_student(folder="broken")
    for _ in range(3):
        broken.train_step()
    broken.save()
    resumed = make_student(folder="broken")
    assert resumed.step == 3
    assert resumed.train(quiet)
    for name, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[name]), name


def test_another_configuration_is_refused(make_student: Callable[..., StudentTrainer]) -> None:
    make_student().save()
    with pytest.raises(CheckpointError, match="another seed"):
        make_student(replace(CONFIG, seed=1))


def test_other_captions_start_a_new_distillation(
    make_student: Callable[..., StudentTrainer], tmp_path: Path
) -> None:
    student = make_student()
    student.train_step()
    student.save()
    vectors = student.targets.numpy()
    captions = (["A person walks on."], vectors[:1])
    other = StudentTrainer(captions, (TEXTS, vectors), CONFIG, student.folder, student.device)
    assert (make_student().step, other.step) == (1, 0)


def test_it_learns_its_targets(make_student: Callable[..., StudentTrainer]) -> None:
    student = make_student(replace(CONFIG, num_steps=150, learning_rate=1e-2, warmup_steps=5))
    errors: list[float] = []
    student.train(lambda progress: errors.append(progress.losses["total"]), report_every=50)
    assert errors[-1] < 0.4 * errors[0]


def test_what_is_written_reads_back_as_a_text_encoder(
    make_student: Callable[..., StudentTrainer],
) -> None:
    student = make_student()
    student.train(quiet)
    encode = read_student(student.folder)
    prompts = ["A person walks forward.", "Someone does something unheard of."]
    np.testing.assert_allclose(encode(prompts), student.encode(prompts), atol=1e-5)
    assert encode(prompts).shape == (2, 6)
