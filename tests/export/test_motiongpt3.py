from pathlib import Path

import numpy as np
import pytest
import torch
from motiongpt3_checkpoint import CONFIG, make_model, make_state, tiny_bundle, write_checkpoint
from tokenizers import Tokenizer

from motionrt.cli.main import main
from motionrt.export.humanml import features_to_joints
from motionrt.export.motiongpt3 import HeadConditions, HeadStep
from motionrt.models.motiongpt3 import DiffusionHead
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.humanml import features as humanml_features
from motionrt.runtime.motiongpt3.schedule import latent_schedule
from motionrt.runtime.pipeline import load
from motionrt.runtime.verification import verify

pytestmark = pytest.mark.slow


def test_a_bundle_says_what_it_is() -> None:
    manifest = Bundle(tiny_bundle()).manifest
    assert manifest.family == "motiongpt3"
    assert manifest.fps == 20
    assert manifest.output_skeleton["name"] == "humanml22"
    graphs = ["backbone", "conditions", "step", "sampler", "encoder", "decoder"]
    assert list(manifest.graphs) == graphs
    assert manifest.sampler["guidance_scale"] == 2.0
    assert manifest.provenance["parameters"] == sum(p.numel() for p in make_model().parameters())


def test_a_bundle_verifies() -> None:
    pipeline = load(tiny_bundle(), backend="cpu")
    assert all(result.passed for result in verify(pipeline.bundle, pipeline.backend))


def test_tied_tables_are_stored_once() -> None:
    weights = (tiny_bundle() / "backbone.weights").read_bytes()
    table = make_state()["lm.language_model.transformer.wte.weight"].numpy()
    assert weights.count(table.tobytes()) == 1
    assert weights.count(np.ascontiguousarray(table.T).tobytes()) == 0


def test_guidance_and_solver_are_in_the_step() -> None:
    model = make_model()
    head = model.lm.diffloss.net
    assert isinstance(head, DiffusionHead)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 4, CONFIG.width, generator=generator)
    x, noise = torch.randn(2, 2, CONFIG.vae.latent_dim, generator=generator)
    table = latent_schedule(4)
    row = torch.from_numpy(table.coefficients[1])
    timesteps = torch.full((2,), int(table.timesteps[1]))
    with torch.no_grad():
        prepared = HeadConditions(model.lm)(hidden, torch.arange(2), timesteps[:1])
        weights = torch.tensor([2.5, -1.5])
        found, x0 = HeadStep(head)(x, torch.zeros_like(x), prepared[0], row, noise, weights)
        with_text = head(x, timesteps, hidden)
        without = head(x, timesteps, model.lm.fake_latent.expand(2, -1, -1))
        guided = without + 2.5 * (with_text - without)
        want = row[0] * x + row[1] * guided
    torch.testing.assert_close(x0, want, rtol=0, atol=1e-4)
    torch.testing.assert_close(found, row[2] * x + row[3] * want + row[5] * noise)


def test_joints_in_the_graph_are_those_of_the_runtime() -> None:
    features = torch.randn(2, 30, 263, generator=torch.Generator().manual_seed(2)) * 0.1
    want = humanml_features.features_to_joints(features.numpy())
    np.testing.assert_allclose(features_to_joints(features), want, atol=1e-5)


def test_int8_is_smaller_and_says_by_how_much_it_is_off(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    bundle = tmp_path / "bundle"
    main(
        [
            "export",
            "motiongpt3",
            str(checkpoint),
            "-o",
            str(bundle),
            "--precision",
            "int8",
            "--quiet",
        ]
    )
    exact, rounded = Bundle(tiny_bundle()), Bundle(bundle)
    graph = rounded.manifest.graphs["backbone"]
    assert graph.precision == "int8"
    assert 0 < graph.deviation["relative"] < 0.1
    assert 0 < graph.deviation["motion_joints_cm"] < 5
    assert rounded.manifest.graphs["decoder"].precision == "fp32"
    size = [b.manifest.files["backbone.weights"].size for b in (exact, rounded)]
    assert size[1] < 0.9 * size[0]  # what has fewer than 4096 numbers stays as it is
    pipeline = load(bundle, backend="cpu")
    assert all(result.passed for result in verify(pipeline.bundle, pipeline.backend))


def test_a_motion_vae_alone_makes_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {k: v for k, v in make_state().items() if k.startswith("vae.")}
    checkpoint = write_checkpoint(tmp_path / "checkpoint", state)
    bundle = tmp_path / "bundle"
    main(["export", "motiongpt3", str(checkpoint), "-o", str(bundle), "--quiet"])
    assert list(Bundle(bundle).manifest.graphs) == ["encoder", "decoder"]
    with pytest.raises(SystemExit) as stop:
        main(["gen", "walk", "--bundle", str(bundle)])
    assert stop.value.code == 1
    assert "no language model" in capsys.readouterr().err


def test_a_foreign_tokenizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    path = checkpoint.parent / "deps" / "mot-gpt2" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(["another"])
    tokenizer.save(str(path))
    with pytest.raises(SystemExit):
        main(["export", "motiongpt3", str(checkpoint), "-o", str(tmp_path / "b"), "--quiet"])
    assert "tokenizer that comes with the checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
