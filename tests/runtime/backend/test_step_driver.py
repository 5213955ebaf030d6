from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motionrt.runtime.backend.backends import Backend, choose_backend
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.backend.step_driver import StepDriver, drives
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import InputError
from motionrt.runtime.sampling.schedule import cosine_schedule


def inputs(bundle: Bundle, frames: int, steps: int, batch: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(frames)
    schedule = cosine_schedule(1000, steps)
    width = bundle.manifest.graphs["step"].inputs[0].axes[-1]
    x = rng.standard_normal((batch, frames, int(width)), dtype=np.float32)
    text = rng.standard_normal((batch, 1, int(bundle.manifest.sampler["text_width"])))
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
def test_gives_what_the_compiled_loop_gives(
    tiny_bundle: Path, steps: int, bucket_frames: int
) -> None:
    bundle, backend = Bundle(tiny_bundle), choose_backend("cpu")
    driver = StepDriver(bundle, "sampler", backend, device="cpu", bucket_frames=bucket_frames)
    loop = OnnxSession(bundle, "sampler", backend)
    for frames in (13, 16, 13):
        feed = inputs(bundle, frames, steps)
        expected, found = loop.run(feed), driver.run(feed)
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=2e-3, err_msg=name)
    assert list(driver.run(feed, ["x0"])) == ["x0"]


def test_takes_a_run_in_slices(tiny_bundle: Path) -> None:
    bundle = Bundle(tiny_bundle)
    driver = StepDriver(bundle, "sampler", choose_backend("cpu"), device="cpu", bucket_frames=8)
    feed = inputs(bundle, 9, 5, batch=2)
    whole = driver.run(feed)
    state = {"x": feed["x"], "x0_previous": feed["x0_previous"]}
    for rows in (slice(0, 2), slice(2, 5)):
        part = {"timesteps": feed["timesteps"][rows], "schedule": feed["schedule"][rows]}
        done = driver.run({**feed, **state, **part})
        state = {"x": done["x_next"], "x0_previous": done["x0"]}
    np.testing.assert_array_equal(state["x"], whole["x_next"])


def test_refuses_what_the_loop_refuses(tiny_bundle: Path) -> None:
    bundle = Bundle(tiny_bundle)
    driver = StepDriver(bundle, "sampler", choose_backend("cpu"), device="cpu")
    feed = inputs(bundle, 9, 2)
    with pytest.raises(InputError, match="schedule"):
        driver.run({**feed, "schedule": feed["schedule"][:1]})
    with pytest.raises(InputError, match="no output y"):
        driver.run(feed, ["y"])


def test_only_cuda_drives_the_loop(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle(tiny_bundle)
    assert drives(bundle.manifest.graphs["sampler"])
    assert not drives(bundle.manifest.graphs["decoder"])
    assert isinstance(open_graph(bundle, "sampler", choose_backend("cpu")), OnnxSession)
    opened = []
    monkeypatch.setattr(
        "motionrt.runtime.backend.opening.StepDriver",
        lambda *arguments: opened.append(arguments),
    )
    cuda = Backend("cuda", (("CUDAExecutionProvider", {}),), 0)
    open_graph(bundle, "sampler", cuda)
    assert len(opened) == 1
