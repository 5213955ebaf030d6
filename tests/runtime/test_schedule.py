from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionrt.runtime.errors import InputError
from motionrt.runtime.schedule import SOLVERS, cosine_schedule


@given(st.integers(1, 1000), st.sampled_from(sorted(SOLVERS)))
def test_any_number_of_steps_ends_on_the_clean_prediction(num_steps: int, solver: str) -> None:
    schedule = cosine_schedule(1000, num_steps, solver)
    assert schedule.timesteps.shape == (num_steps,)
    assert schedule.coefficients.shape == (num_steps, 3)
    assert np.isfinite(schedule.coefficients).all()
    assert np.all(np.diff(schedule.timesteps) < 0)
    assert schedule.timesteps[-1] == 0
    np.testing.assert_allclose(schedule.coefficients[-1], [0, 1, 0], atol=1e-7)


@given(st.integers(2, 300), st.sampled_from(sorted(SOLVERS)))
def test_a_motion_that_is_predicted_right_is_reached_exactly(num_steps: int, solver: str) -> None:
    """With a constant x0, x stays alpha x0 + sigma eps for one eps, whatever the solver."""
    schedule = cosine_schedule(1000, num_steps, solver)
    x, x0, previous = 5.0, 2.0, 2.0
    for a, b, c in schedule.coefficients.astype(np.float64):
        x = a * x + b * x0 + c * previous
        assert abs(x) < 10
    np.testing.assert_allclose(x, x0, atol=1e-5)


@pytest.mark.parametrize(("num_steps", "solver"), [(0, "ddim"), (1001, "ddim"), (10, "euler")])
def test_refuses_what_no_schedule_has(num_steps: int, solver: str) -> None:
    with pytest.raises(InputError):
        cosine_schedule(1000, num_steps, solver)
