"""What fewer bits cost: a result compared with its float32 reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import ExportError


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
