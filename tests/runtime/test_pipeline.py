"""What every family's pipeline shares, on the embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motionrt
from motionrt.runtime.backend.backends import status
from motionrt.runtime.backend.graph import Graph
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import BackendError, BundleError, InputError
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request
from motionrt.runtime.sampling.noise import MAX_SEED


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> motionrt.KimodoPipeline:
    return motionrt.KimodoPipeline.load(bundle, backend="cpu")


def test_without_a_path_the_embedded_default_is_loaded(bundle: Path) -> None:
    pipeline = motionrt.load(backend="cpu")
    assert isinstance(pipeline, motionrt.KimodoPipeline)
    assert pipeline.bundle.folder == bundle
    assert repr(pipeline) == "<KimodoPipeline motionrt-default: kimodo, cmu22 at 20 fps, on cpu>"


def test_a_backend_is_used_or_refused(bundle: Path) -> None:
    with pytest.raises(BackendError, match="unknown"):
        motionrt.load(bundle, backend="abacus")
    other = "coreml" if status("cuda").works else "cuda"
    with pytest.raises(BackendError, match=other):
        motionrt.load(bundle, backend=other)
    assert motionrt.load(bundle, backend="cpu", threads=2).backend.threads == 2


def test_a_familys_class_loads_its_own_bundles_only(bundle: Path) -> None:
    with pytest.raises(BundleError, match="a bundle of kimodo, not for MotionGpt3Pipeline; use"):
        motionrt.MotionGpt3Pipeline.load(bundle, backend="cpu")
    assert isinstance(Pipeline.load(bundle, backend="cpu"), motionrt.KimodoPipeline)


def test_each_sample_is_that_of_a_run_of_its_own(pipeline: motionrt.KimodoPipeline) -> None:
    common: dict[str, Any] = {"num_frames": [10, 14], "num_steps": 3}
    made = pipeline.generate_many(
        ["walk", "jump"], seed=7, num_samples=2, sample_seeds=True, **common
    )
    assert [motion.info["sample"] for motion in made] == [0, 1, 0, 1]
    assert [motion.info["seed"] for motion in made] == [7, 8, 7, 8]
    for sample in range(2):
        alone = pipeline.generate_many(["walk", "jump"], seed=7 + sample, **common)
        for row in range(2):
            np.testing.assert_array_equal(
                made[2 * row + sample].posed_joints, alone[row].posed_joints
            )


def test_of_a_sequence_each_sample_is_that_of_a_run_of_its_own_too(
    pipeline: motionrt.KimodoPipeline,
) -> None:
    common: dict[str, Any] = {"num_frames": 12, "num_steps": 2, "multi_prompt": True}
    made = pipeline.generate_many(
        ["walk", "jump"], seed=3, num_samples=2, sample_seeds=True, **common
    )
    assert [motion.num_frames for motion in made] == [24, 24]
    (alone,) = pipeline.generate_many(["walk", "jump"], seed=4, **common)
    np.testing.assert_array_equal(made[1].posed_joints, alone.posed_joints)


def test_a_seed_is_drawn_and_noted(
    pipeline: motionrt.KimodoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = pipeline.generate("walk", num_frames=10, num_steps=2)
    again = pipeline.generate("walk", num_frames=10, num_steps=2, seed=motion.info["seed"])
    np.testing.assert_array_equal(motion.posed_joints, again.posed_joints)
    # The highest that is drawn leaves room for every sample's own.
    monkeypatch.setattr("secrets.randbelow", lambda count: count - 1)
    made = pipeline.generate_many(
        "walk", num_frames=5, num_steps=1, num_samples=2, sample_seeds=True
    )
    assert all(0 <= motion.info["seed"] <= MAX_SEED for motion in made)
    assert made[1].info["seed"] == made[0].info["seed"] + 1


def test_lengths_are_in_seconds_or_frames_and_within_the_models(
    pipeline: motionrt.KimodoPipeline,
) -> None:
    def frames(**arguments: Any) -> list[int]:
        raw = {"chain": False}
        return pipeline.frames_of(
            Request.make(pipeline.family, ["a", "b"], options=raw, **arguments)
        )

    most = pipeline.manifest.limits.max_frames
    assert frames(seconds=[1, 0.99]) == [20, 19]
    assert frames(num_frames=[1, most]) == [1, most]
    with pytest.raises(InputError, match=r"duration 0\.01 s: no whole frame at 20 fps"):
        frames(seconds=0.01)
    with pytest.raises(InputError, match=f"{most + 20} frames at 20 fps, .* allows {most}"):
        frames(seconds=most / 20 + 1)
    with pytest.raises(InputError, match=f"0 frames: this model takes 1 to {most}"):
        frames(num_frames=0)


def test_what_a_family_cannot_is_refused(pipeline: motionrt.KimodoPipeline) -> None:
    rotations = np.eye(3) + np.zeros((2, 22, 1, 1))
    motion = Motion.from_local(rotations, np.zeros((2, 3)), pipeline.skeleton, 20)
    with pytest.raises(InputError, match="kimodo cannot describe motions; use a bundle of motion"):
        pipeline.caption(motion)
    # What a family does not override is refused too.
    with pytest.raises(InputError, match="kimodo: takes no embeddings from a server"):
        Pipeline.use_text_encoder(pipeline, "http://127.0.0.1:1")
    assert Pipeline.hints(pipeline, ["walk"]) == []


def test_graphs_are_loaded_when_they_are_used_and_kept(bundle: Path) -> None:
    pipeline = motionrt.load(bundle, backend="cpu", threads=1)
    assert pipeline.loaded_graphs == {}
    decoder: Graph = pipeline.graph("decoder")
    assert pipeline.graph("decoder") is decoder
    assert pipeline.loaded_graphs == {"decoder": decoder}


def test_progress_hears_of_every_stage(pipeline: motionrt.KimodoPipeline) -> None:
    heard: list[tuple[str, int, int]] = []
    pipeline.generate(
        "walk", num_frames=10, num_steps=4, progress=lambda *state: heard.append(state)
    )
    assert heard[0] == ("encoding text", 0, 1)
    assert [state for state in heard if state[0] == "denoising"] == [
        ("denoising", done, 4) for done in range(5)
    ]


def test_what_reading_a_motion_noted_is_with_the_result(
    pipeline: motionrt.KimodoPipeline, tmp_path: Path
) -> None:
    clip = pipeline.generate("walk", 0.5, seed=1, num_steps=1)
    clip.save(tmp_path / "metres.bvh", scale=1)
    clip.save(tmp_path / "clip.npz")
    joined = pipeline.generate("run", 0.5, seed=1, num_steps=1, continue_from=tmp_path / "clip.npz")
    assert joined.notes == [] and joined.num_frames == 20
    small = pipeline.generate(
        "run", 0.5, seed=1, num_steps=1, continue_from=tmp_path / "metres.bvh"
    )
    (note,) = small.notes
    assert note.startswith(f"{tmp_path / 'metres.bvh'}: the body is")
    with pytest.raises(InputError, match="continue_from is int, no motion or its file"):
        pipeline.generate("run", 0.5, continue_from=3)  # type: ignore[arg-type]


def test_requests_that_run_together_get_what_each_gets_alone(
    pipeline: motionrt.KimodoPipeline,
) -> None:
    def request(prompt: str, count: int, **options: Any) -> Request:
        options = {"num_steps": 3, **options}
        return Request.make(pipeline.family, prompt, num_frames=count, seed=count, options=options)

    held = {"type": "root2d", "frame_indices": [9], "smooth_root_2d": [[0.2, 0.5]]}
    requests = [
        request("walk", 14),
        request("jump", 12),
        request("", 13),
        request("walk", 13, constraints=[held]),
        request("run", 15, num_steps=2),
        request("run", 200),  # of two parts
        request("walk", 13, constraints=[{"type": "nothing"}]),
    ]

    class Enough(Exception):
        pass

    def cancel(stage: str, done: int, total: int) -> None:
        if done:
            raise Enough

    told = [None, cancel, *[None] * 5]
    outcomes = pipeline.run_together(requests, told)
    kinds = [type(outcome.error) for outcome in outcomes]
    assert kinds == [type(None), Enough, *[type(None)] * 4, InputError]
    for index in (0, 2, 3, 4, 5):
        (alone,) = pipeline.run(requests[index])
        (found,) = outcomes[index].get()
        np.testing.assert_allclose(found.posed_joints, alone.posed_joints, rtol=0, atol=1e-4)
        assert found.info == {**alone.info, "quality": found.info["quality"]}
