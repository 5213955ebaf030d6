from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cuda import CUDA, FakeCuda, fake_cuda
from numpy.typing import NDArray

import motionrt
from motionrt.runtime.backend import recording
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.step_driver import StepDriver
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BundleError, InputError
from motionrt.runtime.sampling.schedule import cosine_schedule

__all__ = ["fake_cuda"]  # a fixture


def inputs(opened: Bundle, frames: int, steps: int, batch: int = 1) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(frames)
    schedule = cosine_schedule(1000, steps)
    width = opened.manifest.graphs["step"].inputs[0].axes[-1]
    x = rng.standard_normal((batch, frames, int(width)), dtype=np.float32)
    text = rng.standard_normal((batch, 1, int(opened.manifest.sampler["text_width"])))
    return {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timesteps": schedule.timesteps[:, None],
        "schedule": schedule.coefficients,
        "text_features": text.astype(np.float32),
        "text_mask": np.ones((batch, 1), np.bool_),
        "frame_mask": np.ones((batch, frames), np.bool_),
        "first_heading_rad": np.zeros(batch, np.float32),
        "motion_mask": np.zeros_like(x),
        "observed_motion": np.zeros_like(x),
        "branch_text": np.array([1, 0], np.float32),
        "branch_constraints": np.zeros(2, np.float32),
        "branch_weights": np.array([2, 0], np.float32),
    }


@pytest.mark.parametrize("bucket_frames", [1, 8])
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_gives_what_the_compiled_loop_gives(bundle: Path, steps: int, bucket_frames: int) -> None:
    opened, backend = Bundle(bundle), choose_backend("cpu")
    driver = StepDriver(opened, "sampler", backend, device="cpu", bucket_frames=bucket_frames)
    loop = OnnxSession(opened, "sampler", backend)
    for frames in (13, 16, 13):
        feed = inputs(opened, frames, steps)
        expected, found = loop.run(feed), driver.run(feed)
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=2e-3, err_msg=name)
    assert list(driver.run(feed, ["x0"])) == ["x0"]


def test_takes_a_run_in_slices(bundle: Path) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", choose_backend("cpu"), device="cpu", bucket_frames=8)
    feed = inputs(opened, 9, 5, batch=2)
    whole = driver.run(feed)
    state = {"x": feed["x"], "x0_previous": feed["x0_previous"]}
    for rows in (slice(0, 2), slice(2, 5)):
        part = {"timesteps": feed["timesteps"][rows], "schedule": feed["schedule"][rows]}
        done = driver.run({**feed, **state, **part})
        state = {"x": done["x_next"], "x0_previous": done["x0"]}
    np.testing.assert_array_equal(state["x"], whole["x_next"])


def test_refuses_what_the_loop_refuses(bundle: Path) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", choose_backend("cpu"), device="cpu")
    feed = inputs(opened, 9, 2)
    with pytest.raises(InputError, match="schedule"):
        driver.run({**feed, "schedule": feed["schedule"][:1]})
    with pytest.raises(InputError, match="no output y"):
        driver.run(feed, ["y"])


