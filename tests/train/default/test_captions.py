from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.train.default.captions import (
    action_of,
    captions_of,
    phrases_of,
    present_participle,
    third_person,
    word,
)
from motionrt.train.default.clips import Clip, mirror
from motionrt.train.default.measures import Measures, measure

SKELETON = load_skeleton("cmu22")


def measured(clip: Clip) -> Measures:
    encoder = MotionFeatures(SKELETON, clip.fps)
    features = encoder.encode(quaternion_to_matrix(clip.rotations), clip.root)
    joints = np.asarray(encoder.decode(features)["posed_joints"])
    heading = np.unwrap(np.arctan2(features[:, 4], features[:, 3]))
    return measure(joints, features[:, [0, 2]], heading, SKELETON, clip.fps)


def words_of(clip: Clip) -> str:
    m = measured(clip)
    action = action_of(clip, m)
    assert action is not None
    return " ".join(captions_of(action, clip, m, np.random.default_rng(0), 200))


@pytest.mark.parametrize(
    ("verb", "third", "participle"),
    [
        ("walk", "walks", "walking"),
        ("run", "runs", "running"),
        ("punch", "punches", "punching"),
        ("carry", "carries", "carrying"),
        ("stay", "stays", "staying"),
        ("dance", "dances", "dancing"),
        ("lie", "lies", "lying"),
        ("begin", "begins", "beginning"),
        ("have", "has", "having"),
        ("be", "is", "being"),
        ("go", "goes", "going"),
    ],
)
def test_verbs_are_conjugated(verb: str, third: str, participle: str) -> None:
    assert (third_person(verb), present_participle(verb)) == (third, participle)


def test_a_phrase_becomes_whole_sentences() -> None:
    random = np.random.default_rng(0)
    made = {word("^walk forward and ^turn left", random) for _ in range(200)}
    assert "a person walks forward and turns left" in made
    assert "walk forward and turn left" in made
    assert not any("^" in sentence for sentence in made)


def test_speed_is_measured(make_gait: Callable[..., Clip]) -> None:
    m = measured(make_gait(4.0, 1.2))
    assert m.speed == pytest.approx(1.2, abs=0.05)
    assert m.forward == pytest.approx(1.0, abs=0.05)
    assert abs(m.turn_deg) < 3


@pytest.mark.parametrize(
    ("speed", "said", "unsaid"),
    [(0.6, "slow", "quick"), (1.8, "quick", "slow")],
)
def test_captions_tell_the_measured_pace(
    make_gait: Callable[..., Clip], speed: float, said: str, unsaid: str
) -> None:
    words = words_of(make_gait(4.0, speed))
    assert said in words
    assert unsaid not in words


def test_a_plain_walk_is_called_neither_slow_nor_quick(make_gait: Callable[..., Clip]) -> None:
    words = words_of(make_gait(4.0, 1.15))
    assert "walks forward" in words
    assert not any(word in words for word in ("slow", "quick", "fast", "left", "right"))


def test_turns_are_told_with_their_side_and_mirrored_with_the_other(
    make_gait: Callable[..., Clip],
) -> None:
    clip = make_gait(4.0, 1.0, 100.0)
    words, mirrored = words_of(clip), words_of(mirror(clip, SKELETON))
    assert "left" in words and "right" not in words
    assert "right" in mirrored and "left" not in mirrored


def test_climbing_and_uneven_ground_are_left_out(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait()
    m = measured(clip)
    assert action_of(replace(clip, tags=("climb",)), m) is None
    uneven = replace(clip, captions=("a person walks on uneven terrain",))
    assert action_of(uneven, m) is None


def test_each_kick_names_the_leg_that_rises(make_gait: Callable[..., Clip]) -> None:
    clip = replace(make_gait(), tags=("kick",))
    m = replace(measured(clip), left_kick=0.4, right_kick=-0.3)
    phrases = " ".join(phrases_of("kick", clip, m))
    assert "left" in phrases and "right" not in phrases


def test_only_both_fists_box(make_gait: Callable[..., Clip]) -> None:
    clip = replace(make_gait(), tags=("punch",))
    m = replace(measured(clip), left_hand_speed=6.0, right_hand_speed=4.0, speed=0.3)
    one = replace(m, right_hand_speed=1.0)
    assert action_of(clip, m) == action_of(clip, one) == "punch"
    assert "^box" in phrases_of("punch", clip, m)
    assert not any("box" in phrase for phrase in phrases_of("punch", clip, one))


def test_dances_alone_means_a_lively_rhythm(make_gait: Callable[..., Clip]) -> None:
    clip = replace(make_gait(), tags=("dance",), captions=("a person dances salsa",))
    m = replace(measured(clip), limb_speed=0.9, roaming=0.5)
    assert action_of(clip, m) == "dance"
    assert "^dance" in phrases_of("dance", clip, m)
    assert not phrases_of("dance", clip, replace(m, limb_speed=0.5))
    assert action_of(clip, replace(m, limb_speed=0.3)) is None
    assert action_of(replace(clip, captions=("a man is dancing ballet",)), m) == "other"


def test_who_stands_with_the_hands_up_does_not_just_stand(
    make_gait: Callable[..., Clip],
) -> None:
    clip = make_gait(4.0, 0.0)
    m = replace(measured(clip), speed=0.0, limb_speed=0.05)
    assert action_of(clip, replace(m, hand_level=0.0)) == "stand"
    assert "^stand still" in phrases_of("stand", clip, m)
    for level, said in ((0.3, "lifted"), (0.7, "raised")):
        posed = replace(m, hand_level=level)
        assert action_of(clip, posed) == "stand_posed"
        phrases = phrases_of("stand_posed", clip, posed)
        assert "^stand still" not in phrases
        assert any(said in phrase for phrase in phrases)


def test_the_level_of_hands_is_measured(make_gait: Callable[..., Clip]) -> None:
    clip = make_gait(2.0, 0.0)
    arm = SKELETON.index("LeftArm")
    turned = clip.rotations.copy()
    half = np.sqrt(0.5).astype(np.float32)
    down, level = measured(clip).hand_level, []
    for sign in (1, -1):
        turned[:, arm] = [half, 0.0, 0.0, sign * half]
        level.append(measured(replace(clip, rotations=turned)).hand_level)
    assert down < max(level) - 0.3


def test_a_circle_is_said_and_to_the_right_with_its_side(make_gait: Callable[..., Clip]) -> None:
    left = make_gait(5.0, 1.2, 360.0)
    assert action_of(left, measured(left)) == "walk_circle"
    texts = captions_of("walk_circle", left, measured(left), np.random.default_rng(0), 100)
    assert any(text.endswith("in a circle") for text in texts)
    assert not any("right" in text for text in texts)
    right = mirror(left, SKELETON)
    texts = captions_of("walk_circle", right, measured(right), np.random.default_rng(0), 100)
    assert all("right" in text or " clockwise" in text for text in texts)


def test_who_moves_low_sneaks_and_who_ends_low_has_fallen(make_gait: Callable[..., Clip]) -> None:
    walk = make_gait(3.0, 1.2, tags=("crouch", "walk"))
    walk = replace(walk, folder="animations", captions=("a person sneaks",))
    assert action_of(walk, measured(walk)) == "crouch_walk"
    root = walk.root.copy()
    root[:, 1] = np.linspace(0.95, 0.1, len(root))
    fall = replace(walk, tags=("fall",), root=root)
    assert action_of(fall, measured(fall)) == "fall"
    assert "falls" in words_of(fall)
    assert action_of(replace(fall, root=walk.root), measured(walk)) is None
