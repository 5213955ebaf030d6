"""Judge a bundle by the field's figures: its motions of a data set's texts, embedded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError, MotionWarning
from motionrt.runtime.evaluator.dataset import Clip, Description
from motionrt.runtime.evaluator.metrics import (
    GROUP,
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
)
from motionrt.runtime.evaluator.pipeline import FRAMES_A_TOKEN, MAX_FRAMES, Evaluator
from motionrt.runtime.humanml.given_motion import features_of
from motionrt.runtime.pipeline import Pipeline, Progress
from motionrt.runtime.sampling.noise import MAX_SEED

Floats = NDArray[np.float32]
NAMES = (
    "r_precision_1", "r_precision_2", "r_precision_3", "mm_dist", "fid", "diversity",
    "multimodality",
)  # fmt: skip
CONFIDENCE = 1.96
"""Of 95 %, by the normal distribution."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How much is made and how often."""

    repeats: int = 1
    """All is made anew so often, with other seeds and texts; the field does it 20 times."""
    modality_texts: int = 0
    """Texts of which several motions are made for MultiModality; the field takes 100. 0: none."""
    modality_samples: int = 30
    batch: int = 8
    seed: int = 0


def evaluate(
    pipeline: Pipeline | None,
    evaluator: Evaluator,
    clips: Sequence[Clip],
    settings: EvaluationSettings,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Return each figure (``NAMES``) with its mean and the half width of its 95 % interval.

    pipeline None judges the data set itself, which is what a model can reach. A motion is as long
    as the clip that the text is of. options are the pipeline's. InputError if there are fewer clips
    than a group of ``metrics.GROUP``.
    """
    if len(clips) < GROUP:
        raise InputError(f"{len(clips)} clips: {GROUP} are the fewest that can be told apart")
    real = evaluator.encode_motions([clip.features for clip in clips])
    found: dict[str, list[float]] = {}
    for repeat in range(settings.repeats):
        random = np.random.default_rng([settings.seed, repeat])
        order = random.permutation(len(clips))
        chosen = [_one_of(clips[row], random) for row in order]
        texts = evaluator.encode_texts([said.tokens for said in chosen])
        made = real[order]
        if pipeline is not None:
            wanted = [
                (said.caption, len(clips[row].features))
                for row, said in zip(order, chosen, strict=True)
            ]
            made = evaluator.encode_motions(
                _generated(pipeline, wanted, settings, random, options or {}, progress)
            )
        precision = r_precision(texts, made)
        figures = {
            **{f"r_precision_{k + 1}": float(value) for k, value in enumerate(precision)},
            "mm_dist": matching_distance(texts, made),
            "fid": frechet_distance(made, real),
            "diversity": diversity(made, random),
        }
        if pipeline is not None and settings.modality_texts:
            picked = random.permutation(len(clips))[: settings.modality_texts]
            wanted = [
                (_one_of(clips[row], random).caption, len(clips[row].features))
                for row in picked
                for _ in range(settings.modality_samples)
            ]
            sets = evaluator.encode_motions(
                _generated(pipeline, wanted, settings, random, options or {}, progress)
            )
            figures["multimodality"] = multimodality(
                sets.reshape(len(picked), settings.modality_samples, -1), random
            )
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return {name: _summary(values) for name, values in found.items()}


def _one_of(clip: Clip, random: np.random.Generator) -> Description:
    return clip.descriptions[int(random.integers(len(clip.descriptions)))]


def _summary(values: Sequence[float]) -> dict[str, float]:
    rows = np.asarray(values)
    spread = rows.std(ddof=1) if len(rows) > 1 else 0.0
    return {"mean": float(rows.mean()), "interval": float(CONFIDENCE * spread / len(rows) ** 0.5)}


def _generated(
    pipeline: Pipeline,
    wanted: Sequence[tuple[str, int]],
    settings: EvaluationSettings,
    random: np.random.Generator,
    options: Mapping[str, Any],
    progress: Progress | None,
) -> list[Floats]:
    """Make a motion of each text and length, and return HumanML3D's features of it."""
    made: list[Floats] = []
    for start in range(0, len(wanted), settings.batch):
        if progress is not None:
            progress("making motions", start, len(wanted))
        batch = wanted[start : start + settings.batch]
        # One frame more: a feature is what changes to the next.
        frames = [round((count + 1) * pipeline.fps / 20) for _, count in batch]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MotionWarning)
            motions = pipeline.generate_many(
                [caption for caption, _ in batch],
                num_frames=[min(count, pipeline.manifest.limits.max_frames) for count in frames],
                seed=int(random.integers(MAX_SEED)),
                **options,
            )
        for motion, (_, count) in zip(motions, batch, strict=True):
            features = features_of(motion)[:count]
            whole = min(len(features) // FRAMES_A_TOKEN * FRAMES_A_TOKEN, MAX_FRAMES)
            if whole < FRAMES_A_TOKEN:
                raise InputError(
                    f"{pipeline.manifest.name} made a motion of {len(features)} frames"
                )
            made.append(features[:whole])
    if progress is not None:
        progress("making motions", len(wanted), len(wanted))
    return made
