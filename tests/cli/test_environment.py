"""The variables that Kimodo's users have set, and the command of its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import run

from motionrt.cli._environment import preset_encoder, text_backend
from motionrt.cli.main import kimodo_gen
from motionrt.runtime.errors import InputError

GENERATE = ("gen", "a person walks", "--duration", "1", "--diffusion-steps", "4", "--seed", "1")


def test_an_encoder_is_named_by_its_preset(tmp_path: Path) -> None:
    assert preset_encoder({}) == preset_encoder({"TEXT_ENCODER": ""}) == ((), None)
    places, projector = preset_encoder({"TEXT_ENCODER": "LLM2Vec"})
    assert [place.rpartition("-")[2] for place in places] == ["Instruct", "mntp", "supervised"]
    assert projector is None
    folder = {"TEXT_ENCODER": "qwen3", "TEXT_ENCODERS_DIR": str(tmp_path)}
    assert preset_encoder(folder) == (
        (str(tmp_path / "Qwen" / "Qwen3-8B"),),
        tmp_path / "Qian2501" / "kimodo-qwen3-projection",
    )
    with pytest.raises(InputError, match="TEXT_ENCODER is 't5', expected one of llm2vec, qwen3"):
        preset_encoder({"TEXT_ENCODER": "t5"})


def test_a_device_is_a_backend() -> None:
    assert text_backend({}) is None
    assert text_backend({"TEXT_ENCODER_DEVICE": "cuda:0"}) == "cuda"
    with pytest.raises(InputError, match="expected one of cpu, cuda"):
        text_backend({"TEXT_ENCODER_DEVICE": "tpu"})


def test_no_variable_is_ignored_in_silence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("TEXT_ENCODER", "llm2vec"),
        ("CHECKPOINT_DIR", str(tmp_path)),
        ("TEXT_ENCODER_DEVICE", "cpu"),
    ):
        monkeypatch.setenv(name, value)
    code, _, errors = run(capsys, *GENERATE)
    assert code == 0
    first, second, *_ = errors.splitlines()
    assert first.startswith("note: TEXT_ENCODER=llm2vec changes nothing, this bundle's encoder is")
    assert second == "note: CHECKPOINT_DIR is for motionrt export; a bundle is named with --bundle"
    monkeypatch.setenv("TEXT_ENCODER", "qwen3")  # the default's is one of two layers
    errors = run(capsys, *GENERATE)[2]
    assert "TEXT_ENCODER=qwen3 changes nothing, this bundle's encoder is qwen3 of width" in errors
    monkeypatch.setenv("TEXT_ENCODER_DEVICE", "cuda")
    code, _, errors = run(capsys, *GENERATE)
    assert code == 1
    assert "Error: backend cuda: " in errors


def test_kimodos_command_takes_its_words_and_its_model(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundle: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    # It leaves the process at once, as a program of its own does.
    monkeypatch.setattr("motionrt.cli.main.leave", sys.exit)
    words = ["a person walks", "--duration", "1", "--diffusion_steps", "4", "--no-postprocess"]
    monkeypatch.setattr(sys, "argv", ["kimodo_gen", *words])
    with pytest.raises(SystemExit, match="2"):
        kimodo_gen()
    assert "--model kimodo-soma-rp needs MOTIONRT_BUNDLE_DIR" in capsys.readouterr().err
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "Kimodo-SOMA-RP-v1").symlink_to(bundle)
    monkeypatch.setenv("MOTIONRT_BUNDLE_DIR", str(tmp_path / "bundles"))
    kimodo_gen()
    assert (tmp_path / "output.npz").is_file()
    monkeypatch.setattr(sys, "argv", ["kimodo_gen", *words, f"--bundle={bundle}", "--output", "o"])
    kimodo_gen()
    assert (tmp_path / "o.npz").read_bytes()
