"""What fewer bits cost: a result compared with its float32 reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import ExportError

LARGE_JOINTS_CM = 5.0
"""Mean distance of joints from the motion in fp32, in centimetres, that is worth a warning. It is
what else is taken for the same motion: 20 steps for all 1000 move joints by 2 cm, constraints are
met within 3 to 6. The embedded default is 1.3 off in int8-weights; what its bundle holds is 0.1 off
again in fp16, and 6.5 in int8, where poses tremble."""
LARGE_RELATIVE = 0.1
"""The same of a network's output, relative to its length, since a motion may be near by luck. The
default's step is off by 0.001, 0.02 and 0.10 in these precisions. Of random weights in int8 motions
were from 3 to 35 cm off where this was 0.1 or more."""
LARGE_EMBEDDING = 0.25
"""The same of text embeddings: of wordings of one action the default's encoder puts the nearest
0.3 apart. Below it what the motions do is told by the joints alone."""


@dataclass(frozen=True)
class Deviation:
    """How far a result is from its float32 reference; one row per prompt."""

    cosine: float
    """Smallest cosine of a row with its reference."""
    relative: float
    """Largest |row - reference| / |reference|."""
    joints_cm: float | None = None
    """Mean distance of joints of the final motion in centimetres, the worst prompt's."""

    def to_dict(self) -> dict[str, float]:
        """Return it as a manifest states it."""
        figures = {"cosine": self.cosine, "relative": self.relative}
        return figures if self.joints_cm is None else {**figures, "joints_cm": self.joints_cm}


def measure_deviation(
    found: NDArray[np.float32],
    reference: NDArray[np.float32],
    joints: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Deviation:
    """Compare rows (B, ...) with their references; joints are (B, T, J, 3) of both, metres."""
    a = found.reshape(len(found), -1).astype(np.float64)
    b = reference.reshape(len(reference), -1).astype(np.float64)
    lengths = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
    relative = np.linalg.norm(a - b, axis=1) / np.maximum(np.linalg.norm(b, axis=1), 1e-30)
    distance = None
    if joints is not None:
        apart = np.linalg.norm(joints[0].astype(np.float64) - joints[1], axis=-1)
        distance = float(apart.reshape(len(apart), -1).mean(1).max() * 100)
    return Deviation(float((np.sum(a * b, 1) / lengths).min()), float(relative.max()), distance)


def measure_motions(
    graph: str,
    found: tuple[NDArray[np.float32], NDArray[np.float32]],
    exact: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> dict[str, float]:
    """Compare motions with those of fp32, as the manifest states it of a graph.

    Both are features (B, ...) and joints (B, T, J, 3), metres. ExportError if they are not finite.
    """
    deviation = measure_deviation(found[0], exact[0], (found[1], exact[1]))
    check_deviation(graph, deviation, None)
    return {f"motion_{name}": value for name, value in deviation.to_dict().items()}


def concerns(figures: Mapping[str, float]) -> list[str]:
    """Say what is bad of a graph's deviation, as its manifest states it; nothing if it is good."""
    found = []
    joints_cm, relative = figures.get("motion_joints_cm", 0.0), figures.get("relative", 0.0)
    # Cosines are measured of embeddings only.
    most = LARGE_EMBEDDING if "cosine" in figures else LARGE_RELATIVE
    if joints_cm > LARGE_JOINTS_CM:
        found.append(
            f"joints are {joints_cm:.1f} cm from where fp32 puts them "
            f"(above {LARGE_JOINTS_CM:g} is bad)"
        )
    if relative > most:
        found.append(f"output is {relative:.0%} off fp32's (above {most:.0%} is bad)")
    return found


def check_deviation(graph: str, deviation: Deviation, largest: float | None) -> None:
    """Raise ExportError if the relative deviation is not finite or above largest."""
    found = deviation.relative
    if not np.isfinite(found):
        raise ExportError(f"{graph}: gives values that are not finite; keep it in fp32")
    if largest is not None and found > largest:
        raise ExportError(
            f"{graph}: deviates from fp32 by {found:.4f} (relative), allowed is {largest:.4f}; "
            "take more bits, smaller blocks or a higher --max-deviation"
        )
