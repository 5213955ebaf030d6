import json

import numpy as np
import pytest

from motionrt.train.metrics import projector_metrics

TARGET = np.random.default_rng(0).normal(size=(60, 10)) + 4


def test_a_perfect_projection() -> None:
    figures = projector_metrics(TARGET, TARGET)
    assert figures.mse == 0
    assert figures.r2 == 1
    assert figures.recall_at_1 == figures.mrr == figures.recall_at_10_reverse == 1
    assert figures.centred_cosine == pytest.approx(1)
    np.testing.assert_allclose(figures.per_dim_corr, 1)
    np.testing.assert_allclose(figures.std_ratio, 1)


def test_predicting_the_mean_is_seen_through() -> None:
    mean = np.broadcast_to(TARGET.mean(0), TARGET.shape)
    figures = projector_metrics(mean, TARGET)
    assert figures.cosine > 0.9, "the raw cosine is fooled"
    assert figures.centred_cosine == pytest.approx(0)
    assert figures.recall_at_10 == 0 or figures.recall_at_10 < 0.2, "ties count against it"
    assert figures.mse == pytest.approx(figures.mse_of_mean)
    assert figures.std_profile_corr is None


def test_figures_are_json() -> None:
    figures = projector_metrics(TARGET + 0.1, TARGET)
    assert json.loads(json.dumps(figures.to_dict()))["num_rows"] == 60
    low, high = figures.mse_interval
    assert low <= figures.mse + 1e-12
    assert high >= figures.mse - 1e-12


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two equal"):
        projector_metrics(TARGET, TARGET[:-1])
    with pytest.raises(ValueError, match="N > 1"):
        projector_metrics(TARGET[:1], TARGET[:1])
