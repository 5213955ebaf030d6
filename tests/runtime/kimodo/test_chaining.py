from __future__ import annotations

import numpy as np
import pytest

from motionrt.runtime.constraints.kinds import Root2D
from motionrt.runtime.kimodo.chaining import ends_of_parts, part_lengths, waypoints_between
from motionrt.runtime.kimodo.compat import COMPATS, Compat
from motionrt.runtime.kimodo.segments import segment_lengths

START = (0, np.zeros(2, np.float32))


@pytest.mark.parametrize("compat", COMPATS.values(), ids=list(COMPATS))
@pytest.mark.parametrize("frames", [121, 160, 239, 240, 600, 12000])
@pytest.mark.parametrize("before", [0, 300])
def test_parts_are_equal_and_fit_with_their_transitions(
    frames: int, before: int, compat: Compat
) -> None:
    ((*own,),) = part_lengths([frames], 120, 5, compat, before)
    assert sum(own) == frames and max(own) - min(own) <= 1 and len(own) > 1
    assert max(segment_lengths(own, 5, compat, before)) <= 120
    fewer = len(own) - 1
    if fewer * 120 >= frames:  # one part less would be too long
        parts = [frames // fewer + (index < frames % fewer) for index in range(fewer)]
        assert max(segment_lengths(parts, 5, compat, before)) > 120


def test_what_is_not_too_long_stays_whole() -> None:
    assert part_lengths([120, 50, 300], 120) == [[120], [50], [100, 100, 100]]
    # A model that was never shown more than 120 frames counts the transition.
    assert part_lengths([120, 120], 120, transitions_included=True) == [[120], [60, 60]]
    assert part_lengths([100, 100], 120, transitions_included=True) == [[100], [100]]
    assert part_lengths([100], 120, num_previous=900, transitions_included=True) == [[25] * 4]


def test_what_cannot_fit_is_split_all_the_same() -> None:
    assert part_lengths([240], 120, num_transition_frames=100) == [[120, 120]]


def test_ends_are_those_within_a_prompt() -> None:
    assert ends_of_parts([[120], [60, 60], [50, 50, 50]]) == [179, 289, 339]
    assert ends_of_parts([[10, 10]], num_previous=30) == [39]
    assert ends_of_parts([[10], [20]]) == []


def test_each_part_goes_its_share_of_the_way() -> None:
    path = Root2D([300, 400], [[0, 30], [10, 30]])
    (made,) = waypoints_between([path], [99, 199, 299, 349, 399], START)
    assert isinstance(made, Root2D) and made.frame_indices.tolist() == [99, 199, 299, 349, 399]
    wanted = [[0, 9.9], [0, 19.9], [0, 29.9], [4.9, 30], [9.9, 30]]
    np.testing.assert_allclose(made.smooth_root_2d, wanted, atol=1e-5)


def test_nothing_is_held_beyond_the_last_constraint_or_where_one_is() -> None:
    path = Root2D([99, 150], [[0, 9], [0, 15]])
    assert waypoints_between([path], [99, 199], START) == []
    assert waypoints_between([], [99, 199], START) == []
    (made,) = waypoints_between([Root2D([199], [[0, 8]])], [39, 119], (39, np.array([0, 4.0])))
    assert made.frame_indices.tolist() == [119]
    assert isinstance(made, Root2D)
    np.testing.assert_allclose(made.smooth_root_2d, [[0, 6]])
