from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motionrt
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import CheckpointError
from motionrt.runtime.verification import verify
from motionrt.train.default import calibration, deeds, recipe, text_space
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
    known = deeds.Deed("walking", lambda motion: True, ("^walk", "^stroll"))
    unknown = deeds.Deed("swimming", lambda motion: False, ("^swim", "^dive"))
    monkeypatch.setattr(deeds, "DEEDS", (known, unknown))
    for name, value in (("SAYINGS", 1), ("NUM_EPOCHS", 1), ("NUM_FOLDS", 2), ("SECONDS", 1.0)):
        monkeypatch.setattr(calibration, name, value)


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
    assert manifest.limits.advised_seconds == 1.5 and manifest.limits.transitions_included
    assert manifest.text["known_prompts"]["actions"] == ["walking"]
    assert any(line.startswith("swimming: swim 0%, dive 0%") for line in said)
    motion = motionrt.load(output, backend="cpu").generate("a person walks", seconds=1.0, seed=0)
    assert motion.num_frames == 20
    assert motion.skeleton.name == "cmu22"
    assert np.isfinite(motion.posed_joints).all()
    assert any("3/3" in line for line in said)

    # Made anew by the same exporter it is the same; what was measured of it is not forgotten.
    again = tmp_path / "again"
    recipe.run([], tmp_path / "work", again, echo=said.append, steps=0, start=output)
    anew = Bundle(again).manifest
    for name in set(manifest.files) - {"reference.safetensors", "sampler.onnx", "step.onnx"}:
        assert anew.files[name] == manifest.files[name], name
    for field in ("text", "limits", "sampler", "provenance"):
        assert getattr(anew, field) == getattr(manifest, field)
    for name, graph in manifest.graphs.items():
        for figure in ("relative", "motion_joints_cm"):
            assert anew.graphs[name].deviation.get(figure) == graph.deviation.get(figure)
    assert said[-1].endswith(f"its weights are those of {output}")
    same = motionrt.load(again, backend="cpu").generate("a person walks", seconds=1.0, seed=0)
    np.testing.assert_allclose(same.posed_joints, motion.posed_joints, rtol=0, atol=1e-4)


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


@pytest.mark.usefixtures("tiny_recipe")
def test_a_training_goes_on_from_a_bundle_with_its_words(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(work: str, output: Path | None, **options: Any) -> None:
        recipe.run(
            [data_folder],
            tmp_path / work,
            output,
            echo=said.append,
            preset="small",
            device="cpu",
            fp32=True,
            **options,
        )

    said: list[str] = []
    first, second = tmp_path / "first", tmp_path / "second"
    run("a", first)
    with monkeypatch.context() as patch:  # nothing may ask for the teacher
        patch.delattr(recipe, "embed_cached")
        patch.delattr(text_space, "embed_cached")
        run("b", second, start=first, steps=2, learning_rate=1e-9)
    old, new = Bundle(first), Bundle(second)
    for name in ("text_encoder.weights", "text_encoder.onnx", "tokenizer.json"):
        if name in old.manifest.files:
            assert new.manifest.files[name] == old.manifest.files[name]
    assert all(check.passed for check in verify(new, choose_backend("cpu")))
    # Hardly moved, and rounded once more: the same motion to some centimetres.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", motionrt.MotionWarning)  # three steps teach little
        motions = [
            motionrt.load(bundle, backend="cpu").generate("a person walks", seconds=1.0, seed=0)
            for bundle in (first, second)
        ]
    gap = np.linalg.norm(motions[0].posed_joints - motions[1].posed_joints, axis=-1)
    assert gap.mean() < 0.05
    with pytest.raises(CheckpointError, match="start"):
        run("b", None, steps=3)
    run("b", None, start=first, steps=3, learning_rate=1e-9)
    assert any("from step 2" in line for line in said)
