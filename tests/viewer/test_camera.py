from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.errors import InputError
from motionrt.viewer.camera import Camera, view_direction

FORWARD = np.array([0.0, 0.0, 1.0])


def camera(view: str) -> Camera:
    return Camera(np.zeros(3), view_direction(FORWARD, view), 10.0, 100.0, (50.0, 60.0))


@pytest.mark.parametrize("view", ["front", "side", "three-quarter"])
def test_target_is_at_the_centre_and_up_is_up(view: str) -> None:
    target, above = camera(view).project([[0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(target, [50, 60, 0], atol=1e-9)
    assert above[1] < 60 - 90
    assert abs(above[0] - 50) < 1e-9


def test_front_shows_left_on_the_right_and_comes_closer_ahead() -> None:
    left, ahead = camera("front").project([[1, 0, 0], [0, 0, 1]])
    assert left[0] > 140
    assert ahead[2] < -0.9


@pytest.mark.parametrize("view", ["side", "three-quarter"])
def test_ahead_is_to_the_right_from_the_side(view: str) -> None:
    assert camera(view).project([0, 0, 1])[0] > 50 + 60


def test_nearer_is_larger() -> None:
    near, far = camera("front").project([[1, 0, 1], [1, 0, -1]])
    assert near[0] > far[0]


def test_points_behind_the_eye_stay_finite() -> None:
    assert np.isfinite(camera("front").project([3.0, 1.0, 1e4])).all()


def test_unknown_view_is_refused() -> None:
    with pytest.raises(InputError, match="view is 'top'"):
        view_direction(FORWARD, "top")
