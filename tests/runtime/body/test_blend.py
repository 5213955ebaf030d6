from __future__ import annotations

import numpy as np
import pytest
from strides import striding

from motionrt.runtime.body.blend import blended
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError


def changes(motion: Motion) -> float:
    return float(
        np.linalg.norm(np.diff(motion.posed_joints.astype(float), n=2, axis=0), axis=-1).max()
    )


def test_two_walks_meet_in_the_same_phase_and_direction() -> None:
    first = striding(heading=0.0)
    second = striding(phase=2.0, heading=1.4)
    both = blended(first, second, 0.4)
    assert changes(both) < 1.2 * max(changes(first), changes(second))
    assert np.abs(headings(both)).max() < 0.35  # on goes the first's direction
    ankle = both.skeleton.left_foot_joints[0]
    way = [np.diff(motion.posed_joints[:, ankle, 2]).max() for motion in (both, first)]
    assert way[0] < 1.3 * way[1]
    assert both.foot_contacts is not None and len(both.foot_contacts) == both.num_frames


def test_ends_are_those_of_the_motions() -> None:
    first, second = striding(), striding(phase=1.0)
    both = blended(first, second)
    np.testing.assert_array_equal(both.posed_joints[:30], first.posed_joints[:30])
    np.testing.assert_allclose(
        both.local_rot_mats[-30:, 1:], second.local_rot_mats[-30:, 1:], atol=1e-6
    )


def test_another_rate_is_brought_to_the_firsts() -> None:
    assert blended(striding(fps=30), striding(fps=60)).fps == 30


def test_what_does_not_fit_is_refused() -> None:
    other = load_skeleton("smplx22")
    still = Motion.from_local(np.tile(np.eye(3), (60, 22, 1, 1)), np.zeros((60, 3)), other, 30)
    with pytest.raises(InputError, match="differ"):
        blended(striding(), still)
    with pytest.raises(InputError, match="longer"):
        blended(striding(seconds=0.3), striding(), 0.5)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="a blend of"):
            blended(striding(), striding(), seconds)
