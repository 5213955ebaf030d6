"""The whole recipe: data folders in, a trained denoiser and its bundle out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

import motionrt
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, Limits, check_place, sha256
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file, atomic_folder
from motionrt.runtime.text.familiarity import KnownInfo, KnownPrompts, thin_out
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.batches import BatchConfig, BatchSource
from motionrt.train.default.corpus import sentences
from motionrt.train.default.dataset import Dataset, DatasetConfig, build_dataset, dataset_key
from motionrt.train.default.precision import has_bfloat16
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
    Start,
    TrainConfig,
    Trainer,
)

if TYPE_CHECKING:
    from motionrt.train.default.shipped import Shipped

MODEL_NAME = "motionrt-default"
SAMPLER = {"num_steps": 20, "solver": "dpmpp-2m", "guidance_weights": [2.5, 2.0]}
"""Sampling defaults of the bundle; Kimodo's own 100 steps change nothing at this size. So small a
model turns better where words are guided at 2.5 than at 2. Constraints, whose path is led under
guidance too, are met at 2 as at 3, with a fifth less jerk along paths."""
KNOWN_PROMPTS_FILE = "known_prompts.safetensors"
NUM_KNOWN_PROMPTS = 400
FOREIGN_DISTANCE = 1.0
"""A prompt is foreign beyond this many times the reach of the known prompts."""
LICENCE = "Apache-2.0; acknowledgements of the motion data in MODEL_CARD.md"
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

CONTINUED: dict[str, Any] = {
    "num_steps": 12_000,
    "learning_rate": 5e-4,
    "warmup_steps": 200,
    "decay_share": 0.7,
}
"""What differs when a training begins from a bundle's weights: it is short, and must not forget."""


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
    start: Path | None = None,
    learning_rate: float | None = None,
) -> None:
    """Train, or go on training, in the work folder; then make the bundle at output.

    With start, a bundle that this recipe made, its weights are what is trained on and its text
    encoder is kept; without, everything is learnt from the data. With no steps nothing is learnt:
    the bundle at output is that of start, its graphs made anew; InputError without one of them.
    """
    if output is not None:
        check_place(output, replace=True)
    if steps == 0:
        from motionrt.train.default.renewal import renew

        if start is None or output is None:
            raise InputError("no training steps: give --from BUNDLE and --output, to make it anew")
        renew(start, output, precision, echo)
        return
    if not data:
        raise InputError("no motion data folders to train on")
    place = torch.device(_device(device))
    if place.type == "cpu":
        lower_priority()
    preset = preset if preset != "auto" else "base" if place.type == "cuda" else "small"
    config, batches = PRESETS[preset]
    shipped = None
    if start is not None:
        from motionrt.train.default.shipped import read_shipped

        shipped = read_shipped(start)
        sizes = shipped.model.config
        config = replace(
            config,
            latent_dim=sizes.latent_dim,
            ff_size=sizes.ff_size,
            num_layers=sizes.num_layers,
            num_heads=sizes.num_heads,
            **CONTINUED,
        )
    config = replace(config, seed=seed, bfloat16=not fp32 and has_bfloat16(place))
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    if steps is not None:
        config = replace(config, num_steps=steps)
    if optimizer is not None:
        config = replace(config, optimizer=optimizer)
    if batch_size is not None:
        batches = replace(batches, batch_size=batch_size)

    dataset = load_dataset(data, work, DatasetConfig(), echo)
    if shipped is None:
        vectors, space = embed(dataset, work, place)
    else:
        vectors = encode_cached(dataset.texts, shipped, work, echo)
    echo(f"{dataset.num_windows} windows, {len(dataset.texts)} captions")
    source = BatchSource(dataset, vectors, load_skeleton("cmu22"), batches, place)
    begin = None
    if shipped is not None:
        begin = Start(shipped.digest, shipped.model.state_dict(), shipped.stats)
    trainer = Trainer(
        source,
        vectors.shape[1],
        config,
        work,
        compiled=compiled,
        start=begin,
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
    if shipped is not None:
        write_known_prompts(work / KNOWN_PROMPTS_FILE, vectors)
    elif not distil(dataset, space, work, place, echo, STUDENTS[preset], NUM_SENTENCES):
        echo("stopped while distilling; the same command goes on from here")
        return
    if output is not None:
        make_bundle(work, output, echo, precision, shipped)


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
    work: Path,
    output: Path,
    echo: Callable[[str], None],
    precision: str = "int8-weights",
    shipped: Shipped | None = None,
) -> None:
    """Export the denoiser with its text encoder to a bundle at output, replacing an older one.

    The encoder is the work folder's, or that of the bundle that the training began from.
    """
    from motionrt.export.bundle import BundleWriter
    from motionrt.export.kimodo import export_kimodo
    from motionrt.export.quantise.recipes import recipe
    from motionrt.export.readers.kimodo import read_kimodo
    from motionrt.export.text_conditioning import TextConditioning
    from motionrt.export.text_encoder import read_text_encoder

    checkpoint = replace(read_kimodo(work / DENOISER_FOLDER), name=MODEL_NAME)
    encoder = None
    if shipped is None:
        encoder = read_text_encoder(work / ENCODER_FOLDER, work / PROJECTOR_FILE)
    check_place(output, replace=True)
    with atomic_folder(output, replace=True) as folder:
        writer = BundleWriter(folder, echo)
        export_kimodo(
            writer,
            checkpoint,
            TextConditioning(encoder, recipe(precision, language_model=True)),
            LICENCE,
            precision,
        )
        if shipped is not None:
            shipped.copy_text_encoder(folder)
        _complete(folder, load_file(work / KNOWN_PROMPTS_FILE), echo)
    for warning in writer.warnings:
        echo(f"Warning: {warning}")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    echo(f"{output}: {size / 1e6:.1f} MB")


