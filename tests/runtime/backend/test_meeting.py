from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from motionrt.runtime.backend.graph import Arrays
from motionrt.runtime.backend.meeting import meet, met
from motionrt.runtime.bundle.manifest import GraphInfo, LoopInfo, TensorInfo
from motionrt.runtime.errors import BackendError, InputError


def info(precision: str = "fp32", padded: str | None = "frames") -> GraphInfo:
    return GraphInfo(
        files={"onnx": "adds.onnx"},
        inputs=(
            TensorInfo("x", ("batch", "frames", 2), "float32"),
            TensorInfo("schedule", ("steps",), "float32"),
        ),
        outputs=(TensorInfo("y", ("batch", "frames", 2), "float32"),),
        atol=0.0,
        precision=precision,
        loop=LoopInfo("step", {"x": "y"}, {"by": "schedule"}, padded_axis=padded),
    )


class Adds:
    """A loop that adds the sum of its schedule to every row; it notes the shapes of its calls."""

    name = "adds"
    runs_on = "here"

    def __init__(self, info: GraphInfo, most_rows: int = 100) -> None:
        self.info = info
        self.calls: list[tuple[int, ...]] = []
        self._most_rows = most_rows

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        x = np.asarray(inputs["x"])
        self.calls.append(x.shape)
        if len(x) > self._most_rows:
            raise BackendError("no memory")
        return {"y": x + np.sum(np.asarray(inputs["schedule"], np.float32))}


def asked(graph: Adds, rows: int, frames: int, schedule: Sequence[float] = (1.0,)) -> Any:
    """Return work that asks a graph once and checks what it gets."""

    def work() -> None:
        x = np.random.default_rng(rows + frames).normal(size=(rows, frames, 2)).astype(np.float32)
        (y,) = met(graph).run({"x": x, "schedule": schedule}).values()
        np.testing.assert_array_equal(y, x + np.float32(sum(schedule)))
        assert y.flags.c_contiguous

    return work


def held(works: Sequence[Any], most_rows: int = 100) -> None:
    for outcome in meet(works, most_rows):
        outcome.get()


def test_calls_that_fit_are_one() -> None:
    graph = Adds(info())
    held([asked(graph, 1, 10), asked(graph, 2, 12), asked(graph, 1, 11)])
    assert graph.calls == [(4, 12, 2)]


@pytest.mark.parametrize(
    ("works", "calls"),
    [
        ([(1, 10, (1.0,)), (1, 10, (2.0,))], 2),  # another schedule
        ([(1, 10, (1.0,)), (1, 10, (1.0, 1.0))], 2),  # more steps
        ([(1, 10, (1.0,)), (1, 16, (1.0,))], 2),  # much longer
        ([(1, 10, (1.0,)), (1, 15, (1.0,))], 1),
        ([(3, 10, (1.0,)), (2, 10, (1.0,))], 2),  # more rows than four
        ([(0, 10, (1.0,)), (1, 10, (1.0,))], 1),  # no rows: of nobody's business
    ],
)
def test_calls_that_differ_are_not(works: list[tuple[int, int, Any]], calls: int) -> None:
    graph = Adds(info())
    held([asked(graph, *work) for work in works], most_rows=4)
    assert len(graph.calls) == calls


@pytest.mark.parametrize(
    ("about", "calls"),
    [
        (info(padded=None), [(1, 10, 2), (1, 12, 2)]),
        (info("int8"), [(1, 10, 2), (1, 12, 2)]),
        (info("fp16"), [(2, 12, 2)]),
    ],
)
def test_only_graphs_whose_rows_are_their_own_are_shared(
    about: GraphInfo, calls: list[tuple[int, ...]]
) -> None:
    graph = Adds(about)
    held([asked(graph, 1, 10), asked(graph, 1, 12)])
    assert sorted(graph.calls) == calls


def test_those_who_leave_are_not_waited_for() -> None:
    graph = Adds(info())
    twice = asked(graph, 1, 10)

    def often() -> None:
        for _ in range(3):
            twice()

    def failing() -> None:
        twice()
        raise InputError("no more")

    outcomes = meet([often, failing, twice], 100)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), InputError, type(None)]
    assert graph.calls == [(3, 10, 2), (1, 10, 2), (1, 10, 2)]
    with pytest.raises(InputError, match="no more"):
        outcomes[1].get()


def test_what_fails_together_is_tried_alone() -> None:
    graph = Adds(info(), most_rows=2)
    works = [asked(graph, rows, 10) for rows in (1, 2, 3)]
    outcomes = meet(works, 100)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), type(None), BackendError]
    assert sorted(graph.calls) == [(1, 10, 2), (2, 10, 2), (3, 10, 2), (6, 10, 2)]


def test_a_call_that_does_not_fit_its_graph_fails_alone() -> None:
    graph = Adds(info())

    def wrong() -> None:
        met(graph).run({"x": np.zeros((1, 5, 3)), "schedule": [1.0]})

    outcomes = meet([wrong, asked(graph, 1, 5)], 100)
    assert isinstance(outcomes[0].error, InputError) and outcomes[1].error is None


def test_threads_that_do_not_meet_ask_the_graph_itself() -> None:
    graph = Adds(info())
    assert met(graph) is graph
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(met(graph)))
    thread.start()
    thread.join()
    assert found == [graph]
