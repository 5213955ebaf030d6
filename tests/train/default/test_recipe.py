from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import motionrt
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.train.default import recipe, text_space
from motionrt.train.default.batches import BatchConfig
from motionrt.train.default.dataset import DatasetConfig
from motionrt.train.default.student import StudentConfig
from motionrt.train.default.trainer import TrainConfig

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe with everything made small, and a teacher that knows letters only."""

    def embed(texts: list[str], folder: Path, device: object) -> np.ndarray:
        counts = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts])
        return np.concatenate([counts, counts**2], axis=-1).astype(np.float32)

    config = DatasetConfig(
        window_frames=(30,), stride_frames=30, locomotion_tempos=(1.0,), splits=("train",)
    )
    train = TrainConfig(num_steps=3, latent_dim=64, ff_size=64, num_layers=1, num_heads=2)
    student = StudentConfig(
        num_steps=3, batch_size=8, hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2
    )
    monkeypatch.setattr(recipe, "embed_cached", embed)
    monkeypatch.setattr(text_space, "embed_cached", embed)
    monkeypatch.setattr(recipe, "DatasetConfig", lambda: config)
    monkeypatch.setattr(recipe, "TEXT_WIDTH", 8)
    monkeypatch.setattr(recipe, "NUM_SENTENCES", 50)
    monkeypatch.setattr(recipe, "STUDENTS", {"small": student})
    batches = BatchConfig(batch_size=4, bucket_shares=(1.0,))
    monkeypatch.setattr(recipe, "PRESETS", {"small": (train, batches)})
    monkeypatch.setattr(recipe, "lower_priority", lambda: None)


@pytest.mark.usefixtures("tiny_recipe")
def test_one_command_goes_from_data_to_a_bundle_that_runs(
    data_folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    output = tmp_path / "bundle"
    recipe.run(
        [data_folder], tmp_path / "work", output, echo=said.append, preset="small", device="cpu"
    )
    manifest = Bundle(output).manifest
    assert manifest.sampler["num_steps"] == recipe.SAMPLER["num_steps"]
    assert manifest.limits.advised_seconds == 6 and manifest.limits.transitions_included
    assert "walking" in manifest.text["known_prompts"]["actions"][0]
    motion = motionrt.load(output, backend="cpu").generate("a person walks", seconds=1.0, seed=0)
    assert motion.num_frames == 20
    assert motion.skeleton.name == "cmu22"
    assert np.isfinite(motion.posed_joints).all()
    assert any("3/3" in line for line in said)


@pytest.mark.usefixtures("tiny_recipe")
def test_a_finished_run_goes_on_when_more_steps_are_asked_for(
    data_folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    for steps in (2, 4):
        recipe.run(
            [data_folder],
            tmp_path,
            None,
            echo=said.append,
            preset="small",
            device="cpu",
            steps=steps,
            report_every=1,
        )
    assert any("from step 2" in line for line in said)
    assert any("step 4/4" in line for line in said)
