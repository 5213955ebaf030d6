from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.options import PRESETS
from motionrt.runtime.kimodo.pipeline import KimodoPipeline


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> KimodoPipeline:
    return KimodoPipeline.load(bundle, backend="cpu")


def test_same_seed_same_motion(pipeline: KimodoPipeline) -> None:
    first = pipeline.generate("a person walks", 1.0, seed=3, num_steps=4)
    again = pipeline.generate("A  person walks.", 1.0, seed=3, num_steps=4)
    other = pipeline.generate("a person walks", 1.0, seed=4, num_steps=4)
    np.testing.assert_array_equal(first.posed_joints, again.posed_joints)
    assert not np.allclose(first.posed_joints, other.posed_joints)
    assert first.local_rotations.shape == (20, 22, 4)
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
    assert [len(motion.root_positions) for motion in made] == [20, 20, 10, 10]
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
        {"guidance_interval": [0.5, 0.1]},
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


def test_a_preset_is_solver_and_steps_unless_these_are_given(pipeline: KimodoPipeline) -> None:
    fast = pipeline.generate("walk", 0.5, seed=3, preset="fast")
    steps = PRESETS["fast"]["num_steps"]
    given = {"solver": "dpmpp-2m", "num_steps": steps, "guidance_interval": [0.1]}
    same = pipeline.generate("walk", 0.5, seed=3, **given)
    np.testing.assert_array_equal(fast.posed_joints, same.posed_joints)
    assert fast.info["guidance_interval"] == [0.1, 1.0]
    whole = pipeline.generate("walk", 0.5, seed=3, preset="fast", guidance_interval=[0])
    assert np.abs(whole.posed_joints - fast.posed_joints).max() > 1e-4
    assert "guidance_interval" not in whole.info
    fewer = pipeline.generate("walk", 0.5, seed=3, preset="fast", num_steps=5)
    assert (fewer.info["solver"], fewer.info["num_steps"]) == ("dpmpp-2m", 5)
    with pytest.raises(InputError, match="preset 'quick'"):
        pipeline.generate("walk", 0.5, seed=3, preset="quick")
