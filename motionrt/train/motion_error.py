"""What a projector's error comes to in motions: centimetres, beside what another seed changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.pipeline import KimodoPipeline
from motionrt.runtime.pipeline import Pipeline, Progress
from motionrt.runtime.sampling.noise import TorchGenerator

Floats = NDArray[np.float32]
NUM_MOTIONS = 16
"""Prompts whose motions are made, unless another number is asked for."""


@dataclass(frozen=True)
class MotionError:
    """Distances between joints, averaged over joints, frames and prompts.

    The seed spread is how far the teacher's own motions of one prompt and two seeds are apart: an
    error well below it cannot be told from chance.
    """

    num_motions: int
    seconds: float
    joint_error_cm: float
    """Between the motions of a target and of its projection, of one seed, in the world."""
    body_error_cm: float
    """The same with both roots in one place: how far the poses differ."""
    seed_spread_cm: float
    body_seed_spread_cm: float

    @property
    def relative(self) -> float:
        """Joint error in units of the seed spread."""
        return self.joint_error_cm / max(self.seed_spread_cm, 1e-9)

    @property
    def body_relative(self) -> float:
        """Body error in units of its seed spread."""
        return self.body_error_cm / max(self.body_seed_spread_cm, 1e-9)

    def to_dict(self) -> dict[str, float]:
        """Return the figures as JSON takes them."""
        return {**asdict(self), "relative": self.relative, "body_relative": self.body_relative}


def motion_error(
    pipeline: Pipeline,
    projected: Floats,
    target: Floats,
    *,
    num_motions: int = NUM_MOTIONS,
    seconds: float = 4.0,
    num_steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> MotionError:
    """Make motions of targets (N, W), of two seeds each, and of their projections, and compare.

    At most num_motions rows are taken, evenly. num_steps None takes the bundle's. InputError if the
    bundle is of a family that takes no embeddings, or of other ones.
    """
    if not isinstance(pipeline, KimodoPipeline):
        raise InputError(
            f"{pipeline.bundle.folder}: motions are made of embeddings with bundles of Kimodo, "
            f"this one is of {pipeline.family.name}"
        )
    width = pipeline.defaults.text_width
    if target.ndim != 2 or target.shape[1] != width:
        raise InputError(
            f"{pipeline.bundle.folder}: takes embeddings of {width} numbers, the targets are "
            f"{list(target.shape[1:])}"
        )
    frames = min(max(round(seconds * pipeline.fps), 1), pipeline.advised_frames)
    count = min(max(num_motions, 1), len(target))
    rows = np.linspace(0, len(target) - 1, count).round().astype(np.int64)
    noises = [
        TorchGenerator(seed + i).randn((1, frames, pipeline.features.width)) for i in range(2)
    ]
    distances = []
    for done, row in enumerate(rows):
        if progress is not None:
            progress("making motions", done, count)
        joints = [
            _joints(pipeline, embedding, noise, num_steps)
            for embedding, noise in (
                (target[row], noises[0]),
                (projected[row], noises[0]),
                (target[row], noises[1]),
            )
        ]
        distances.append([_apart(joints[0], other) for other in joints[1:]])
    if progress is not None:
        progress("making motions", count, count)
    (error, body), (spread, body_spread) = 100 * np.mean(distances, axis=0)
    return MotionError(
        count, frames / pipeline.fps, float(error), float(body), float(spread), float(body_spread)
    )


def _joints(
    pipeline: KimodoPipeline, embedding: Floats, noise: Floats, num_steps: int | None
) -> Floats:
    features = pipeline.sample(embedding[None, None], noise, num_steps=num_steps)
    joints: Floats = pipeline.decode(features, ["posed_joints"])["posed_joints"][0]
    return joints


def _apart(a: Floats, b: Floats) -> tuple[float, float]:
    """Return the mean distance of joints (T, J, 3), in the world and about their roots."""
    return tuple(
        float(np.linalg.norm(x - y, axis=-1).mean())
        for x, y in ((a, b), (a - a[:, :1], b - b[:, :1]))
    )  # type: ignore[return-value]
