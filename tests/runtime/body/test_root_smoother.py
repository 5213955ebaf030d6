import numpy as np
import pytest
from places import GOLDEN

from motionrt.runtime.body import root_smoother
from motionrt.runtime.body.root_smoother import MARGIN_M, smooth_root

CASE = GOLDEN / "kimodo/smooth_root"


def walk(frames: int, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(frames, 3)) * 0.02
    return np.cumsum(steps, axis=0).astype(np.float32)


def test_matches_upstream() -> None:
    inputs, expected = np.load(CASE / "inputs.npz"), np.load(CASE / "expected.npz")
    for name in inputs.files:
        got = smooth_root(inputs[name])
        np.testing.assert_allclose(got, expected[name.replace("root", "smooth")], rtol=0, atol=1e-5)


def test_stays_within_the_margin_and_keeps_the_height() -> None:
    path = walk(200)
    smooth = smooth_root(path)
    np.testing.assert_array_equal(smooth[:, 1], path[:, 1])
    middle = (path[:-1] + path[1:]) / 2  # the result lies half a frame later
    away = np.linalg.norm((smooth[:-1] - middle)[:, ::2], axis=1)
    assert away.max() < MARGIN_M * 1.1
    assert np.abs(np.diff(smooth[:, 0], 2)).mean() < np.abs(np.diff(path[:, 0], 2)).mean() / 10


def test_long_paths_use_the_banded_inverse_and_give_the_dense_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = walk(500)
    banded = smooth_root(path)
    monkeypatch.setattr(root_smoother, "_DENSE_LIMIT", 10_000)
    root_smoother._Solver.of_length.cache_clear()
    np.testing.assert_allclose(banded, smooth_root(path), rtol=0, atol=1e-6)
    monkeypatch.undo()
    root_smoother._Solver.of_length.cache_clear()


def test_a_batch_gives_what_each_clip_gives() -> None:
    paths = np.stack([walk(50, seed) for seed in range(4)]).reshape(2, 2, 50, 3)
    got = smooth_root(paths)
    np.testing.assert_allclose(got[1, 0], smooth_root(paths[1, 0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", range(9))
def test_short_paths_are_finite(frames: int) -> None:
    path = walk(frames)
    smooth = smooth_root(path)
    assert smooth.shape == path.shape and np.isfinite(smooth).all()
    if frames < root_smoother.MIN_FRAMES:
        np.testing.assert_array_equal(smooth, path)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        smooth_root(np.zeros((10, 2), np.float32))
