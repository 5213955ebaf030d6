import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from places import ROOT
from text_checkpoints import write_decoder, write_llm2vec

from motionrt.cli.main import cli
from motionrt.export.readers.projector import read_projector
from motionrt.export.text_encoder import read_text_encoder
from motionrt.models.projector import ProjectorConfig, make_projector
from motionrt.runtime.errors import CheckpointError, InputError
from motionrt.train import projector
from motionrt.train.gradient import GradientSettings
from motionrt.train.pairs import Pairs, read_pairs
from motionrt.train.projector import (
    ProjectorOptions,
    outlier_weights,
    project,
    save_projector,
    train_projector,
)


def _pairs(bent: bool = False, count: int = 120) -> Pairs:
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(count, 3))
    x = np.concatenate((hidden, generator.normal(size=(count, 3)) * 0.1), axis=1)
    y = (np.abs(hidden) if bent else hidden) @ generator.normal(size=(3, 5))
    y = y + 0.05 * generator.normal(size=y.shape) + 2
    ids = tuple(str(i) for i in range(count))
    return Pairs(ids, x.astype(np.float32), y.astype(np.float32), ids, source="test")


def test_the_kind_is_chosen_by_validation_and_said() -> None:
    straight = train_projector(_pairs(), ProjectorOptions())
    bent = train_projector(_pairs(bent=True), ProjectorOptions())
    assert straight.metadata["kind"] == "linear"
    assert bent.metadata["kind"] == "kernel"
    assert any(note.startswith("kernel: cross-validated error") for note in bent.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ProjectorOptions(kind="linear", weights="outliers"),
        ProjectorOptions(kind="linear", solver="pca-ridge", components=4),
        ProjectorOptions(kind="linear", solver="procrustes", components=4),
        ProjectorOptions(kind="linear", gain=True),
        ProjectorOptions(kind="linear", solver="gradient"),
        ProjectorOptions(kind="kernel"),
        ProjectorOptions(kind="mlp", hidden_dim=16, weights="outliers"),
        ProjectorOptions(kind="attention", num_heads=2),
    ],
    ids=lambda o: f"{o.kind}-{o.solver}{'-gain' if o.gain else ''}",
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_kind_is_stored_and_read_back(
    options: ProjectorOptions, suffix: str, tmp_path: Path
) -> None:
    pairs = _pairs()
    gradient = GradientSettings(epochs=3, batch_size=16)
    trained = train_projector(pairs, ProjectorOptions(**{**options.__dict__, "gradient": gradient}))
    path = tmp_path / f"projector{suffix}"
    save_projector(path, trained.module, trained.metadata)
    module, metadata = read_projector(path, options.num_heads if suffix == ".pt" else None)
    np.testing.assert_array_equal(project(module, pairs), project(trained.module, pairs))
    assert module.config == trained.module.config
    count = sum(tensor.numel() for tensor in module.state_dict().values())
    assert count == module.config.num_parameters
    if suffix == ".safetensors":
        assert json.loads(metadata["metrics"])["mse"] == trained.metrics.mse
        assert metadata["dataset_sha256"] == pairs.content_hash


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (ProjectorConfig("linear", 4096, 4096), 16_781_312),
        (ProjectorConfig("linear", 384, 4096), 1_576_960),
        (ProjectorConfig("mlp", 2560, 2560, hidden_dim=4096), 20_978_176),
        (ProjectorConfig("attention", 2560, 2560, num_queries=64, num_heads=8), 32_944_640),
    ],
)
def test_parameter_counts_are_the_published_ones(config: ProjectorConfig, count: int) -> None:
    with torch.device("meta"):
        module = make_projector(config)
    assert config.num_parameters == count
    assert sum(tensor.numel() for tensor in module.state_dict().values()) == count


def test_gain_restores_the_norm() -> None:
    clean = _pairs()
    noise = np.random.default_rng(1).normal(size=clean.y.shape).astype(np.float32) * 2
    pairs = replace(clean, y=clean.y + noise)
    plain = train_projector(pairs, ProjectorOptions(kind="linear", refit=False))
    scaled = train_projector(pairs, ProjectorOptions(kind="linear", gain=True))
    assert float(scaled.metadata["gain"]) > 1
    assert scaled.metrics.recall_at_1 == plain.metrics.recall_at_1


def test_sequences_are_projected_token_by_token(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 8, 6)).astype(np.float32)
    y = x @ generator.normal(size=(6, 4)).astype(np.float32)
    x[:, 6:], y[:, 6:] = 0, 0  # padding
    np.savez(tmp_path / "pairs.npz", x=x, y=y)
    trained = train_projector(read_pairs(tmp_path / "pairs.npz"), ProjectorOptions(kind="linear"))
    assert trained.metrics.num_rows == 3 * 6
    assert trained.metrics.r2 > 0.99


