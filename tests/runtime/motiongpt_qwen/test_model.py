from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionrt.runtime.benchmark import benchmark
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline(qwen_bundle: Path) -> MotionGptQwenPipeline:
    return MotionGptQwenPipeline.load(qwen_bundle, backend="cpu")


def test_codes_become_frames_and_frames_codes(pipeline: MotionGptQwenPipeline) -> None:
    codes = [[1, 2, 3], [300, 2, 511]]
    found = pipeline.decode(codes)
    frames = 3 * pipeline.code.frames_per_token
    assert found["features"].shape == (2, frames, pipeline.code.num_features)
    assert found["joints"].shape == (2, frames, pipeline.code.num_joints, 3)
    alone = pipeline.decode(codes[1:])
    np.testing.assert_allclose(found["joints"][1:], alone["joints"], atol=1e-4)
    assert len(pipeline.encode_motion(found["features"][0])) == 3


@pytest.mark.parametrize("codes", [[], [[]], [1, 2], [[512]], [[-1]]])
def test_what_is_no_code_is_told(pipeline: MotionGptQwenPipeline, codes: Any) -> None:
    with pytest.raises(InputError, match="codes"):
        pipeline.decode(codes)


def test_what_are_no_features_is_told(pipeline: MotionGptQwenPipeline) -> None:
    width = pipeline.code.num_features
    for wrong, told in (
        (np.zeros((9, width + 1)), f"should be .frames, {width}"),
        (np.zeros((0, width)), "a motion of 0 frames"),
        (np.full((9, width), np.nan), "not all numbers are finite"),
    ):
        with pytest.raises(InputError, match=told):
            pipeline.encode_motion(wrong)


def test_a_text_longer_than_the_model_is_told(pipeline: MotionGptQwenPipeline) -> None:
    most = pipeline.language.max_positions
    with pytest.raises(InputError, match=f"this model takes fewer than {most}"):
        pipeline.tokenize("a" * (most + 9))
    ids = [5] * (most - 3)
    assert pipeline.room_for([ids], 9) == 3
    (made,) = pipeline.generate_ids([ids], rules=pipeline.rules(temperature=0))
    assert len(made) <= 3


def test_a_step_of_its_benchmark_is_a_token(qwen_bundle: Path) -> None:
    found = benchmark(qwen_bundle, "cpu", 1, 20, steps=7, repeats=1)
    pipeline = MotionGptQwenPipeline.load(qwen_bundle, backend="cpu")
    assert found.steps == pipeline.codes_for(20) + 2
    assert found.frames == 20


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("text", "num_joints", 21, "21 joints, its skeleton has"),
        ("text", "vocab_size", 300, "other axes than it needs"),
        ("text", "codebook_size", 100, "other axes than it needs"),
        ("text", "first_motion_id", 700, "do not fit into the vocabulary"),
        ("text", "think_end_id", 1 << 30, "beyond the vocabulary"),
        ("text", "end_ids", [], "end_ids"),
        ("sampler", "temperature", -1, "temperature"),
        ("sampler", "max_new_tokens", 0, "max_new_tokens"),
    ],
)
def test_sections_that_do_not_fit_are_told(
    qwen_bundle: Path, tmp_path: Path, section: str, key: str, value: Any, told: str
) -> None:
    own = Path(shutil.copytree(qwen_bundle, tmp_path / "own"))
    document = json.loads((own / "manifest.json").read_text())
    document[section][key] = value
    (own / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=told):
        MotionGptQwenPipeline.load(own, backend="cpu")
