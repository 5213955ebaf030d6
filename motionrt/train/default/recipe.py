"""The whole recipe: data folders in, a trained denoiser and its bundle out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, Limits, check_place, sha256
from motionrt.runtime.files import atomic_file, atomic_folder
from motionrt.runtime.text.familiarity import KnownPrompts, thin_out
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.batches import BatchConfig, BatchSource
from motionrt.train.default.corpus import sentences
from motionrt.train.default.dataset import Dataset, DatasetConfig, build_dataset, dataset_key
from motionrt.train.default.resumable import Progress, lower_priority
from motionrt.train.default.student import (
    ENCODER_FOLDER,
    PROJECTOR_FILE,
    StudentConfig,
    StudentTrainer,
)
from motionrt.train.default.text_space import TextSpace, embed_cached, text_vectors
from motionrt.train.default.trainer import (
    DENOISER_FOLDER,
    TrainConfig,
    Trainer,
    has_bfloat16,
)

MODEL_NAME = "motionrt-default"
SAMPLER = {"num_steps": 20, "solver": "dpmpp-2m", "guidance_weights": [2.5, 3.0]}
"""Sampling defaults of the bundle; Kimodo's own 100 steps change nothing at this size. So small a
model turns better where words are guided at 2.5, and keeps to paths better at 3, than at 2."""
KNOWN_ACTIONS = (
    "walking (slowly, quickly, backwards, with turns)",
    "running",
    "turning",
    "standing",
    "jumping",
    "kicking",
    "boxing",
    "dancing",
    "sitting down",
    "standing up",
    "waving",
    "throwing",
    "crouching",
    "drinking",
    "swinging a sword",
    "falling",
)
KNOWN_PROMPTS_FILE = "known_prompts.safetensors"
NUM_KNOWN_PROMPTS = 500
FOREIGN_DISTANCE = 1.0
"""A prompt is foreign beyond this many times the reach of the known prompts."""
LICENCE = "Apache-2.0; acknowledgements of the motion data in MODEL_CARD.md"
TEXT_PRECISIONS = {"int8-weights": "int8"}
"""Precision of the text encoder where it has not the name of the denoiser's."""
TEXT_WIDTH = 128
TEXT_SPACE_FILE = "text_space.safetensors"
NUM_SENTENCES = 40_000
"""Sentences of the wide corpus that the text encoder is taught on, besides the captions."""
STUDENTS = {
    "small": StudentConfig(num_steps=3_000, batch_size=96, learning_rate=2e-3),
    "base": StudentConfig(num_steps=20_000, batch_size=512, learning_rate=2e-3),
}
"""How the text encoder is taught, by preset."""

PRESETS = {
    "small": (
        TrainConfig(num_steps=60_000, optimizer="muon"),
        BatchConfig(constraint_share=0.4, turned_share=0.1),
    ),
    "base": (
        TrainConfig(
            num_steps=40_000,
            latent_dim=320,
            ff_size=1024,
            num_layers=6,
            num_heads=5,
            optimizer="muon",
            ema_decay=0.9995,
        ),
        BatchConfig(batch_size=128),
    ),
}
"""Sizes by what they are trained on: two CPU cores in hours, or a GPU in minutes.

muon: after 600 steps its loss is half of AdamW's, for 12 % more time a step."""


def run(
    data: Sequence[Path],
    work: Path,
    output: Path | None,
    *,
    echo: Callable[[str], None],
    preset: str = "auto",
    steps: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    seed: int = 0,
    device: str = "auto",
    compiled: bool = False,
    fp32: bool = False,
    precision: str = "int8-weights",
    report_every: int = 50,
) -> None:
    """Train, or go on training, in the work folder; then make the bundle at output."""
    if output is not None:
        check_place(output, replace=True)
    place = torch.device(_device(device))
    if place.type == "cpu":
        lower_priority()
    preset = preset if preset != "auto" else "base" if place.type == "cuda" else "small"
    config, batches = PRESETS[preset]
    config = replace(config, seed=seed, bfloat16=not fp32 and has_bfloat16(place))
    if steps is not None:
        config = replace(config, num_steps=steps)
    if optimizer is not None:
        config = replace(config, optimizer=optimizer)
    if batch_size is not None:
        batches = replace(batches, batch_size=batch_size)

    dataset = load_dataset(data, work, DatasetConfig(), echo)
    source, space = make_source(dataset, work, batches, place, echo)
    trainer = Trainer(
        source,
        space.width,
        config,
        work,
        compiled=compiled,
    )
    count = sum(p.numel() for p in trainer.model.parameters())
    echo(f"{count / 1e6:.1f} M parameters on {place}, from step {trainer.step}")

    def report(progress: Progress) -> None:
        parts = " ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        left = (progress.num_steps - progress.step) * progress.seconds_per_step / 3600
        echo(
            f"{time.strftime('%H:%M:%S')} step {progress.step}/{progress.num_steps} "
            f"{progress.seconds_per_step:.3f} s/step, {left:.1f} h left: {parts}"
        )

    if not trainer.train(report, report_every):
        echo(f"stopped at step {trainer.step}; the same command goes on from here")
        return
    if not distil(dataset, space, work, place, echo, STUDENTS[preset], NUM_SENTENCES):
        echo("stopped while distilling; the same command goes on from here")
        return
    if output is not None:
        make_bundle(work, output, echo, precision)