def _sequences(count: int = 40, tokens: int = 6) -> Pairs:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, tokens, 6)).astype(np.float32)
    y = x @ generator.normal(size=(6, 4)).astype(np.float32)
    y += 0.1 * generator.normal(size=y.shape).astype(np.float32)
    mask = np.arange(tokens) < generator.integers(2, tokens + 1, size=(count, 1))
    x[~mask], y[~mask] = 1e3, -1e3
    ids = tuple(str(i) for i in range(count))
    return Pairs(ids, x, y, ids, source="test", x_mask=mask, y_mask=mask)


@pytest.mark.parametrize(
    "options",
    [
        ProjectorOptions(),
        ProjectorOptions(kind="mlp", hidden_dim=16, gradient=GradientSettings(learning_rate=3e-3)),
    ],
    ids=lambda o: o.kind,
)
def test_hidden_tokens_teach_and_judge_nothing(options: ProjectorOptions) -> None:
    pairs = _sequences()
    trained = train_projector(pairs, options)
    assert pairs.x_mask is not None
    held = int(pairs.x_mask.sum())
    assert 0 < trained.metrics.num_rows < held
    assert trained.metrics.r2 > 0.7


@pytest.mark.slow
def test_attention_learns_of_tokens_alone() -> None:
    pairs = _sequences()
    gradient = GradientSettings(epochs=4, learning_rate=3e-3)
    options = ProjectorOptions(kind="attention", num_heads=2, gradient=gradient)
    first = train_projector(pairs, options)
    assert pairs.y_mask is not None
    other = np.where(pairs.y_mask[..., None], pairs.y, np.float32(55))
    again = train_projector(replace(pairs, y=other), options)
    assert first.metrics.mse == again.metrics.mse
    short = replace(pairs, y=pairs.y[:, :2], y_mask=pairs.y_mask[:, :2])
    assert (
        train_projector(short, ProjectorOptions(num_heads=2, gradient=gradient)).metadata["kind"]
        == "attention"
    )  # auto: only attention maps lengths to others


def test_kinds_are_compared_on_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "AUTO_ROWS", 60)
    trained = train_projector(_pairs(bent=True), ProjectorOptions())
    assert any("compared on 60 of 96 rows" in note for note in trained.notes)


@pytest.mark.parametrize(
    ("kind", "needed"),
    [("linear", "at least 500, better 1,000 to 2,000"), ("mlp", "2,000.*; linear needs 500")],
)
def test_too_few_pairs_are_told(kind: str, needed: str) -> None:
    options = ProjectorOptions(kind=kind, hidden_dim=8, gradient=GradientSettings(epochs=1))
    trained = train_projector(_pairs(), options)
    assert any(re.search(f"96 pairs are few for {kind}: .*{needed}", n) for n in trained.notes)
    enough = train_projector(_pairs(count=700), ProjectorOptions(kind="linear"))
    assert not any("few for" in note for note in enough.notes)


def test_moments_are_stored_as_a_linear_map(tmp_path: Path) -> None:
    pairs = _pairs(count=200)
    pairs = replace(pairs, y=np.concatenate((pairs.y, pairs.x[:, :1]), axis=1))
    trained = train_projector(pairs, ProjectorOptions(kind="moments"))
    assert (trained.metadata["kind"], trained.metadata["solver"]) == ("linear", "moments")
    assert trained.metrics.std_ratio_median == pytest.approx(1, abs=0.3)
    save_projector(tmp_path / "p.safetensors", trained.module, trained.metadata)
    assert read_projector(tmp_path / "p.safetensors")[1]["shrinkage"]
    with pytest.raises(InputError, match="moments match statistics"):
        ProjectorOptions(kind="moments", weights="outliers")


def test_weights_reach_every_solver() -> None:
    pairs = _pairs()
    weights = (1.0, 1.0, 400.0, 1.0, 1.0)
    for options in (
        ProjectorOptions(kind="linear"),
        ProjectorOptions(kind="linear", solver="pca-ridge", components=4),
        ProjectorOptions(kind="linear", solver="procrustes", components=4),
        ProjectorOptions(kind="kernel"),
    ):
        plain, weighed = (
            train_projector(pairs, replace(options, weights=given)) for given in (None, weights)
        )
        assert plain.metrics.mse != weighed.metrics.mse, options
        assert weighed.metadata["weights"] == "given"
        assert "weights" not in plain.metadata


def test_features_that_spread_far_weigh_more() -> None:
    targets = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
    targets[:, 4] *= 25
    weights = outlier_weights(targets)
    assert weights[4] == pytest.approx(5, rel=0.1)
    assert (np.delete(weights, 4) == 1).all()


def test_choices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="kind 'quadratic'"):
        ProjectorOptions(kind="quadratic")
    with pytest.raises(InputError, match="shares"):
        ProjectorOptions(shares=(0.0, 0.1))
    for kind in ("mlp", "linear", "auto"):
        with pytest.raises(InputError, match="expected 5 positive numbers"):
            train_projector(_pairs(), ProjectorOptions(kind=kind, weights=(1.0, 2.0)))
    with pytest.raises(InputError, match='expected "outliers" or numbers'):
        train_projector(_pairs(), ProjectorOptions(weights="outlier"))