def _complete(
    folder: Path, known: dict[str, NDArray[np.float32]], echo: Callable[[str], None]
) -> None:
    """Add to a bundle what the default has beyond a Kimodo: its defaults, what it can do."""
    manifest = Bundle(folder).manifest
    windows = DatasetConfig()
    longest = max(windows.window_frames) / windows.fps
    msgspec.structs.replace(
        manifest,
        limits=Limits(manifest.limits.max_frames, longest, transitions_included=True),
        sampler={**manifest.sampler, **SAMPLER},
    ).write(folder)
    calibrate(folder, known["centres"], float(known["radius"][0]), echo)


def calibrate(
    folder: Path, centres: NDArray[np.float32], radius: float, echo: Callable[[str], None]
) -> None:
    """Measure what a bundle can do, and write into it what it knows and the judge of prompts.

    centres (K, W) are text vectors of what it was trained on, radius their reach.
    """
    from motionrt.train.default.calibration import fit, known_actions, measure, phrases
    from motionrt.train.default.deeds import DEEDS

    pipeline: Any = motionrt.load(folder, backend="cpu")
    echo("measuring what it can do (some minutes)")
    shares = measure(pipeline, DEEDS, echo)
    actions = tuple(known_actions(shares, DEEDS))
    if not actions:
        echo("it can do nothing of what was measured, so it gives no hints")
        return

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([pipeline.text.encode(text) for text in texts])

    judge, report = fit(phrases(shares, DEEDS), encode)
    echo("hint: " + ", ".join(f"{name} {value:.3g}" for name, value in report.items()))
    write_known(folder, KnownPrompts(centres, radius, actions, judge))


def write_known(folder: Path, known: KnownPrompts) -> None:
    """Write what a bundle knows into it, in place of what it said before."""
    manifest = Bundle(folder).manifest
    described = known.describe()
    path = folder / described.file
    path.write_bytes(save(known.arrays()))
    files = {**manifest.files, path.name: FileInfo(path.stat().st_size, sha256(path))}
    text = {**manifest.text, "known_prompts": msgspec.to_builtins(described)}
    msgspec.structs.replace(manifest, text=text, files=files).write(folder)


def recalibrate(bundle: Path, echo: Callable[[str], None]) -> None:
    """Measure again what a bundle can do, and calibrate its hint: a bundle made by this recipe."""
    source = Bundle(bundle)
    told = msgspec.convert(source.manifest.text["known_prompts"], KnownInfo)
    known = KnownPrompts.from_manifest(told, load_file(source.path(told.file)))
    calibrate(bundle, known.centres, known.radius, echo)


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


def embed(
    dataset: Dataset, work: Path, device: torch.device
) -> tuple[NDArray[np.float32], TextSpace]:
    """Give every caption its vector (N, TEXT_WIDTH) in a text space fitted to all of them."""
    path = work / TEXT_SPACE_FILE
    if path.is_file():
        space = TextSpace.load(path)
    else:
        embeddings = embed_cached(dataset.texts, work, device)
        space = TextSpace.fit(embeddings, *dataset.meanings(), TEXT_WIDTH)
        space.save(path)
    return text_vectors(dataset.texts, space, work, device), space


def encode_cached(
    texts: Sequence[str], shipped: Shipped, work: Path, echo: Callable[[str], None]
) -> NDArray[np.float32]:
    """Encode captions with a shipped bundle's encoder, or read them if that was done before."""
    key = hashlib.sha256(json.dumps([shipped.digest, *texts]).encode()).hexdigest()
    path = work / f"encoded-{key[:16]}.npy"
    if path.is_file():
        stored: NDArray[np.float32] = np.load(path)
        return stored
    echo(f"encoding {len(texts)} captions with the text encoder of {shipped.bundle.folder}")
    vectors = shipped.encoder()(texts)
    work.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    return vectors


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
