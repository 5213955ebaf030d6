from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.train.default.clips import (
    Clip,
    bend,
    headings,
    hold_end,
    lengthen,
    mirror,
    read_clips,
    resample,
    swap_sides,
)

SKELETON = load_skeleton("cmu22")


def joints_of(clip: Clip) -> np.ndarray:
    joints, _ = SKELETON.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    return joints


def test_reads_what_was_stored(data_folder: Path, make_gait: Callable[..., Clip]) -> None:
    clips = list(read_clips(data_folder, ["train"]))
    assert len(clips) == 5
    np.testing.assert_allclose(clips[0].rotations, make_gait(3.0, 1.2).rotations, atol=1e-4)


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no motion data folder"):
        list(read_clips(tmp_path))


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("raises the left arm, then the right.", "raises the right arm, then the left."),
        ("Left turn; upright and bright", "Right turn; upright and bright"),
        ("a left-handed man goes leftward", "a right-handed man goes rightward"),
    ],
)
def test_sides_are_swapped_in_words(text: str, swapped: str) -> None:
    assert swap_sides(text) == swapped
    assert swap_sides(swapped) == text


def test_a_mirrored_clip_is_the_reflection(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait(3.0, 1.0, 90.0)
    reflected = joints_of(mirror(clip, SKELETON))
    left, right = SKELETON.index("LeftHand"), SKELETON.index("RightHand")
    expected = joints_of(clip) * [-1, 1, 1]
    np.testing.assert_allclose(reflected[:, left], expected[:, right], atol=1e-5)
    np.testing.assert_array_equal(
        mirror(mirror(clip, SKELETON), SKELETON).rotations, clip.rotations
    )


def test_resampling_keeps_the_path_and_a_tempo_changes_the_speed(
    make_gait: Callable[..., Clip],
) -> None:
    clip = make_gait(4.0, 1.0)
    same, faster = resample(clip, 20.0), resample(clip, 20.0, 2.0)
    np.testing.assert_allclose(same.root[-1], clip.root[-1], atol=0.06)
    assert faster.num_frames == pytest.approx(same.num_frames / 2, abs=1)
    step = np.linalg.norm(np.diff(faster.root[:, [0, 2]], axis=0), axis=-1) * faster.fps
    assert step.mean() == pytest.approx(2.0, abs=0.02)


def test_a_lengthened_walk_goes_on_straight_and_smooth(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait(2.0, 1.3)
    longer = lengthen(clip, SKELETON, 240)
    assert longer is not None and longer.num_frames >= 240
    travel = longer.root[-1] - longer.root[0]
    assert travel[2] == pytest.approx(1.3 * (longer.num_frames - 1) / longer.fps, rel=0.03)
    assert abs(travel[0]) < 0.1
    before, after = joints_of(clip), joints_of(longer)
    jolt = np.abs(np.diff(after, n=2, axis=0)).max()
    assert jolt < 2 * np.abs(np.diff(before, n=2, axis=0)).max()


def test_a_lengthened_turn_keeps_turning(make_gait: Callable[..., Clip]) -> None:
    longer = lengthen(make_gait(3.0, 1.0, 90.0), SKELETON, 180)
    assert longer is not None
    heading = np.degrees(headings(joints_of(longer), SKELETON))
    assert heading[-1] - heading[0] > 150


def test_a_clip_without_a_cycle_is_left_alone(make_gait: Callable[..., Clip]) -> None:
    assert lengthen(make_gait(0.4), SKELETON, 100) is None


def test_a_bent_walk_turns_and_its_feet_stand_as_before(make_gait: Callable[..., Clip]) -> None:
    in_place = make_gait(4.0, 0.0)
    ankles = [SKELETON.index("LeftFoot"), SKELETON.index("RightFoot")]

    def slower_ankle(clip: Clip) -> float:
        moves = np.diff(joints_of(clip)[:, ankles][..., [0, 2]], axis=0) * clip.fps
        return float(np.linalg.norm(moves, axis=-1).min(-1).mean())

    # The body goes ahead as fast as the foot that stands went back.
    back = np.diff(joints_of(in_place)[:, ankles, 2], axis=0).min(-1)
    root = in_place.root.copy()
    root[1:, 2] -= np.cumsum(back).astype(np.float32)
    straight = replace(in_place, root=root)
    turn = np.linspace(0, np.pi / 2, straight.num_frames).astype(np.float32)
    bent = bend(straight, SKELETON, turn)
    heading = np.degrees(headings(joints_of(bent), SKELETON))
    assert heading[-1] - heading[0] == pytest.approx(90, abs=1)
    assert slower_ankle(straight) < 0.01
    assert slower_ankle(bent) < 0.04
    length = [
        np.linalg.norm(np.diff(clip.root, axis=0), axis=-1).sum() for clip in (straight, bent)
    ]
    assert length[1] == pytest.approx(length[0], rel=0.1)
    # About the hips instead, the feet would slide.
    spun = replace(straight, rotations=bent.rotations)
    assert slower_ankle(spun) > 2 * slower_ankle(bent)


def test_a_held_end_stands_still(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait(1.0)
    held = hold_end(clip, 50)
    assert held.num_frames == 50 and hold_end(clip, 5).num_frames == clip.num_frames
    np.testing.assert_array_equal(held.root[30:], np.tile(clip.root[-1], (20, 1)))


def test_a_cycle_may_be_kept_within_a_part(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait(4.0)
    assert lengthen(clip, load_skeleton("cmu22"), 200, np.ones(clip.num_frames, bool)) is not None
    assert lengthen(clip, load_skeleton("cmu22"), 200, np.zeros(clip.num_frames, bool)) is None
