"""Finishing through the C library: what Python makes of the same motion."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_finishing import CASES, POSITIONS, array, finish_both, in_python, random_clip, same

import motionrt
from motionrt import capi
from motionrt.runtime.body.blend import blended
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import root_path
from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.errors import InputError

PROMPTS = ("a person walks forward", "a person runs forward", "a person walks in a circle")


@pytest.fixture(scope="module")
def pipeline() -> capi.Pipeline:
    return capi.Pipeline()


@pytest.fixture(scope="module")
def clips(pipeline: capi.Pipeline) -> list[capi.Motion]:
    return [
        pipeline.generate(prompt, seed=seed, seconds=4, preset="fast")
        for seed, prompt in enumerate(PROMPTS)
    ]


@pytest.mark.parametrize(("options", "settings"), CASES, ids=lambda case: "-".join(case))
def test_walks_and_runs_are_finished_as_in_python(
    clips: list[capi.Motion], options: dict[str, Any], settings: dict[str, Any]
) -> None:
    skeleton = motionrt.load().native_skeleton
    for motion in clips:
        finish_both(motion, in_python(motion, skeleton), options, settings)


@pytest.mark.parametrize("seed", range(4))
def test_any_motion_is_finished_as_in_python(pipeline: capi.Pipeline, seed: int) -> None:
    skeleton = motionrt.load().native_skeleton
    root, turns, contacts = random_clip(seed, skeleton, frames=[100, 3, 2, 1][seed])
    motion = capi.Motion.make(
        pipeline.skeleton, 30, root, turns, contacts.tolist() if seed % 2 else None
    )
    for options, settings in CASES:
        finish_both(motion, in_python(motion, skeleton), options, settings)


def test_where_a_motion_comes_from_stays(clips: list[capi.Motion]) -> None:
    walk, run = clips[:2]
    made = walk.finish(loop=True, in_place=True)
    assert (made.prompt, made.seed, made.num_features) == (walk.prompt, walk.seed, 0)
    assert made.features is None and walk.features is not None
    assert not walk.is_loop and made.is_loop and made.in_place and made.loop_info is not None
    copy = made.finish()
    assert copy.is_loop and copy.in_place and copy.loop_info is None
    np.testing.assert_array_equal(array(copy.global_positions), array(made.global_positions))
    assert walk.blend(run).prompt == f"{walk.prompt} {run.prompt}"
    assert not made.finish(fps=made.fps * 0.77).is_loop


def test_a_loop_is_finished_again_as_one(clips: list[capi.Motion]) -> None:
    skeleton = motionrt.load().native_skeleton
    for motion in clips:
        loop = motion.finish(loop=True)
        assert loop.is_loop
        for options, settings in CASES[:14]:
            if "loop" not in options:
                finish_both(loop, in_python(loop, skeleton), options, settings)


def test_a_loop_plays_on_without_a_jump(clips: list[capi.Motion]) -> None:
    loop = clips[0].finish(loop=True, in_place=True, fps=60)
    seconds = (loop.num_frames - 1) / loop.fps
    before, at, after = (
        np.array(loop.sample(seconds + shift / 60, capi.LOOP)[1]) for shift in (-1, 0, 1)
    )
    assert np.abs(after - at).max() < 0.1
    assert np.abs((after - at) - (at - before)).max() < 0.02
    going = clips[0].finish(loop=True)
    way, turn = going.root_delta(0, (going.num_frames - 1) / going.fps, capi.LOOP)
    np.testing.assert_allclose([way[0], way[2]], going.loop_step, atol=POSITIONS)
    assert turn == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("seconds", [0.4, 0.1, 1.5])
def test_clips_are_joined_as_in_python(clips: list[capi.Motion], seconds: float) -> None:
    skeleton = motionrt.load().native_skeleton
    walk, run, turning = clips
    other_rate = turning.finish(fps=60)
    for first, second in ((walk, run), (run, walk), (run, other_rate)):
        expected = blended(in_python(first, skeleton), in_python(second, skeleton), seconds)
        same(first.blend(second, seconds), expected)


def test_the_way_of_a_root_bone_is_pythons(clips: list[capi.Motion]) -> None:
    skeleton = motionrt.load().native_skeleton
    for motion in (*clips, *(clip.finish(loop=True) for clip in clips)):
        for seconds in (0.25, 0.0, 2.0, 1e9):
            path, heading = root_path(in_python(motion, skeleton), seconds)
            places, turns = motion.root_path(seconds)
            np.testing.assert_allclose(array(places), path, rtol=0, atol=POSITIONS)
            np.testing.assert_allclose(array(turns), heading, rtol=0, atol=POSITIONS)


def test_what_a_bone_goes_and_what_is_in_place_are_the_motion(clips: list[capi.Motion]) -> None:
    motion = clips[2]
    places, turns = (array(part) for part in motion.root_path(0.25))
    still = motion.finish(in_place=True)
    about = np.stack([np.cos(turns / 2), 0 * turns, np.sin(turns / 2), 0 * turns], axis=-1)
    moved = np.einsum("tij,tnj->tni", quaternion_to_matrix(about), array(still.global_positions))
    np.testing.assert_allclose(
        moved + places[:, None], array(motion.global_positions), rtol=0, atol=1e-5
    )


def test_a_motion_of_arrays_is_that_motion(
    pipeline: capi.Pipeline, clips: list[capi.Motion]
) -> None:
    walk = clips[0]
    again = capi.Motion.make(
        walk.skeleton,
        walk.fps,
        walk.root_positions,
        2 * array(walk.local_rotations),
        array(walk.foot_contacts).tolist(),
        walk.prompt,
        walk.smooth_root,
        walk.heading,
    )
    np.testing.assert_allclose(
        array(again.global_positions), array(walk.global_positions), rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(array(again.foot_contacts), array(walk.foot_contacts))
    assert again.prompt == walk.prompt and again.skeleton.joint_names == walk.skeleton.joint_names
    given = {"num_frames": 20, "num_steps": 2, "seed": 1}
    np.testing.assert_allclose(
        array(pipeline.generate("jumps", continue_from=again, **given).root_positions),
        array(pipeline.generate("jumps", continue_from=walk, **given).root_positions),
        atol=POSITIONS,
    )
    with pytest.raises(InputError, match="3 numbers, 2 a frame are due"):
        capi.Motion.make(
            walk.skeleton,
            walk.fps,
            root_positions=[0, 0, 0],
            heading=[1, 0, 0],
            local_rotations=[1, 0, 0, 0] * walk.num_joints,
        )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"fps": 0.0}, "fps is 0, it must be from 0.001 to 1000000"),
        ({"fps": math.nan}, "fps is nan"),
        ({"root": math.nan}, "root_positions: frame 1 has a number that is not finite"),
        ({"root": 2e9}, "root_positions: frame 1 has a number that is beyond 1e+09"),
        ({"turn": 0.0}, "local_rotations: frame 1, joint 2 is no rotation"),
        ({"turn": math.nan}, "local_rotations: frame 1, joint 2 is no rotation"),
        ({"frames": 0}, "num_frames is 0"),
        ({"contacts": 100}, "num_contacts is 100"),
    ],
    ids=str,
)
def test_arrays_that_are_no_motion(
    pipeline: capi.Pipeline, change: dict[str, float], line: str
) -> None:
    frames = int(change.get("frames", 3))
    root = np.zeros((frames, 3), np.float32)
    turns = np.zeros((frames, pipeline.skeleton.num_joints, 4), np.float32)
    turns[..., 0] = 1
    if "root" in change:
        root[1, 2] = change["root"]
    if "turn" in change:
        turns[1, 2] = change["turn"]
    contacts = [[0] * int(change["contacts"])] * frames if "contacts" in change else None
    with pytest.raises(InputError, match=re.escape(line)):
        capi.Motion.make(pipeline.skeleton, change.get("fps", 30), root, turns, contacts)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"speed": 0.0}, "speed is 0, it must be a number above zero"),
        ({"speed": math.nan}, "speed is nan"),
        ({"speed": 1e-9}, "frames a second are not from 0.001"),
        ({"speed": 1e9}, "frames a second are not from"),
        ({"fps": -1.0}, "fps is -1, it must be a number above zero"),
        ({"fps": math.inf}, "fps is inf"),
        ({"fps": 9e5}, "more than 1000000: at most"),
        ({"loop": True, "loop_seconds": -1.0}, "a loop of -1 seconds"),
        ({"loop": True, "loop_seconds": 0.1}, "0.1 seconds: a loop needs"),
        ({"loop": True, "from_rest": True}, "a loop has no ends"),
        ({"loop_seconds": 1.0}, "no loop is asked for"),
        ({"to_rest": True, "pose_seconds": 0.0}, "0 seconds to a pose"),
        ({"to_rest": True, "pose_seconds": math.nan}, "nan seconds to a pose"),
        ({"to_rest": True, "pose_seconds": 1e9}, "make more than 1000000 frames"),
        ({"face": True, "face_rad": math.inf}, "face_rad must be finite"),
        ({"in_place": True, "root_smoothing": -1.0}, "smooth_seconds is -1"),
        ({"hands": "fist"}, "option 'hands' is unknown"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(
    clips: list[capi.Motion], options: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=re.escape(line)) as caught:
        clips[0].finish(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0.0, "longer than a frame"),
        (math.nan, "longer than a frame"),
        (4.0, "needs motions that are longer; one of them has 4.00"),
        (1e300, "needs motions that are longer"),
    ],
)
def test_what_cannot_be_joined_is_one_line(
    clips: list[capi.Motion], seconds: float, line: str
) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        clips[0].blend(clips[1], seconds)


@pytest.mark.parametrize("suffix", ["bvh", "glb"])
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"root_bone": True}, {"root_bone": True}),
        ({"root_bone": True, "root_smoothing": 0.0}, {"root_bone": True, "root_smoothing": 0.0}),
        (
            {"bvh_up": "+z", "bvh_forward": "-y", "bvh_scale": 1.0},
            {"up": "+z", "forward": "-y", "scale": 1.0},
        ),
        (
            {"root_bone": True, "bvh_up": "-x", "bvh_forward": "+z", "bvh_scale": 39.37},
            {"root_bone": True, "up": "-x", "forward": "+z", "scale": 39.37},
        ),
    ],
    ids=str,
)
def test_files_with_a_root_bone_and_on_other_axes_are_pythons(
    clips: list[capi.Motion],
    tmp_path: Path,
    suffix: str,
    options: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    skeleton = motionrt.load().native_skeleton
    for clip in (clips[0].finish(loop=True), clips[2]):
        clip.save(tmp_path / f"c.{suffix}", **options)
        given = in_python(clip, skeleton)
        wanted = {k: v for k, v in settings.items() if suffix == "bvh" or k.startswith("root")}
        given.save(tmp_path / f"python.{suffix}", **wanted)
        assert clip.encode(suffix, **options) == (tmp_path / f"c.{suffix}").read_bytes()
        if suffix == "bvh":
            words = [(tmp_path / f"{name}.bvh").read_text().split() for name in ("c", "python")]
            assert [w for w in words[0] if w.isalpha()] == [w for w in words[1] if w.isalpha()]
            numbers = [np.array([w for w in of if is_number(w)], float) for of in words]
            # A turn of 360 degrees is none.
            apart = np.abs(np.remainder(numbers[0] - numbers[1] + 180, 360) - 180)
            assert apart.max() < 2e-2 and np.median(apart) < 1e-4
        ours, theirs = (Motion.load(tmp_path / f"{name}.{suffix}") for name in ("c", "python"))
        assert ours.skeleton.joint_names == theirs.skeleton.joint_names
        assert ours.notes == theirs.notes
        np.testing.assert_allclose(ours.posed_joints, theirs.posed_joints, rtol=0, atol=2e-3)
        if suffix == "glb":
            names = [_node_names(tmp_path / f"{name}.glb") for name in ("c", "python")]
            assert names[0] == names[1] and ("root" in names[0]) == ("root_bone" in options)
            np.testing.assert_allclose(ours.posed_joints, given.posed_joints, rtol=0, atol=1e-4)


def is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdigit()


def _node_names(path: Path) -> list[str]:
    data = path.read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert len(document["skins"][0]["joints"]) == len(document["nodes"]) - 1
    return [node["name"] for node in document["nodes"]]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"bvh_scale": 0.0}, "bvh_scale is 0, it must be above zero"),
        ({"bvh_scale": math.nan}, "bvh_scale is nan"),
        ({"bvh_scale": 1e5}, "at most 10000"),
        ({"bvh_up": "-z"}, "lie along one axis"),
        ({"bvh_up": 6}, "bvh_up: no axis 6"),
        ({"bvh_forward": -1}, "bvh_forward: no axis -1"),
        ({"root_bone": True, "root_smoothing": -1.0}, "smooth_seconds is -1"),
        ({"rest": "t-pose"}, "option 'rest' is unknown"),
    ],
    ids=str,
)
def test_files_that_cannot_be_are_one_line(
    clips: list[capi.Motion], options: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        clips[0].encode("bvh", **options)
