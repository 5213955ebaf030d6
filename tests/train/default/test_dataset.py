from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.train.default.clips import Clip, headings
from motionrt.train.default.dataset import (
    ACTION_WEIGHTS,
    BENDS_DEG,
    Dataset,
    DatasetConfig,
    bent,
    build_dataset,
    circles,
    dataset_key,
)

CONFIG = DatasetConfig(
    window_frames=(30, 40), stride_frames=20, locomotion_tempos=(1.0,), splits=("train",)
)


@pytest.fixture(scope="module")
def dataset(data_folder: Path) -> Dataset:
    return build_dataset([data_folder], CONFIG)


def test_windows_lie_within_the_clips(dataset: Dataset) -> None:
    assert dataset.num_windows > 20
    assert (dataset.starts + dataset.lengths).max() <= len(dataset.features)
    assert set(dataset.lengths) <= {30, 40}
    assert np.isfinite(dataset.features).all()


def test_actions_are_drawn_by_their_weights(dataset: Dataset) -> None:
    drawn: dict[str, float] = defaultdict(float)
    for action, weight in zip(dataset.actions, dataset.weights, strict=True):
        drawn[action] += weight
    assert drawn["walk_slow"] / drawn["walk_turn_left"] == pytest.approx(
        ACTION_WEIGHTS["walk_slow"] / ACTION_WEIGHTS["walk_turn_left"]
    )
    assert sum(drawn.values()) == pytest.approx(1)


def test_left_and_right_turns_are_equally_many(dataset: Dataset) -> None:
    assert dataset.actions.count("walk_turn_left") == dataset.actions.count("walk_turn_right") > 0


def test_straight_walks_are_bent_and_turns_are_left_alone(
    make_gait: Callable[..., Clip],
) -> None:
    straight = bent(make_gait(5.0, 1.2), seed=0)
    assert [clip.bent for clip in straight] == [True, True]
    skeleton = load_skeleton("cmu22")
    for clip in straight:
        joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
        heading = np.degrees(headings(joints, skeleton))
        assert BENDS_DEG[0] - 5 < heading[-1] - heading[0] < BENDS_DEG[1] + 5
    assert bent(make_gait(5.0, 1.2, 90.0), seed=0) == []
    assert bent(make_gait(2.0, 1.2), seed=0) == []


def test_no_left_turn_is_said_to_go_right(dataset: Dataset) -> None:
    for action, row in zip(dataset.actions, dataset.captions, strict=True):
        words = " ".join(dataset.texts[i] for i in row)
        if action == "walk_turn_left":
            assert "right" not in words
        if action == "walk_turn_right":
            assert "left" not in words


def test_the_same_data_gives_the_same_windows(dataset: Dataset, data_folder: Path) -> None:
    again = build_dataset([data_folder], CONFIG)
    assert again.texts == dataset.texts
    np.testing.assert_array_equal(again.features, dataset.features)
    np.testing.assert_array_equal(again.captions, dataset.captions)


def test_saved_and_loaded_it_is_the_same(dataset: Dataset, tmp_path: Path) -> None:
    dataset.save(tmp_path / "dataset.npz")
    loaded = Dataset.load(tmp_path / "dataset.npz")
    assert loaded.config == CONFIG
    assert loaded.texts == dataset.texts and loaded.actions == dataset.actions
    np.testing.assert_array_equal(loaded.weights, dataset.weights)


def test_the_key_follows_data_and_settings(data_folder: Path) -> None:
    key = dataset_key([data_folder], CONFIG)
    assert key == dataset_key([data_folder], CONFIG)
    assert key != dataset_key([data_folder], replace(CONFIG, seed=1))
    with pytest.raises(InputError, match="missing"):
        dataset_key([data_folder / "nowhere"], CONFIG)


def test_meanings_tell_the_sides_apart(dataset: Dataset) -> None:
    pairs, weights = dataset.meanings()
    meaning = {dataset.texts[text]: group for text, group in pairs}
    left = [m for text, m in meaning.items() if "left" in text]
    right = [m for text, m in meaning.items() if "right" in text]
    assert left and right and not set(left) & set(right)
    assert weights.min() > 0


def test_walks_are_bent_into_circles_that_close_within_a_window(
    make_gait: Callable[..., Clip],
) -> None:
    clip = make_gait(6.0, 1.2)
    made = circles(clip, (60, 120, 150, 400))
    assert [circle.circle_frames for circle in made] == [120, 150]  # not too short, not too long
    for circle in made:
        last = circle.circle_frames - 1
        way = np.linalg.norm(np.diff(circle.root[: last + 1, [0, 2]], axis=0), axis=-1).sum()
        gap = np.linalg.norm((circle.root[last] - circle.root[0])[[0, 2]])
        assert gap < 0.1 * way
        joints, _ = load_skeleton("cmu22").forward_kinematics(
            quaternion_to_matrix(circle.rotations), circle.root
        )
        turned = headings(joints, load_skeleton("cmu22"))
        assert np.degrees(turned[last] - turned[0]) == pytest.approx(360, abs=15)
    assert circles(make_gait(6.0, 1.2, 120.0), (120,)) == []
    assert circles(make_gait(6.0, 0.3), (120,)) == []  # so slow that it would turn on the spot