def test_files_that_are_no_projector_are_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    path = tmp_path / "projector.pt"
    for content, reason in (
        (Attack(), "was not loaded"),
        ([1, 2], "no state dict"),
        ({"weight": torch.ones(2, 2), "bias": "x"}, "not every entry"),
        ({"weight": torch.ones(2, 2)}, "missing bias"),
        ({"weight": torch.ones(2, 2), "bias": torch.ones(3)}, "misshapen bias 3 instead of 2"),
        ({"weight": torch.ones(2, 2).long(), "bias": torch.ones(2)}, "expected float"),
        ({"other": torch.ones(2)}, "no projector: its tensors are other"),
        ({"weight": torch.ones(2, 2) / 0, "bias": torch.ones(2)}, "not finite"),
    ):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=reason) as caught:
            read_projector(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(CheckpointError, match=r"projector\.pt: [^\n]+$"):
        read_projector(path)


def test_prefixes_and_nests_are_seen_through(tmp_path: Path) -> None:
    state = {"module.projection.weight": torch.ones(3, 2), "module.projection.bias": torch.ones(3)}
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "nested.pt")
    module, _ = read_projector(tmp_path / "nested.pt")
    assert module.config == ProjectorConfig("linear", 2, 3)


@pytest.mark.slow
def test_commands_train_from_texts_and_judge(tmp_path: Path) -> None:
    student = write_decoder(tmp_path / "student", "qwen3")
    teacher = write_llm2vec(tmp_path / "teacher")
    subjects = ("A man", "A woman", "Someone", "A robot")
    actions = ("walks", "runs", "jumps", "turns", "sits", "waves", "kicks", "bows")
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"{who} {what}" for who in subjects for what in actions))
    files = [str(tmp_path / name) for name in ("p.safetensors", "p.pt")]
    data = ["--texts", str(texts), "--student", str(student), "--teacher", str(teacher)]
    data += ["--cache", str(tmp_path / "cache"), "--shares", "0.2", "0.2"]
    run = CliRunner()
    result = run.invoke(
        cli,
        ["train-projector", *data, "-o", files[0], "-o", files[1], "--kind", "linear", "--json"],
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["source_encoder"] == "student"
    assert told["prompt_format"] == "plain"
    assert told["target_prompt_format"] == "llama3-user"
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert read_text_encoder(student, files[0]).text_width == 64

    plot = tmp_path / "plot.png"
    result = run.invoke(cli, ["eval-projector", files[0], *data, "--json", "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)
    assert figures["mse"] == told["metrics"]["mse"]
    assert len(figures["minimal_pairs"]) == 10
    assert plot.read_bytes().startswith(b"\x89PNG")
    result = run.invoke(cli, ["eval-projector", files[1], *data])
    assert "centred cosine" in result.output
    assert "minimal pairs" in result.output


def test_a_projector_that_cannot_be_stored_keeps_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = _pairs()
    np.savez(tmp_path / "pairs.npz", x=pairs.x, y=pairs.y)
    output, checkpoint = tmp_path / "p.pt", tmp_path / "training.pt"
    command = ["train-projector", "--pairs", str(tmp_path / "pairs.npz"), "--kind", "mlp"]
    command += ["--hidden", "8", "--epochs", "3", "--checkpoint", str(checkpoint), "-o"]
    run = CliRunner()
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise InputError("no space")

        patched.setattr(projector, "save_projector", full)
        assert isinstance(run.invoke(cli, [*command, str(output)]).exception, InputError)
    assert checkpoint.exists()
    stored = checkpoint.stat().st_mtime_ns
    (tmp_path / "folder").mkdir()
    refused = run.invoke(cli, [*command, str(tmp_path / "folder")])
    assert "is a folder" in str(refused.exception)
    assert checkpoint.stat().st_mtime_ns == stored
    result = run.invoke(cli, [*command, str(output)])
    assert result.exit_code == 0, result.output
    assert output.exists() and not checkpoint.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--pairs", "a", "--texts", "b"],
        ["--texts", "b"],
        ["--pairs", "a", "--student", "s"],
    ],
)
def test_commands_want_one_source_of_pairs(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, ["train-projector", "-o", "p.pt", *arguments])
    assert result.exit_code == 2


def test_a_projector_of_another_ending_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    output = tmp_path / "p.onnx"
    result = CliRunner().invoke(cli, ["train-projector", "-o", str(output), "--pairs", "none"])
    assert str(result.exception) == f"{output}: a projector is written as .safetensors or .pt"


def test_the_page_says_what_is_advised() -> None:
    page = (ROOT / "docs" / "projectors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d,]+) \| ([\d,\w ]+) \|$", page, re.MULTILINE)
    told = {kind: (int(least.replace(",", "")), better) for kind, least, better in rows}
    assert told == projector.ENOUGH_PAIRS
    assert f"{projector.AUTO_ROWS:,} rows" in page
