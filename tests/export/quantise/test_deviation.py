import numpy as np
import pytest

from motionrt.export.quantise.deviation import check_deviation, measure_deviation
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