def distil(
    dataset: Dataset,
    space: TextSpace,
    work: Path,
    device: torch.device,
    echo: Callable[[str], None],
    config: StudentConfig,
    num_sentences: int,
) -> bool:
    """Teach the small text encoder, or go on teaching it; False if a signal stopped it."""
    corpus = [clean_prompt(text) for text in sentences(num_sentences, seed=0)]
    echo(f"embedding {len(corpus)} sentences with the teacher (some minutes, once)")
    vectors = [
        space.project(embed_cached(texts, work, device)) for texts in (dataset.texts, corpus)
    ]
    student = StudentTrainer(
        (dataset.texts, vectors[0]), (corpus, vectors[1]), config, work, device
    )
    echo(f"distilling the text encoder from step {student.step}")

    def report(progress: Progress) -> None:
        echo(
            f"{time.strftime('%H:%M:%S')} text encoder {progress.step}/{progress.num_steps}: "
            f"error {progress.losses['total']:.4f}"
        )

    if not student.train(report, report_every=200):
        return False
    write_known_prompts(work / KNOWN_PROMPTS_FILE, student.encode(dataset.texts))
    return True


def write_known_prompts(path: Path, vectors: NDArray[np.float32]) -> None:
    """Keep a few captions' vectors, by which the runtime tells a prompt that is foreign."""
    rows, reach = thin_out(vectors, NUM_KNOWN_PROMPTS)
    with atomic_file(path) as temporary:
        radius = np.array([FOREIGN_DISTANCE * reach], np.float32)
        temporary.write_bytes(save({"centres": vectors[rows], "radius": radius}))


def make_bundle(
    work: Path, output: Path, echo: Callable[[str], None], precision: str = "int8-weights"
) -> None:
    """Export the denoiser with its text encoder to a bundle at output, replacing an older one."""
    from motionrt.export.bundle import BundleWriter
    from motionrt.export.kimodo import export_kimodo
    from motionrt.export.quantise.recipes import recipe
    from motionrt.export.readers.kimodo import read_kimodo
    from motionrt.export.text_encoder import read_text_encoder

    checkpoint = replace(read_kimodo(work / DENOISER_FOLDER), name=MODEL_NAME)
    encoder = read_text_encoder(work / ENCODER_FOLDER, work / PROJECTOR_FILE)
    check_place(output, replace=True)
    with atomic_folder(output, replace=True) as folder:
        writer = BundleWriter(folder, echo)
        export_kimodo(
            writer,
            checkpoint,
            encoder,
            LICENCE,
            precision,
            text_recipe=recipe(TEXT_PRECISIONS.get(precision, precision), language_model=True),
        )
        _complete(folder, load_file(work / KNOWN_PROMPTS_FILE))
    for warning in writer.warnings:
        echo(f"Warning: {warning}")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    echo(f"{output}: {size / 1e6:.1f} MB")


def _complete(folder: Path, known: dict[str, NDArray[np.float32]]) -> None:
    """Add to a bundle what the default has beyond a Kimodo: its defaults, what it knows."""
    manifest = Bundle(folder).manifest
    described = KnownPrompts(known["centres"], float(known["radius"][0]), KNOWN_ACTIONS).describe()
    path = folder / described.file
    path.write_bytes(save({"centres": known["centres"].astype(np.float16)}))
    files = {**manifest.files, path.name: FileInfo(path.stat().st_size, sha256(path))}
    windows = DatasetConfig()
    longest = max(windows.window_frames) / windows.fps
    msgspec.structs.replace(
        manifest,
        limits=Limits(manifest.limits.max_frames, longest, transitions_included=True),
        sampler={**manifest.sampler, **SAMPLER},
        text={**manifest.text, "known_prompts": msgspec.to_builtins(described)},
        files=files,
    ).write(folder)


def load_dataset(
    data: Sequence[Path], work: Path, config: DatasetConfig, echo: Callable[[str], None]
) -> Dataset:
    """Build the data set, or read it from the work folder if it was built before."""
    path = work / f"dataset-{dataset_key(data, config)}.npz"
    if path.is_file():
        return Dataset.load(path)
    echo("encoding and captioning the motion data (some minutes, once)")
    dataset = build_dataset(data, config)
    work.mkdir(parents=True, exist_ok=True)
    dataset.save(path)
    echo(dataset.summary())
    return dataset


def make_source(
    dataset: Dataset,
    work: Path,
    config: BatchConfig,
    device: torch.device,
    echo: Callable[[str], None],
) -> tuple[BatchSource, TextSpace]:
    """Embed the captions and put everything on the device."""
    echo(f"{dataset.num_windows} windows, {len(dataset.texts)} captions")
    path = work / TEXT_SPACE_FILE
    if path.is_file():
        space = TextSpace.load(path)
    else:
        embeddings = embed_cached(dataset.texts, work, device)
        space = TextSpace.fit(embeddings, *dataset.meanings(), TEXT_WIDTH)
        space.save(path)
    vectors = text_vectors(dataset.texts, space, work, device)
    return BatchSource(dataset, vectors, load_skeleton("cmu22"), config, device), space


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