def test_keeps_no_more_than_a_few_sets_of_buffers(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_RECORDINGS", 2)
    opened = Bundle(bundle)
    driver = StepDriver(
        opened, "sampler", choose_backend("cpu"), device="cpu", bucket_frames=1, record=False
    )
    first = driver.run(inputs(opened, 3, 1))["x0"]
    for frames in (4, 5, 3):
        again = driver.run(inputs(opened, frames, 1))["x0"]
        assert len(driver._step._buffers) <= 2
    np.testing.assert_array_equal(again, first)  # not a view of buffers that were given up


def test_refuses_a_graph_that_is_no_loop(bundle: Path) -> None:
    with pytest.raises(BundleError, match="graph decoder is no loop over a step"):
        StepDriver(Bundle(bundle), "decoder", choose_backend("cpu"), device="cpu")


def test_a_recording_is_replayed_for_shapes_that_come_again(
    bundle: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_RECORDINGS", 2)
    monkeypatch.setattr(recording, "MAX_GIVEN_UP", 1)
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", CUDA, device="cpu", bucket_frames=1)
    assert driver.runs_on == "cuda, TF32 off, step by step, recorded"
    for frames in (3, 3, 4, 3):
        driver.run(inputs(opened, frames, 2))
    assert fake_cuda.ids == [1, 2, 1, 2, 3, 4, 1, 2]
    assert not fake_cuda.released
    driver.run(inputs(opened, 5, 1))
    assert fake_cuda.released == [3, 4]  # of the shapes that were not used for longest
    assert len(fake_cuda.opened) == 1
    driver.run(inputs(opened, 6, 1))
    assert len(fake_cuda.opened) == 2  # so that older versions release them as well
    assert fake_cuda.threads == {"motionrt-cuda0_0"}


@pytest.mark.parametrize("when", ["refuses", "fails"])
def test_what_cuda_does_not_record_runs_with_one_warning(
    bundle: Path, fake_cuda: FakeCuda, when: str
) -> None:
    setattr(fake_cuda, when, True)
    opened = Bundle(bundle)
    feed = inputs(opened, 5, 2)
    reason = "cannot use the graph capture" if when == "refuses" else "capture failed"
    with pytest.warns(RuntimeWarning, match=rf"graph step: CUDA does not record it.*{reason}.*\)$"):
        driver = StepDriver(opened, "sampler", CUDA, device="cpu", bucket_frames=1)
        found = driver.run(feed)
    assert driver.runs_on == "cuda, TF32 off, step by step"
    wanted = OnnxSession(opened, "sampler", choose_backend("cpu", 1)).run(feed)
    np.testing.assert_allclose(found["x0"], wanted["x0"], rtol=0, atol=2e-3)
    driver.run(feed)  # without another warning


def test_who_watches_sees_the_state_between_steps(bundle: Path) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", choose_backend("cpu"), device="cpu", bucket_frames=8)
    feed = inputs(opened, 9, 5)
    seen: list[tuple[int, NDArray[Any]]] = []
    whole = driver.run_watched(feed, 2, lambda done, state: seen.append((done, state()["x0"])))
    assert [done for done, _ in seen] == [2, 4, 5]
    np.testing.assert_array_equal(seen[-1][1], whole["x0"])
    first = driver.run({**feed, **{key: feed[key][:2] for key in ("timesteps", "schedule")}})
    np.testing.assert_array_equal(seen[0][1], first["x0"])


def test_a_listener_ends_the_run_or_starts_another(bundle: Path) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", choose_backend("cpu"), device="cpu", bucket_frames=8)
    feed = inputs(opened, 9, 2)
    alone = driver.run(feed)

    def cancel(done: int, state: object) -> None:
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        driver.run_watched(feed, 1, cancel)
    inner: list[NDArray[Any]] = []
    outer = driver.run_watched(feed, 1, lambda *_: inner.append(driver.run(feed)["x0"]))
    for found in (*inner, outer["x0"]):
        np.testing.assert_array_equal(found, alone["x0"])


def test_a_run_that_is_ended_leaves_its_recordings_for_the_next(
    bundle: Path, fake_cuda: FakeCuda
) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", CUDA, device="cpu", bucket_frames=1)
    feed = inputs(opened, 3, 4)

    def cancel(done: int, state: object) -> None:
        raise InputError("enough")

    for _ in range(3):
        with pytest.raises(InputError, match="enough"):
            driver.run_watched(feed, 2, cancel)
    driver.run(feed)
    assert set(fake_cuda.ids) == {1, 2} and not fake_cuda.released


def test_runs_of_one_shape_at_once_leave_one_set_of_recordings(
    bundle: Path, fake_cuda: FakeCuda
) -> None:
    opened = Bundle(bundle)
    driver = StepDriver(opened, "sampler", CUDA, device="cpu", bucket_frames=1)
    feed = inputs(opened, 3, 2)
    inner: list[NDArray[Any]] = []
    outer = driver.run_watched(feed, 2, lambda *_: inner.append(driver.run(feed)["x0"]))
    np.testing.assert_array_equal(inner[0], outer["x0"])
    assert fake_cuda.ids == [1, 2, 3, 4]
    assert fake_cuda.released == [1, 2]  # the inner run brought its own back first
    driver.run(feed)
    assert fake_cuda.ids[4:] == [3, 4]


def test_guidance_in_an_interval_has_recordings_of_its_own(
    bundle: Path, fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, driven = (motionrt.load(bundle, backend="cpu") for _ in range(2))
    driver = StepDriver(Bundle(bundle), "sampler", CUDA, device="cpu", bucket_frames=1)
    driven._graphs["sampler"] = driver
    options: dict[str, Any] = {"num_steps": 10, "guidance_interval": [0.3, 0.8], "seed": 3}
    seen: list[int] = []
    wanted, found = (
        pipeline.generate(
            "a person walks", 1.0, progress=lambda _, done, __: seen.append(done), **options
        )
        for pipeline in (plain, driven)
    )
    np.testing.assert_allclose(found.posed_joints, wanted.posed_joints, rtol=0, atol=2e-3)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    # Two numbers of branches, each with two recordings: one branch before and after the interval.
    assert set(fake_cuda.ids) == {1, 2, 3, 4} and len(fake_cuda.ids) == 10
    assert fake_cuda.ids[0] == 1 and fake_cuda.ids[-1] in (1, 2)
    driven.generate("a person walks", 1.0, **options)
    assert fake_cuda.ids[10:] == fake_cuda.ids[:10]
    # Of several lengths no more are kept than are allowed, and what is given up is released.
    monkeypatch.setattr(recording, "MAX_RECORDINGS", 2)
    driven.generate("a person walks", 0.5, **options)
    assert len(driver._step._buffers) == 2 and fake_cuda.released == [3, 4, 1, 2]
