from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from motionrt.export.quantise.deviation import (
    check_deviation,
    concerns,
    measure_deviation,
    measure_motions,
)
from motionrt.runtime.errors import ExportError


def test_deviation_above_the_limit_fails_the_export() -> None:
    reference = np.ones((2, 4), np.float32)
    deviation = measure_deviation(reference * 1.1, reference)
    assert deviation.cosine == pytest.approx(1)
    assert deviation.relative == pytest.approx(0.1, rel=1e-5)
    check_deviation("text_encoder", deviation, 0.2)
    with pytest.raises(ExportError, match=r"deviates from fp32 by 0\.1000"):
        check_deviation("text_encoder", deviation, 0.05)
    broken = measure_deviation(reference * np.nan, reference)
    with pytest.raises(ExportError, match="not finite"):
        check_deviation("text_encoder", broken, None)


def test_joint_error_is_the_worst_prompts_mean_in_centimetres() -> None:
    still = np.zeros((2, 5, 3, 3), np.float32)
    moved = still.copy()
    moved[1, ..., 0] = 0.02
    embedding = np.ones((2, 4), np.float32)
    deviation = measure_deviation(embedding, embedding, (moved, still))
    assert deviation.to_dict()["joints_cm"] == pytest.approx(2, rel=1e-5)


def test_motions_that_are_not_finite_fail_the_export() -> None:
    features, joints = np.ones((1, 4), np.float32), np.zeros((1, 5, 3, 3), np.float32)
    figures = measure_motions("sampler", (features, joints + 0.01), (features, joints))
    assert figures["motion_relative"] == 0
    assert figures["motion_joints_cm"] == pytest.approx(3**0.5, rel=1e-5)
    with pytest.raises(ExportError, match="sampler: gives values that are not finite"):
        measure_motions("sampler", (features * np.nan, joints), (features, joints))


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"relative": 0.02, "motion_joints_cm": 1.3}, []),
        ({"export": 3.0, "relative": 0.02, "motion_joints_cm": 26.96}, ["joints are 27.0 cm"]),
        ({"relative": 0.14, "motion_joints_cm": 6.5}, ["joints are 6.5 cm", "output is 14% off"]),
        # An embedding may be further off: what it does to motions is measured as well.
        ({"relative": 0.14, "cosine": 0.99, "motion_joints_cm": 2.0}, []),
        ({"relative": 0.3, "cosine": 0.95, "motion_joints_cm": 2.0}, ["output is 30% off"]),
        ({"export": 1e-5}, []),
    ],
)
def test_bad_figures_are_told(figures: dict[str, float], words: list[str]) -> None:
    found = concerns(figures)
    assert len(found) == len(words)
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True))


def test_figures_are_judged_without_torch() -> None:
    code = """import sys
for name in ("torch", "onnx", "onnx_ir", "onnxruntime"):
    sys.modules[name] = None
from motionrt.cli.main import main
main(["inspect"])"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "joints off by" in done.stdout
