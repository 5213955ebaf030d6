from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parity import exported
from places import GOLDEN

from motionrt.export.ardy import export_ardy
from motionrt.export.bundle import BundleWriter
from motionrt.export.readers.ardy import ArdyCheckpoint, read_ardy
from motionrt.export.text_conditioning import TextConditioning
from motionrt.models.ardy import Denoiser, Tokenizer, TransformerConfig
from motionrt.runtime.benchmark import benchmark
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import ExportError
from motionrt.runtime.pipeline import load
from motionrt.runtime.text.prompt_book import PromptBook
from motionrt.runtime.verification import verify

pytestmark = pytest.mark.slow

G1 = GOLDEN / "ardy" / "checkpoints" / "ARDY-G1-RP-25FPS-Horizon8"


def wider(checkpoint: ArdyCheckpoint) -> ArdyCheckpoint:
    """Give a checkpoint networks whose weights are worth rounding."""
    sizes = TransformerConfig(64, 128, 1, 4)
    config = replace(checkpoint.config, denoiser=sizes, tokenizer=sizes)
    torch.manual_seed(4)
    denoiser = Denoiser(config, checkpoint.root_stats).eval()
    return replace(checkpoint, config=config, denoiser=denoiser, tokenizer=Tokenizer(config).eval())


def test_int8_is_smaller_and_says_by_how_much_it_is_off(tmp_path: Path) -> None:
    for precision in ("fp32", "int8"):
        (tmp_path / precision).mkdir()
        writer = BundleWriter(tmp_path / precision, lambda stage: None)
        export_ardy(writer, wider(read_ardy(G1)), None, precision=precision)
    exact, rounded = (Bundle(tmp_path / precision) for precision in ("fp32", "int8"))
    for name in ("step", "sampler"):
        graph = rounded.manifest.graphs[name]
        assert graph.precision == "int8"
        assert 0 < graph.deviation["relative"] < 0.1
        assert 0 < graph.deviation["motion_joints_cm"]
    for name in ("encoder", "decoder"):
        graph = rounded.manifest.graphs[name]
        assert graph.precision == "int8"
        assert 0 < graph.deviation["motion_joints_cm"]
    size = [b.manifest.files["step.weights"].size for b in (exact, rounded)]
    assert size[1] < 0.8 * size[0]
    pipeline = load(tmp_path / "int8", backend="cpu")
    assert all(result.passed for result in verify(pipeline.bundle, pipeline.backend))
    assert pipeline.generate("", 1.0, seed=1).num_frames == 25
    timed = benchmark(tmp_path / "int8", "cpu", frames=16, repeats=1)
    assert (timed.steps, timed.frames) == (10, 16)  # it has no more steps


def test_stored_prompts_are_all_that_a_game_needs(tmp_path: Path) -> None:
    width = read_ardy(G1).config.text_width
    embeddings = np.random.default_rng(0).normal(size=(2, width)).astype(np.float32)
    PromptBook(["A person walks.", "wave"], embeddings).save(tmp_path / "book.safetensors")
    arguments = ("--no-text-encoder", "--prompt-book", str(tmp_path / "book.safetensors"))
    pipeline = load(exported.export("ardy", str(G1), *arguments), backend="cpu")
    options = {"seed": 3, "seconds": 0.6}
    walk = pipeline.generate("a person walks", **options)  # type: ignore[arg-type]
    waves = pipeline.generate("wave ", **options)  # type: ignore[arg-type]
    assert np.abs(walk.posed_joints - waves.posed_joints).max() > 1e-3
    assert walk.info["guidance_weights"] == [2.0, 2.0]


def test_prompts_of_several_tokens(tmp_path: Path) -> None:
    variant = GOLDEN / "ardy" / "checkpoints" / "ardy-variant"
    embeddings = np.random.default_rng(0).normal(size=(3, 3, 14)).astype(np.float32)
    embeddings[1] = embeddings[0]
    embeddings[1, 1:] = embeddings[2, 2:] = 0
    PromptBook(["walk", "walks", "wave"], embeddings).save(tmp_path / "book.safetensors")
    arguments = ("--no-text-encoder", "--prompt-book", str(tmp_path / "book.safetensors"))
    pipeline = load(exported.export("ardy", str(variant), *arguments), backend="cpu")
    _, mask = pipeline.encode_text(["walk", "walks", "wave", ""])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(mask.sum(axis=1), [3, 1, 2, 0])
    options = {"seed": 3, "seconds": 0.6}
    whole, first = (pipeline.generate(prompt, **options) for prompt in ("walk", "walks"))  # type: ignore[arg-type]
    assert np.abs(whole.posed_joints - first.posed_joints).max() > 1e-3


def test_a_book_of_another_width_is_refused(tmp_path: Path) -> None:
    book = PromptBook(["Walk."], np.ones((1, 3), np.float32), place="book.safetensors")
    writer = BundleWriter(tmp_path, lambda stage: None)
    writer.add_graph = lambda *_, **__: None  # type: ignore[method-assign]
    with pytest.raises(ExportError, match=r"book.safetensors: embeddings of 3 numbers"):
        export_ardy(writer, read_ardy(G1), TextConditioning(prompt_book=book))
