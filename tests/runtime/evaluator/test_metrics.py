import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.runtime.evaluator.metrics import (
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
)

RANDOM = np.random.default_rng(0)


def test_precision_counts_who_is_nearest() -> None:
    texts = RANDOM.normal(size=(64, 8))
    np.testing.assert_array_equal(r_precision(texts, texts + 1e-3), [1, 1, 1])
    swapped = texts.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    found = r_precision(texts, swapped)
    assert found[0] == pytest.approx(62 / 64)
    assert found[0] <= found[1] <= found[2]
    # One that says the same of all finds nobody: ties count against it.
    np.testing.assert_array_equal(r_precision(texts, np.zeros((64, 8))), [0, 0, 0])
    assert len(r_precision(texts[:40], texts[:40])) == 3


def test_matching_distance_is_of_pairs() -> None:
    texts = RANDOM.normal(size=(32, 4))
    assert matching_distance(texts, np.add(texts, [3, 0, 4, 0])) == pytest.approx(5)


def test_frechet_distance_of_gaussians() -> None:
    a = RANDOM.normal(size=(4000, 3)) * [1, 2, 3]
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, np.add(a, [1, 0, 2])) == pytest.approx(5)
    # Of commuting covariances it is the distance of their roots: here every spread doubles.
    want = float(a.var(0, ddof=1).sum())
    assert frechet_distance(a, 2 * a - a.mean(0)) == pytest.approx(want, rel=1e-6)
    few = RANDOM.normal(size=(5, 30))  # fewer rows than features
    assert np.isfinite(frechet_distance(few, few + 1))


def test_spreads_are_mean_distances() -> None:
    same = np.ones((20, 3))
    assert diversity(same, np.random.default_rng(0)) == 0
    apart = np.concatenate((np.zeros((10, 1)), np.full((10, 1), 2.0)))
    assert 0 < diversity(apart, np.random.default_rng(0)) < 2
    sets = np.stack([np.arange(4.0)[:, None] * k for k in (0, 1)])
    assert 0 < multimodality(sets, np.random.default_rng(0)) < 1.5
    assert multimodality(np.ones((3, 2, 4)), np.random.default_rng(0)) == 0


def test_what_does_not_match_is_refused() -> None:
    with pytest.raises(InputError, match="32 or more"):
        r_precision(np.ones((31, 2)), np.ones((31, 2)))
    with pytest.raises(InputError, match="not matched"):
        matching_distance(np.ones((32, 2)), np.ones((33, 2)))
    with pytest.raises(InputError, match="2 or more samples"):
        multimodality(np.ones((3, 1, 4)), RANDOM)
