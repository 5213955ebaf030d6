from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from motionrt.export.readers.kimodo import read_kimodo
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import CheckpointError
from motionrt.train.default import trainer as trainer_module
from motionrt.train.default.batches import BatchConfig, BatchSource
from motionrt.train.default.dataset import DatasetConfig, build_dataset
from motionrt.train.default.resumable import Progress
from motionrt.train.default.sampling import TorchSampler
from motionrt.train.default.trainer import (
    TrainConfig,
    Trainer,
    read_averaged,
    read_losses,
)

pytestmark = pytest.mark.slow

CONFIG = TrainConfig(
    num_steps=6,
    latent_dim=16,
    ff_size=32,
    num_layers=1,
    num_heads=2,
    warmup_steps=2,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def source(
    data_folder: Path, random_vectors: Callable[[int, int], NDArray[np.float32]]
) -> BatchSource:
    config = DatasetConfig(window_frames=(30,), stride_frames=30, splits=("train",))
    dataset = build_dataset([data_folder], config)
    vectors = random_vectors(len(dataset.texts), 8)
    batches = BatchConfig(batch_size=4, bucket_shares=(1.0,))
    return BatchSource(dataset, vectors, load_skeleton("cmu22"), batches, torch.device("cpu"))


def quiet(_: Progress) -> None:
    pass


def trained(source: BatchSource, folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    trainer = Trainer(source, 8, config, folder)
    assert trainer.train(quiet, report_every=2)
    return trainer


def test_the_same_seed_gives_the_same_weights(source: BatchSource, tmp_path: Path) -> None:
    first, second = (trained(source, tmp_path / name) for name in ("a", "b"))
    other = trained(source, tmp_path / "c", replace(CONFIG, seed=1))
    for name, value in first.ema.items():
        assert torch.equal(value, second.ema[name]), name
    assert not torch.equal(
        first.ema["root_model.input_linear.weight"], other.ema["root_model.input_linear.weight"]
    )


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_ends_as_one_without_a_break(
    source: BatchSource, tmp_path: Path, optimizer: str
) -> None:
    config = replace(CONFIG, optimizer=optimizer)
    whole = trained(source, tmp_path / "whole", config)
    broken = Trainer(source, 8, config, tmp_path / "broken")
    for _ in range(3):
        broken.train_step()
    broken.save()
    resumed = Trainer(source, 8, config, tmp_path / "broken")
    assert resumed.step == 3
    assert resumed.train(quiet, report_every=2)
    for name, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[name]), name
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_signal_stops_the_run_after_a_save(source: BatchSource, tmp_path: Path) -> None:
    trainer = Trainer(source, 8, CONFIG, tmp_path)

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    assert not trainer.train(stop, report_every=1)
    assert signal.getsignal(signal.SIGTERM) is handler
    resumed = Trainer(source, 8, CONFIG, tmp_path)
    assert 2 <= resumed.step <= 3
    assert resumed.train(quiet)


def test_another_configuration_or_a_torn_state_is_refused_but_more_steps_are_not(
    source: BatchSource, tmp_path: Path
) -> None:
    trained(source, tmp_path)
    with pytest.raises(CheckpointError, match="learning_rate"):
        Trainer(source, 8, replace(CONFIG, learning_rate=1e-4), tmp_path)
    longer = Trainer(source, 8, replace(CONFIG, num_steps=8), tmp_path)
    assert longer.train(quiet, report_every=2)
    assert longer.step == 8
    state = tmp_path / "training.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="no training state"):
        Trainer(source, 8, CONFIG, tmp_path)


def test_losses_are_logged_once_a_step(source: BatchSource, tmp_path: Path) -> None:
    trainer = Trainer(source, 8, CONFIG, tmp_path)
    trainer.train(quiet, report_every=2)
    assert [row["step"] for row in read_losses(tmp_path)] == [2, 4, 6]
    assert all(np.isfinite(list(row.values())).all() for row in read_losses(tmp_path))
    assert (tmp_path / "losses.png").stat().st_size > 0


def test_a_run_killed_between_its_files_goes_on_and_writes_all(
    source: BatchSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a save, and again in a line of the log."""
    whole = trained(source, tmp_path / "whole")
    folder = tmp_path / "killed"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for last in ("plot_losses", "write_kimodo_checkpoint"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(trainer_module, last, killed)
            trained(source, folder)
    log = folder / trainer_module.LOSSES_FILE
    log.write_bytes(log.read_bytes()[:-5])
    resumed = trained(source, folder)
    places = [t.folder / trainer_module.DENOISER_FOLDER for t in (whole, resumed)]
    first, second = (load_file(place / "model.safetensors") for place in places)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    logs = [(t.folder / trainer_module.LOSSES_FILE).read_text() for t in (whole, resumed)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("rest", ["4", "4,0.5\r\n5,1", "4,0.5,7,8\r\n", "\0\xff\r\n"])
def test_a_damaged_line_ends_the_log(tmp_path: Path, rest: str) -> None:
    log = tmp_path / trainer_module.LOSSES_FILE
    log.write_bytes(b"step,total\r\n2,0.25\r\n" + rest.encode("latin-1"))
    expected = [{"step": 2.0, "total": 0.25}]
    if rest.startswith("4,0.5\r"):
        expected.append({"step": 4.0, "total": 0.5})
    assert read_losses(tmp_path) == expected


def test_what_is_saved_is_a_kimodo_checkpoint(source: BatchSource, tmp_path: Path) -> None:
    trainer = trained(source, tmp_path)
    checkpoint = read_kimodo(tmp_path / "denoiser")
    assert checkpoint.skeleton == "cmu22"
    assert checkpoint.model.config == trainer.model_config
    for name, value in trainer.ema.items():
        assert torch.equal(checkpoint.model.state_dict()[name], value)


def test_a_trained_checkpoint_can_be_sampled(source: BatchSource, tmp_path: Path) -> None:
    trained(source, tmp_path)
    vectors = np.ones((1, 8), np.float32)
    sampler = TorchSampler(read_averaged(tmp_path), lambda texts: vectors)
    motions = sampler.generate("a person walks", 1.0, [0, 1], num_steps=4)
    again = sampler.generate("a person walks", 1.0, [1], num_steps=4)
    assert [motion.num_frames for motion in motions] == [20, 20]
    np.testing.assert_allclose(motions[1].posed_joints, again[0].posed_joints, atol=1e-4)
    assert np.isfinite(motions[0].posed_joints).all()


def test_training_learns(source: BatchSource, tmp_path: Path) -> None:
    config = replace(CONFIG, num_steps=400, latent_dim=32, learning_rate=3e-3)
    Trainer(source, 8, config, tmp_path).train(quiet, report_every=20)
    rows = read_losses(tmp_path)
    for name in ("positions", "velocities", "total"):
        assert rows[-1][name] < 0.7 * rows[0][name], name
