from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.constraints.kinds import Constraint, Root2D, constraint_from_motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import COMPATS
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.kimodo.segments import (
    SegmentRequest,
    encode_previous,
    generate_segments,
    segment_lengths,
    transition_frames,
    with_toe_ends,
    without_toe_ends,
)

Make = Callable[..., Motion]
LATEST = COMPATS["latest"]


@pytest.fixture(scope="module")
def features() -> MotionFeatures:
    rng = np.random.default_rng(0)
    width = 12 * 22 + 9
    mean, std = rng.normal(size=width) * 0.1, rng.uniform(0.5, 1.5, width)
    return MotionFeatures(load_skeleton("smplx22"), 30, mean, std)


class Sampler:
    """Gives random but sound features and remembers what it was asked for."""

    def __init__(self, features: MotionFeatures) -> None:
        self.features, self.requests = features, list[SegmentRequest]()
        self.rng = np.random.default_rng(1)

    def __call__(self, request: SegmentRequest) -> NDArray[np.float32]:
        self.requests.append(request)
        shape = (len(request.first_heading_rad), request.num_frames, self.features.width)
        return self.rng.normal(size=shape).astype(np.float32)


def test_lengths_count_transitions() -> None:
    assert segment_lengths([30, 24, 27]) == [30, 24 + 5 + 3, 27 + 5 + 2]
    assert segment_lengths([30, 24, 27], compat=LATEST) == [30, 29, 32]
    assert segment_lengths([20], 3, num_previous=105) == [20 + 3 + 10]
    assert transition_frames(109, 5) == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([10, 10], 0), "0 transition frames: must be 1 or more"),
        (([10, 0], 5), "segment 1: 0 frames"),
        (([4, 10], 5), "takes 5 frames of the 4 before"),
        (([10, 10], 10), "takes 11 frames of the 10 before"),
    ],
)
def test_segments_too_short_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment_lengths(*arguments)


@pytest.mark.parametrize("compat", COMPATS.values(), ids=list(COMPATS))
def test_each_segment_starts_from_the_end_of_the_one_before(
    features: MotionFeatures, compat: Any
) -> None:
    sampler = Sampler(features)
    result = generate_segments(sampler, features, [20, 15], 2, compat=compat)
    assert result.shape == (2, 35, features.width)
    first, second = sampler.requests
    extra = second.num_frames - 15
    assert not first.motion_mask.any()
    held = np.any(second.motion_mask, axis=2)
    assert held[:, :5].all() and not held[:, 5:].any()
    rotations = second.motion_mask[0, 0, features.slices["global_rot_data"]].sum()
    assert rotations == (6 * 4 if compat.transition_limbs else 0)
    # The transition begins over the origin, as the segment before ended there.
    observed = features.unnormalize(second.observed_motion)
    np.testing.assert_allclose(observed[:, 0, [0, 2]], 0, atol=1e-5)
    decoded: dict[str, Any] = features.decode(features.unnormalize(Sampler(features)(first)))
    tail = decoded["posed_joints"]
    start = 20 - extra
    height = observed[:, :5, features.slices["local_joints_positions"]][..., 1::3]
    np.testing.assert_allclose(height, tail[:, start : start + 5, :, 1], atol=1e-4)


def test_a_transition_begins_with_the_old_and_ends_with_the_new(features: MotionFeatures) -> None:
    sampler = Sampler(features)
    result = generate_segments(sampler, features, [20, 15], compat=LATEST)
    again = Sampler(features)
    first = features.unnormalize(again(sampler.requests[0]))
    np.testing.assert_allclose(result[:, :16], first[:, :16], atol=1e-5)  # 15 and the blend's first
    assert not np.allclose(result[:, 16], first[:, 16], atol=1e-3)
    second = features.unnormalize(again(sampler.requests[1]))
    body = slice(5, features.width)
    np.testing.assert_allclose(result[:, 19:, body], second[:, 4:, body], atol=1e-5)


def test_constraints_count_over_all_segments(features: MotionFeatures) -> None:
    sampler = Sampler(features)
    item = Root2D(np.array([3, 25, 99]), np.zeros((3, 2), np.float32))
    generate_segments(sampler, features, [20, 15], constraints=[[item]], compat=LATEST)
    first, second = (np.any(request.motion_mask[0], axis=-1) for request in sampler.requests)
    assert np.flatnonzero(first).tolist() == [3]
    assert np.flatnonzero(second).tolist() == [0, 1, 2, 3, 4, 5 + 25 - 20]


