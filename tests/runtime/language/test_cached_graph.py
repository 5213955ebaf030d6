from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.graph import Arrays, Graph
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo, TensorInfo
from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.language.cached_graph import CachedGraph
from motionrt.runtime.sampling.schedule import cosine_schedule

CARRIED = {"x": "x_next", "x0_previous": "x0"}


class Appender:
    """A graph of no runtime: what it is told is added to what it remembers."""

    name = "appender"
    runs_on = "numpy"
    info = GraphInfo(
        files={},
        inputs=(
            TensorInfo("new", ("batch", "tokens"), "int64"),
            TensorInfo("past", ("batch", "past"), "int64"),
        ),
        outputs=(
            TensorInfo("sum", ("batch",), "int64"),
            TensorInfo("present", ("batch", "all"), "int64"),
        ),
        atol=0,
    )

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        both = np.concatenate((np.asarray(inputs["past"]), np.asarray(inputs["new"])), axis=1)
        return {"sum": both.sum(axis=1), "present": both}


def test_what_a_run_leaves_is_what_the_next_one_reads() -> None:
    graph: Graph = Appender()
    cached = CachedGraph(graph, {"past": "present"}, {"batch": 2, "past": 0})
    assert cached.run({"new": [[1], [2]]}, ["sum"])["sum"].tolist() == [1, 2]
    found = cached.run({"new": [[3, 1], [4, 1]]}, ["sum"])
    assert found["sum"].tolist() == [5, 7]
    assert list(found) == ["sum"]
    assert cached.size("past") == 3
    cached.resize("past", 1)
    assert cached.run({"new": [[9], [9]]}, ["sum"])["sum"].tolist() == [10, 11]
    cached.resize("past", 4)
    assert cached.run({"new": [[1], [1]]}, ["sum"])["sum"].tolist() == [11, 12]
    assert cached.size("past") == 5


def test_inputs_that_do_not_fit_are_named() -> None:
    cached = CachedGraph(Appender(), {"past": "present"}, {"batch": 1, "past": 0})
    with pytest.raises(InputError, match="input new is missing"):
        cached.run({}, ["sum"])
    with pytest.raises(InputError, match="input old is unknown"):
        cached.run({"new": [[1]], "old": [[1]]}, ["sum"])


def feed(opened: Bundle, row: int) -> dict[str, NDArray[Any]]:
    schedule = cosine_schedule(1000, 5)
    loop = opened.manifest.graphs["sampler"].loop
    assert loop is not None
    rows = {"timesteps": schedule.timesteps[row, None], "schedule": schedule.coefficients[row]}
    width = int(opened.manifest.graphs["step"].inputs[0].axes[-1])
    text = np.random.default_rng(1).standard_normal((1, 1, opened.manifest.sampler["text_width"]))
    return {
        **{inner: rows[outer] for inner, outer in loop.scanned.items()},
        "text_features": text.astype(np.float32),
        "text_mask": np.ones((1, 1), np.bool_),
        "frame_mask": np.ones((1, 12), np.bool_),
        "first_heading_rad": np.zeros(1, np.float32),
        "motion_mask": np.zeros((1, 12, width), np.float32),
        "observed_motion": np.zeros((1, 12, width), np.float32),
        "branch_text": np.array([1, 0], np.float32),
        "branch_constraints": np.zeros(2, np.float32),
        "branch_weights": np.array([2, 0], np.float32),
    }


def test_onnxruntime_keeps_the_state(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = OnnxSession(opened, "step", choose_backend("cpu"))
    (width,) = {t.axes[-1] for t in session.info.inputs if t.name == "x"}
    assert isinstance(width, int)
    axes = {axis: 1 for t in session.info.inputs for axis in t.axes if isinstance(axis, str)}
    cached = CachedGraph(session, CARRIED, {**axes, "frames": 12})
    state = {name: np.zeros((1, 12, width), np.float32) for name in CARRIED}
    for row in range(3):
        expected = session.run({**feed(opened, row), **state})
        cached.run(feed(opened, row), [])
        state = {name: expected[output] for name, output in CARRIED.items()}
    for name in CARRIED:
        np.testing.assert_allclose(cached.state(name), state[name], atol=1e-5, err_msg=name)


def test_a_run_that_fails_says_why(bundle: Path) -> None:
    opened = Bundle(bundle)
    session = OnnxSession(opened, "step", choose_backend("cpu"))
    axes = {axis: 1 for t in session.info.inputs for axis in t.axes if isinstance(axis, str)}
    cached = CachedGraph(session, CARRIED, {**axes, "frames": 11})
    with pytest.raises(BackendError, match="graph step failed"):
        cached.run(feed(opened, 0), [])
