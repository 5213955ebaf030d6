from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.kimodo.guidance import Guidance
from motionrt.runtime.kimodo.model import guidance_branches
from motionrt.runtime.kimodo.options import PRESETS
from motionrt.runtime.kimodo.pipeline import KimodoPipeline


@pytest.fixture(scope="module")
def pipeline(tiny_bundle: Path) -> KimodoPipeline:
    loaded = motionrt.load(tiny_bundle, backend="cpu")
    assert isinstance(loaded, KimodoPipeline)
    return loaded


def test_same_seed_same_motion(pipeline: KimodoPipeline) -> None:
    first = pipeline.generate("a person walks", 1.0, seed=3, num_steps=4)
    again = pipeline.generate("A  person walks.", 1.0, seed=3, num_steps=4)
    other = pipeline.generate("a person walks", 1.0, seed=4, num_steps=4)
    np.testing.assert_array_equal(first.posed_joints, again.posed_joints)
    assert not np.allclose(first.posed_joints, other.posed_joints)
    assert first.local_rotations.shape == (30, 22, 4)
    assert first.local_rotations.dtype == np.float32
    assert first.local_rotations.flags.c_contiguous


def test_text_reaches_the_motion_and_an_empty_prompt_is_unconditional(
    pipeline: KimodoPipeline,
) -> None:
    walk = pipeline.generate("a person walks", 1.0, seed=3, num_steps=4)
    run = pipeline.generate("someone runs away fast", 1.0, seed=3, num_steps=4)
    empty = pipeline.generate("", 1.0, seed=3, num_steps=4)
    blank = pipeline.generate("   ", 1.0, seed=3, num_steps=4)
    assert not np.allclose(walk.posed_joints, run.posed_joints)
    assert not np.allclose(walk.posed_joints, empty.posed_joints)
    np.testing.assert_array_equal(empty.posed_joints, blank.posed_joints)


def test_a_batch_of_prompts_of_different_lengths(pipeline: KimodoPipeline) -> None:
    made = pipeline.generate_many(["walk", "jump"], [1.0, 0.5], seed=3, num_steps=4, num_samples=2)
    assert [len(motion.root_positions) for motion in made] == [30, 30, 15, 15]
    assert [motion.info["prompt"] for motion in made] == ["walk", "walk", "jump", "jump"]


def test_progress_slices_change_nothing(pipeline: KimodoPipeline) -> None:
    told: list[tuple[str, int, int]] = []
    whole = pipeline.generate("walk", 1.0, seed=3, num_steps=60)
    sliced = pipeline.generate(
        "walk", 1.0, seed=3, num_steps=60, progress=lambda *state: told.append(state)
    )
    np.testing.assert_array_equal(whole.posed_joints, sliced.posed_joints)
    assert ("denoising", 60, 60) in told


def test_an_exception_in_progress_cancels(pipeline: KimodoPipeline) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "denoising" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.generate("walk", 1.0, seed=3, num_steps=60, progress=stop)
    assert pipeline.generate("walk", 1.0, seed=3, num_steps=2)


def test_two_branches_equal_three_without_constraints(pipeline: KimodoPipeline) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1, 12, pipeline.features.width), dtype=np.float32)
    text, mask = pipeline.encode_text(["walk"])
    guidance = Guidance("separated", (2.0, 1.5))
    fast = pipeline.sample(text, noise, text_mask=mask, guidance=guidance, num_steps=5)
    assert len(guidance_branches(guidance, True, False)[0]) == 2
    branches = guidance_branches(guidance, True, True)
    assert len(branches[0]) == 3
    # All three branches, through the same graph, with a mask that holds nothing.
    from motionrt.runtime.sampling.schedule import cosine_schedule

    table = cosine_schedule(pipeline.defaults.num_base_steps, 5)
    zeros = np.zeros_like(noise)
    state = pipeline.graph("sampler").run(
        {
            "x": noise,
            "x0_previous": zeros,
            "timesteps": table.timesteps[:, None],
            "schedule": table.coefficients,
            "text_features": text,
            "text_mask": mask,
            "frame_mask": np.ones(noise.shape[:2], bool),
            "first_heading_rad": np.zeros(1, np.float32),
            "motion_mask": zeros,
            "observed_motion": zeros,
            "branch_text": branches[0],
            "branch_constraints": branches[1],
            "branch_weights": branches[2],
        }
    )
    np.testing.assert_allclose(fast, state["x_next"], atol=2e-4)


