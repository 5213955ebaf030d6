import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from motiongpt_qwen_checkpoint import (
    NUM_BASE_TOKENS,
    ROWS,
    language_state,
    make_state,
    make_vq,
    tiny_bundle,
    write_checkpoint,
)
from numpy.typing import NDArray
from parity.exported import export, scratch

from motionrt.models.motion_vq import MotionVq, MyoSkeletonVq
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.humanml.features import features_to_joints
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
from motionrt.runtime.pipeline import load
from motionrt.runtime.verification import verify

pytestmark = pytest.mark.slow
MORE_FEATURES = 84


def opened(bundle: Path) -> MotionGptQwenPipeline:
    pipeline = load(bundle, backend="cpu")
    assert isinstance(pipeline, MotionGptQwenPipeline)
    return pipeline


@lru_cache(maxsize=1)
def wide_vq() -> MyoSkeletonVq:
    """Make a MyoSkeleton tokenizer of 28 joints."""
    from dataclasses import replace

    from motiongpt_qwen_checkpoint import MYO

    torch.manual_seed(4)
    made = MyoSkeletonVq(replace(MYO, num_features=MORE_FEATURES))
    made.quantizer.codebook.normal_(std=0.3)
    return made.eval()


@lru_cache(maxsize=1)
def wide_bundle() -> Path:
    """Export it with a language model in int4, once a test run."""
    state = {f"vae.{name}": t for name, t in wide_vq().state_dict().items()}
    state |= language_state("lm.language_model.")
    path = write_checkpoint(scratch() / "qwen-wide", "myoskeleton", state)
    return export("motiongpt-qwen", "--vq", str(path), "--precision", "int4", "--quiet")


@lru_cache(maxsize=1)
def stage_1_bundle() -> Path:
    """Export a motion tokenizer alone, with statistics, once a test run."""
    place = scratch() / "qwen-stage-1"
    path = write_checkpoint(place, state=make_state("humanml3d", language=False))
    np.save(place / "Mean.npy", statistics()[0])
    np.save(place / "Std.npy", statistics()[1])
    words = ("--mean", str(place / "Mean.npy"), "--std", str(place / "Std.npy"))
    return export("motiongpt-qwen", "--vq", str(path), *words, "--quiet")


def statistics() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    generator = np.random.default_rng(7)
    mean = generator.normal(size=263) * 0.1
    return mean.astype(np.float32), generator.uniform(0.05, 0.3, 263).astype(np.float32)


def test_a_bundle_says_what_it_is() -> None:
    manifest = Bundle(tiny_bundle()).manifest
    assert manifest.family == "motiongpt-qwen"
    assert manifest.fps == 20
    assert list(manifest.graphs) == ["language_model", "motion_encoder", "motion_decoder"]
    assert manifest.skeleton["name"] == "humanml22"
    text = manifest.text
    assert text["vocab_size"] == ROWS
    assert text["first_motion_id"] == NUM_BASE_TOKENS
    assert text["end_ids"] == [text["end_of_turn_id"]]
    assert (text["frames_per_token"], text["codebook_size"]) == (4, 512)
    assert text["max_positions"] == 2048
    assert text["enable_thinking"] is True
    assert text["has_statistics"] is False
    parts = [*make_vq("humanml3d").parameters()]
    language = {name: t for name, t in language_state().items() if name != "lm_head.weight"}
    total = sum(t.numel() for t in [*parts, *language.values()])
    assert manifest.provenance["parameters"] == total
    assert {"model.ckpt", "config.yaml"} < manifest.provenance["sha256"].keys()
    assert "relative" not in manifest.graphs["language_model"].deviation


def test_without_statistics_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_checkpoint(tmp_path / "from")
    words = ("export", "motiongpt-qwen", "--vq", path, "-o", tmp_path / "made", "--quiet")
    code, _, err = run(capsys, *words)
    assert code == 0
    assert "without --mean and --std of HumanML3D's features its joints mean nothing" in err


def test_a_language_model_that_is_left_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_checkpoint(tmp_path / "from", "myoskeleton")
    (path.parent / "config.yaml").unlink()
    words = ("export", "motiongpt-qwen", "--vq", path, "-o", tmp_path / "made", "--quiet")
    code, _, err = run(capsys, *words)
    assert code == 0
    assert "model.ckpt: its language model is left out; give --lm" in err
    assert list(Bundle(tmp_path / "made").manifest.graphs) == ["motion_encoder", "motion_decoder"]


def test_every_graph_verifies() -> None:
    for bundle in (tiny_bundle(), stage_1_bundle(), wide_bundle()):
        pipeline = opened(bundle)
        assert all(result.passed for result in verify(pipeline.bundle, pipeline.backend))


def test_a_motion_tokenizer_alone_encodes_and_decodes_in_the_features_units() -> None:
    pipeline = opened(stage_1_bundle())
    assert list(pipeline.manifest.graphs) == ["motion_encoder", "motion_decoder"]
    assert not (stage_1_bundle() / "tokenizer.json").exists()
    mean, std = statistics()
    vq = make_vq("humanml3d")
    assert isinstance(vq, MotionVq)
    generator = np.random.default_rng(1)
    for frames in (4, 37):
        normal = generator.normal(size=(frames, 263)).astype(np.float32)
        with torch.no_grad():
            want = vq.encode(torch.from_numpy(normal)[None])[0]
            decoded = vq.decode(want)[0].numpy()
        codes = pipeline.encode_motion(normal * std + mean)
        assert codes == want[0].tolist()
        assert len(codes) == frames // 4
        found = pipeline.decode([codes])
        np.testing.assert_allclose(found["normalized_features"][0], decoded, atol=1e-5)
        np.testing.assert_allclose(found["features"][0], decoded * std + mean, atol=1e-5)
        joints = features_to_joints(found["features"])
        np.testing.assert_allclose(found["joints"], joints, atol=1e-4)


def test_joints_that_no_list_names_hang_on_the_pelvis() -> None:
    pipeline = opened(wide_bundle())
    skeleton = pipeline.skeleton
    assert skeleton.name == "myo28"
    assert skeleton.joint_names[26:] == ("unnamed_26", "unnamed_27")
    assert list(skeleton.parents[26:]) == [1, 1]
    codes = [5, 0, 511]
    found = pipeline.decode([codes])
    with torch.no_grad():
        want = wide_vq().decode(torch.tensor([codes]))[0].numpy()
    assert found["joints"].shape == (1, 6, 28, 3)
    np.testing.assert_allclose(found["joints"][0], want.reshape(6, 28, 3), atol=1e-5)


def test_a_precision_is_the_language_models_and_says_what_it_costs() -> None:
    graphs = Bundle(wide_bundle()).manifest.graphs
    assert graphs["language_model"].precision == "int4"
    assert 0.005 < graphs["language_model"].deviation["relative"] < 0.2
    assert {graphs[name].precision for name in graphs if name.startswith("motion")} == {"fp32"}


def test_sampling_is_the_base_models_and_upstreams_where_that_says_nothing(tmp_path: Path) -> None:
    from motionrt.export.motiongpt_qwen import _sampler_section
    from motionrt.export.readers.motiongpt_qwen import read_motiongpt_qwen

    path = write_checkpoint(tmp_path / "from")
    stated = {"temperature": 0.7, "do_sample": True}
    (path.parent / "base" / "generation_config.json").write_text(json.dumps(stated))
    read = read_motiongpt_qwen(path, config=path.parent / "config.yaml")
    section = _sampler_section(read.language)
    assert (section["temperature"], section["top_p"], section["top_k"]) == (0.7, 0.95, 20)
