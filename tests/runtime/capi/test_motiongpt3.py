"""MotionGPT3's options through the C library: the motions that they make in Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt import capi
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.families import find_family
from motionrt.runtime.motiongpt3.pipeline import MotionGpt3Pipeline
from motionrt.runtime.request import request_schema

pytestmark = pytest.mark.slow
METRES = 1e-4
WORDED = "In <Frame_Placeholder> frames (<Second_Placeholder> s): <Caption_Placeholder>!"


@pytest.fixture(scope="module")
def pipeline(motiongpt3_bundle: Path) -> MotionGpt3Pipeline:
    return MotionGpt3Pipeline.load(motiongpt3_bundle, backend="cpu")


@pytest.fixture(scope="module")
def c_pipeline(motiongpt3_bundle: Path) -> capi.Pipeline:
    return capi.Pipeline(motiongpt3_bundle)


@pytest.mark.parametrize(
    ("options", "python"),
    [
        ({}, {}),
        ({"temperature": 0.3}, {"temperature": 0.3}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"text_template": "evaluation"}, {"template": "evaluation"}),
        ({"text_template": WORDED}, {"template": WORDED}),
        ({"solver": "ddim", "num_steps": 5}, {"solver": "ddim", "num_steps": 5}),
        ({"guidance_weights": 3.0}, {"guidance_weights": [3.0]}),
        ({"no_guidance": True}, {"guidance_type": "nocfg"}),
    ],
    ids=str,
)
def test_options_do_what_they_do_in_python(
    c_pipeline: capi.Pipeline,
    pipeline: MotionGpt3Pipeline,
    options: dict[str, Any],
    python: dict[str, Any],
) -> None:
    given: dict[str, Any] = {"seconds": 1.0, "seed": 3}
    expected = pipeline.generate("a person walks", **given, **python)
    found = c_pipeline.generate("a person walks", **given, **options)
    positions = np.asarray(found.global_positions)
    np.testing.assert_allclose(positions, expected.posed_joints, rtol=0, atol=METRES)
    request = {"prompt": "a person walks", **given, **python}
    (asked,) = c_pipeline.generate_json(json.dumps(request))
    np.testing.assert_array_equal(np.asarray(asked.global_positions), positions)


def test_sentences_are_clips_that_are_joined_as_in_python(
    c_pipeline: capi.Pipeline, pipeline: MotionGpt3Pipeline
) -> None:
    prompts = ["a person walks. a person jumps, then sits.  a person waves", "one alone"]
    asked: dict[str, Any] = {
        "num_frames": [21, 9], "seed": 3, "num_samples": 2, "sentences": True, "template": WORDED,
    }  # fmt: skip
    expected = pipeline.generate_many(prompts, **asked)
    found = c_pipeline.generate_json(json.dumps({"prompts": prompts, **asked}))
    assert [motion.num_frames for motion in found] == [63, 63, 9, 9]
    for motion, want in zip(found, expected, strict=True):
        positions = np.asarray(motion.global_positions)
        np.testing.assert_allclose(positions, want.posed_joints, rtol=0, atol=METRES)
        turned = np.asarray(motion.local_rotations)
        apart = 1 - np.abs((turned * want.local_rotations).sum(-1))
        assert np.all(apart < 1e-6)
    assert found[1].prompt == "a person walks. a person jumps, then sits. a person waves."
    assert found[1].seed == 3
    assert found[0].foot_contacts is None
    assert found[0].features is None
    assert found[2].foot_contacts is not None


def test_a_sequence_is_of_clips_as_long_as_each_is_to_be(
    c_pipeline: capi.Pipeline, tmp_path: Path
) -> None:
    assert c_pipeline.takes_sequences
    sentences = ["a person walks.", "a person jumps."]
    (motion,) = c_pipeline.generate_sequence(sentences, [1.0, 0.5], seed=3)
    assert motion.num_frames == 30
    alone = c_pipeline.generate_many(sentences, seconds=1.0, seed=3)[0]
    np.testing.assert_array_equal(
        np.asarray(motion.global_positions)[:20], np.asarray(alone.global_positions)
    )
    for name in ("joined.bvh", "joined.glb"):
        motion.save(tmp_path / name)
    assert Motion.load(tmp_path / "joined.bvh").num_frames == 30


def test_every_key_of_a_request_is_known(c_pipeline: capi.Pipeline) -> None:
    keys = request_schema([find_family("motiongpt3")])["$defs"]["motiongpt3"]["properties"]
    request = {key: None for key in keys if key != "prompts"} | {"prompt": "walk", "num_frames": 9}
    (motion,) = c_pipeline.generate_json(json.dumps(request))
    assert motion.num_frames == 9


def test_options_change_the_motion(c_pipeline: capi.Pipeline) -> None:
    given: dict[str, Any] = {"seconds": 1.0, "seed": 3}
    plain = np.asarray(c_pipeline.generate("walk", **given).global_positions)
    for option in ({"temperature": 0.3}, {"text_template": "evaluation"}):
        other = np.asarray(c_pipeline.generate("walk", **given, **option).global_positions)
        assert np.abs(other - plain).max() > 100 * METRES


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"temperature": float("nan")}, "temperature: must be finite"),
        ({"text_template": "poem"}, "choose caption or evaluation"),
        ({"text_template": "t.json:x"}, "(the Python package reads files of them)"),
        ({"text_template": f"<eos>{'x' * 5000}<Caption_Placeholder>"}, "4096 are the most"),
        ({"text_template": "<Caption_Placeholder><|endoftext|>"}, "template holds <|endoftext|>"),
        ({"first_heading_rad": 1.0}, "motiongpt3 has no option first_heading_rad"),
        ({"first_headings_rad": np.zeros(1, np.float32)}, "has no option first_heading_rad"),
        ({"postprocess": False}, "has no option postprocess"),
        ({"root_margin": 0.1}, "has no option root_margin"),
        ({"num_transition_frames": 3}, "has no option num_transition_frames"),
        ({"no_chain": True}, "has no option no_chain"),
        ({"compat": "latest"}, "has no option compat"),
        ({"constraints_json": "[]"}, "takes no constraints"),
    ],
    ids=str,
)
def test_wrong_options_get_a_line(
    c_pipeline: capi.Pipeline, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        c_pipeline.generate("walk", seconds=1.0, **options)


def test_a_prompt_holds_no_place_of_a_template(c_pipeline: capi.Pipeline) -> None:
    with pytest.raises(InputError, match="prompt holds <Frame_Placeholder>, which the model"):
        c_pipeline.generate("walk <Frame_Placeholder>", seconds=1.0)