def test_threads_get_their_own_results(pipeline: KimodoPipeline) -> None:
    alone = [pipeline.generate("walk", 1.0, seed=s, num_steps=6) for s in range(4)]
    together: dict[int, Motion] = {}

    def work(seed: int) -> None:
        together[seed] = pipeline.generate("walk", 1.0, seed=seed, num_steps=6)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, motion in enumerate(alone):
        np.testing.assert_allclose(together[seed].posed_joints, motion.posed_joints, atol=1e-6)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("nan"), float("inf"), 1e9, 0.001])
def test_refuses_a_duration(pipeline: KimodoPipeline, seconds: float) -> None:
    with pytest.raises(InputError, match="duration"):
        pipeline.generate("walk", seconds)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_steps": 0},
        {"num_steps": 1001},
        {"solver": "magic"},
        {"guidance_type": "strong"},
        {"guidance_type": "regular", "guidance_weights": [1.0, 2.0]},
        {"guidance_weights": [float("nan")]},
        {"seed": -1},
        {"seed": 2**32},
        {"first_heading_rad": float("inf")},
        {"colour": "red"},
    ],
)
def test_refuses_options(pipeline: KimodoPipeline, arguments: dict[str, object]) -> None:
    with pytest.raises(InputError) as refusal:
        pipeline.generate("walk", 1.0, **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_refuses_a_prompt_of_ten_thousand_words(pipeline: KimodoPipeline) -> None:
    with pytest.raises(InputError, match="10000 words"):
        pipeline.generate("walk " * 10_000, 1.0)


def test_a_backend_is_used_or_refused(tiny_bundle: Path) -> None:
    with pytest.raises(BackendError, match="unknown"):
        motionrt.load(tiny_bundle, backend="abacus")
    with pytest.raises(BackendError, match="cuda"):
        motionrt.load(tiny_bundle, backend="cuda")
    assert motionrt.load(tiny_bundle).backend.name == "cpu"


def test_a_preset_is_solver_and_steps_unless_these_are_given(pipeline: KimodoPipeline) -> None:
    fast = pipeline.generate("walk", 0.5, seed=3, preset="fast")
    steps = PRESETS["fast"]["num_steps"]
    same = pipeline.generate("walk", 0.5, seed=3, solver="dpmpp-2m", num_steps=steps)
    np.testing.assert_array_equal(fast.posed_joints, same.posed_joints)
    fewer = pipeline.generate("walk", 0.5, seed=3, preset="fast", num_steps=5)
    assert (fewer.info["solver"], fewer.info["num_steps"]) == ("dpmpp-2m", 5)
    with pytest.raises(InputError, match="preset 'quick'"):
        pipeline.generate("walk", 0.5, seed=3, preset="quick")


def test_pipelines_of_one_bundle_share_its_graphs_but_not_with_other_settings(
    tiny_bundle: Path,
) -> None:
    first, second = (motionrt.load(tiny_bundle, backend="cpu") for _ in range(2))
    other = motionrt.load(tiny_bundle, backend="cpu", threads=1)
    assert first.graph("decoder") is second.graph("decoder")
    assert first.graph("decoder") is not other.graph("decoder")


def test_an_altered_bundle_is_not_taken_for_the_loaded_one(own_bundle: Path) -> None:
    kept = motionrt.load(own_bundle, backend="cpu")
    loaded = kept.graph("decoder")
    weights = own_bundle / "decoder.onnx"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    manifest = own_bundle / "manifest.json"
    before = kept.manifest.files["decoder.onnx"].sha256
    manifest.write_text(manifest.read_text().replace(before, digest))
    assert motionrt.load(own_bundle, backend="cpu").graph("decoder") is not loaded
