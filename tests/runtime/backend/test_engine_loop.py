"""A loop over the engine of its step, where TensorRT and CUDA are stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_tensorrt import BACKEND, FakeCudart, add_engine, open_engine
from numpy.typing import NDArray

from motionrt.runtime.backend import engine_loop, opening
from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.engine_loop import EngineLoop
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.sampling.schedule import cosine_schedule


def inputs(opened: Bundle, frames: int, steps: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(frames)
    schedule = cosine_schedule(1000, steps)
    width = int(opened.manifest.graphs["step"].inputs[0].axes[-1])
    x = rng.standard_normal((1, frames, width), dtype=np.float32)
    text = rng.standard_normal((1, 1, int(opened.manifest.sampler["text_width"])))
    return {
        "x": x,
        "x0_previous": np.zeros_like(x),
        "timesteps": schedule.timesteps[:, None],
        "schedule": schedule.coefficients,
        "text_features": text.astype(np.float32),
        "text_mask": np.ones((1, 1), np.bool_),
        "frame_mask": np.ones((1, frames), np.bool_),
        "first_heading_rad": np.zeros(1, np.float32),
        "motion_mask": np.zeros_like(x),
        "observed_motion": np.zeros_like(x),
        "branch_text": np.array([1, 0], np.float32),
        "branch_constraints": np.zeros(2, np.float32),
        "branch_weights": np.array([2, 0], np.float32),
    }


def make(own_copy: Path) -> tuple[Bundle, FakeCudart, EngineLoop]:
    opened, cudart = add_engine(own_copy, "step"), FakeCudart()
    step = open_engine(opened, cudart, "step")
    return opened, cudart, EngineLoop(opened, "sampler", BACKEND, step)


def test_gives_what_the_compiled_loop_gives_and_replays(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_loop, "MAX_RECORDINGS", 2)
    opened, cudart, loop = make(own_copy)
    plain = OnnxSession(opened, "sampler", choose_backend("cpu"))
    for frames, steps in ((9, 3), (12, 2), (9, 3)):
        feed = inputs(opened, frames, steps)
        expected, found = plain.run(feed), loop.run(feed)
        assert list(found) == list(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=2e-3, err_msg=name)
    assert cudart.replayed == 8
    assert len(cudart.recordings) == 4  # two turns of two lengths
    loop.run(inputs(opened, 5, 1))
    assert cudart.freed_recordings == 2
    assert loop.runs_on == "tensorrt-rtx-sm89, fp32, step by step, recorded"
    loop.close()
    assert not cudart.blocks
    assert not cudart.streams


def test_who_watches_sees_the_state_between_steps(own_copy: Path) -> None:
    opened, _, loop = make(own_copy)
    feed = inputs(opened, 7, 5)
    seen: list[tuple[int, NDArray[Any]]] = []
    whole = loop.run_watched(feed, 2, lambda done, state: seen.append((done, state()["x0"])))
    assert [done for done, _ in seen] == [2, 4, 5]
    np.testing.assert_array_equal(seen[-1][1], whole["x0"])
    assert not np.array_equal(seen[0][1], whole["x0"])
    with pytest.raises(InputError, match=r"takes \(1, 2, .*motionrt engine"):
        loop.run(inputs(opened, 17, 2))


def test_a_listener_that_raises_leaves_no_memory_behind(own_copy: Path) -> None:
    opened, cudart, loop = make(own_copy)
    feed = inputs(opened, 7, 3)
    loop.run(feed)
    held = set(cudart.blocks)

    def cancel(done: int, state: object) -> None:
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        loop.run_watched(feed, 1, cancel)
    assert set(cudart.blocks) == held
    loop.run(feed)


def test_an_engine_that_fails_is_told(own_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, _, loop = make(own_copy)
    monkeypatch.setattr("fake_tensorrt.FakeContext.execute_async_v3", lambda *_: False)
    with pytest.raises(BackendError, match="graph step failed on tensorrt-rtx"):
        loop.run(inputs(opened, 7, 1))


def test_a_loop_without_an_engine_is_driven_over_that_of_its_step(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = add_engine(own_copy, "step")
    made: list[object] = []
    monkeypatch.setattr(opening, "EngineLoop", lambda *arguments: made.append(arguments))
    open_graph(opened, "sampler", BACKEND)
    assert made == [(opened, "sampler", BACKEND)]
