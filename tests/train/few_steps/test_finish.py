from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import motionrt
from motionrt.models.kimodo import Kimodo, KimodoConfig, MotionStats
from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.train.few_steps.finish import make_bundle
from motionrt.train.few_steps.start import Start
from motionrt.train.few_steps.student import Student


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::motionrt.MotionWarning")
def test_its_bundle_samples_in_few_steps_and_one_branch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = KimodoConfig(22, 20.0, 128, 1, 32, 64, 1, 2, norm_first=True, keep_held_root=True)
    stats = MotionStats.identity(config)
    weights = Kimodo(config, stats).state_dict()
    prompts = torch.zeros(1, 128).half()
    start = Start("tiny", "cmu22", config, stats, weights, (2.5, 2.0), 24, prompts)
    said: list[str] = []
    output = tmp_path / "bundle"
    make_bundle(
        embedded_bundle(), Student(start, 3, weights), tmp_path, output, "fp32", said.append
    )
    manifest, teacher = Bundle(output).manifest, Bundle(embedded_bundle()).manifest
    sampler = manifest.sampler
    assert (sampler["num_steps"], sampler["solver"]) == (3, "ddim")
    assert sampler["guidance_type"] == "nocfg" and "guidance_weights" not in sampler
    assert manifest.text["known_prompts"] == teacher.text["known_prompts"]
    assert manifest.name == "motionrt-default-3-steps"
    pipeline = motionrt.load(output, backend="cpu")
    motion = pipeline.generate("a person walks", num_frames=16, seed=0)
    assert motion.info["num_steps"] == 3 and np.isfinite(motion.posed_joints).all()
    # One branch: what is said counts once, as in the network.
    other = pipeline.generate("a person jumps", num_frames=16, seed=0)
    assert not np.array_equal(motion.posed_joints, other.posed_joints)
