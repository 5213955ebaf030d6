import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motionrt.runtime.body.trajectory import (
    FREE,
    PINNED,
    Weights,
    correct_trajectory,
    smooth_mask_edges,
)

WEIGHTS = Weights(0.001, 1.0, 10.0)


def hessian(count: int, weights: Weights) -> NDArray[np.float64]:
    velocity = np.diff(np.eye(count), axis=0)
    acceleration = np.diff(np.eye(count), 2, axis=0)
    return (
        weights.position * np.eye(count)
        + weights.velocity * velocity.T @ velocity
        + weights.acceleration * acceleration.T @ acceleration
    )


@st.composite
def problems(draw: st.DrawFn, kinds: tuple[float, ...]) -> tuple[NDArray[np.float64], ...]:
    count = draw(st.integers(1, 24))
    seed = draw(st.integers(0, 2**32 - 1))
    margins = draw(st.lists(st.sampled_from(kinds), min_size=count, max_size=count))
    rng = np.random.default_rng(seed)
    reference, targets = rng.normal(size=(2, count, 3))
    return reference, targets, np.array(margins)


@settings(deadline=None)
@given(problems((FREE, PINNED)))
def test_pins_are_met_and_the_rest_is_the_minimum(
    problem: tuple[NDArray[np.float64], ...],
) -> None:
    reference, targets, margins = problem
    result = correct_trajectory(reference, targets, margins, WEIGHTS)
    pinned = margins == PINNED
    np.testing.assert_array_equal(result[pinned], targets[pinned])
    if not pinned.any():
        np.testing.assert_array_equal(result, reference)
    gradient = hessian(len(reference), WEIGHTS) @ (result - reference)
    np.testing.assert_allclose(gradient[~pinned], 0, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(problems((FREE, PINNED, 0.3, 1.0)))
def test_margins_hold_a_frame_near_its_target(
    problem: tuple[NDArray[np.float64], ...],
) -> None:
    reference, targets, margins = problem
    result = correct_trajectory(reference, targets, margins, WEIGHTS)
    distance = np.linalg.norm(result - targets, axis=1)
    np.testing.assert_allclose(distance[margins == PINNED], 0)
    # A hundred rounds of splitting come close; the tolerance is theirs.
    assert (distance - margins)[margins > 0].max(initial=0) < 0.15


def test_a_trajectory_inside_its_margins_hardly_moves() -> None:
    reference = np.linspace(0, 1, 40)[:, None] * [1.0, 2.0]
    margins = np.full(40, FREE)
    margins[::7] = 0.1
    result = correct_trajectory(reference, reference + 0.05, margins, WEIGHTS)
    np.testing.assert_allclose(result, reference, atol=1e-9)


def test_long_trajectories_give_the_same_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    reference, targets = np.cumsum(rng.normal(size=(2, 200, 2)), axis=1)
    margins = np.where(rng.uniform(size=200) < 0.3, 0.5, FREE)
    quick = correct_trajectory(reference, targets, margins, WEIGHTS)
    monkeypatch.setattr("motionrt.runtime.body.trajectory._MAX_DENSE", 0)
    lean = correct_trajectory(reference, targets, margins, WEIGHTS)
    np.testing.assert_allclose(quick, lean, atol=1e-8)


def test_mask_edges_become_the_mean_of_their_neighbours() -> None:
    reference = np.array([[0.0], [1], [8], [3], [9], [5], [7]])
    mask = np.array([False, False, True, True, True, False, True])
    result = smooth_mask_edges(reference, mask)
    # Frame 2 goes first, in place; the last frame is its own neighbour.
    np.testing.assert_array_equal(result.ravel(), [0, 1, 2, 3, 4, 5, 6])


def test_a_mask_everywhere_changes_nothing() -> None:
    reference = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(smooth_mask_edges(reference, np.ones(5, bool)), reference)