def test_a_corrector_sees_each_segment_with_its_constraints(features: MotionFeatures) -> None:
    seen: list[list[str]] = []

    def correct(clip: NDArray[np.float32], held: Any) -> NDArray[np.float32]:
        seen.append([item.type for item in held])
        return clip

    generate_segments(Sampler(features), features, [20, 15], compat=LATEST, correct=correct)
    assert seen == [[], ["fullbody", "left-hand", "right-hand", "left-foot", "right-foot"]]


def test_a_clip_is_continued(features: MotionFeatures, wandering: Make) -> None:
    motion = wandering("smplx22", 30)
    previous = encode_previous(motion, features)
    sampler = Sampler(features)
    result = generate_segments(sampler, features, [15], 2, previous=previous)
    assert result.shape == (2, 45, features.width)
    extra = 5 + 3
    np.testing.assert_array_equal(result[:, : 30 - extra], [previous[: 30 - extra]] * 2)
    (request,) = sampler.requests
    assert request.num_frames == 15 + extra
    observed = features.unnormalize(request.observed_motion)[0, 0]
    joints = observed[features.slices["local_joints_positions"]].reshape(-1, 3)
    moved = motion.posed_joints[30 - extra] - joints
    np.testing.assert_allclose(moved[:, [0, 2]], np.tile(moved[0, [0, 2]], (22, 1)), atol=1e-3)
    np.testing.assert_allclose(moved[:, 1], 0, atol=1e-3)


def test_what_a_clip_brings_along_is_kept(features: MotionFeatures, wandering: Make) -> None:
    motion = wandering("smplx22", 30)
    motion.smooth_root_pos = motion.root_positions + np.float32(0.1)
    encoded = encode_previous(motion, features)
    np.testing.assert_allclose(encoded[:, [0, 2]], motion.smooth_root_pos[:, [0, 2]])
    decoded: dict[str, Any] = features.decode(encoded)
    np.testing.assert_allclose(decoded["posed_joints"], motion.posed_joints, atol=1e-4)
    np.testing.assert_array_equal(decoded["foot_contacts"], motion.foot_contacts)


def test_a_clip_that_does_not_fit_is_refused(features: MotionFeatures, wandering: Make) -> None:
    with pytest.raises(InputError, match="skeleton g1, the model smplx22"):
        encode_previous(wandering("g1"), features)
    with pytest.raises(InputError, match="25 fps, the model 30; resample"):
        encode_previous(wandering("smplx22", fps=25), features)
    with pytest.raises(InputError, match="has 4 frames"):
        encode_previous(wandering("smplx22", 4), features)
    soma = MotionFeatures(load_skeleton("soma30"))
    assert encode_previous(wandering("soma77"), soma).shape == (24, soma.width)


def test_toe_ends_stand_with_their_toes() -> None:
    contacts = np.array([[True, False, False, True]])
    assert with_toe_ends(contacts).tolist() == [[True, False, False, False, True, True]]
    np.testing.assert_array_equal(without_toe_ends(with_toe_ends(contacts)), contacts)
    np.testing.assert_array_equal(without_toe_ends(contacts), contacts)


def test_constraints_of_a_segment_are_its_own(features: MotionFeatures, wandering: Make) -> None:
    """A pose in the second segment is observed where it is in the world, moved by the start."""
    motion = wandering("smplx22", 40)
    item: Constraint = constraint_from_motion(motion, [30], "fullbody")
    sampler = Sampler(features)
    result = generate_segments(sampler, features, [20, 20], constraints=[[item]], compat=LATEST)
    request = sampler.requests[1]
    observed = features.unnormalize(request.observed_motion)[0, 5 + 10]
    start = features.unnormalize(Sampler(features)(sampler.requests[0]))[0, 15, [0, 2]]
    place = observed[[0, 2]] + start
    smooth = item.smooth_root_2d
    assert smooth is not None
    np.testing.assert_allclose(place, smooth[0], atol=1e-4)
    assert np.isfinite(result).all()
