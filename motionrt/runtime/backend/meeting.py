"""Runs that meet at a graph: what several threads ask of a compiled loop becomes one call.

Each member of a meeting works as if it were alone. Where all that still work wait for a loop, those
whose calls fit together are answered by one call with their rows after one another. A row depends
on its own inputs alone, so each gets what it would get alone, to the rounding of float32: a library
may add up the numbers of a larger batch in another order. Graphs of which that is not true are
asked one call after another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.graph import Arrays, Graph, check_inputs, check_outputs
from motionrt.runtime.bundle.manifest import GraphInfo, TensorInfo
from motionrt.runtime.errors import MotionrtError

BATCH = "batch"
"""The axis of rows, in every manifest."""
MOST_PADDING = 1.5
"""Rows that share a call are padded to the longest; it is at most so many times the shortest."""
ROUNDED_TOGETHER = ("int8",)
"""Precisions that round the numbers of all rows by one scale: a row depends on the others."""
Result = TypeVar("Result")


@dataclass
class Outcome(Generic[Result]):
    """What one member came to: its result, or what it raised."""

    result: Result | None = None
    error: BaseException | None = None

    def get(self) -> Result:
        """Return the result, or raise what was raised."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


@dataclass(eq=False)
class _Call:
    graph: Graph
    outputs: list[str]
    feed: Arrays
    alike: tuple[Any, ...]
    """Equal for calls that may be one."""
    rows: int
    length: int
    """Along the padded axis; 0 without one."""
    results: Arrays | None = None
    error: BaseException | None = None
    done: bool = field(default=False)


def meet(works: Sequence[Callable[[], Result]], most_rows: int) -> list[Outcome[Result]]:
    """Run functions side by side, each in a thread of its own, and let their graph calls meet.

    most_rows is how many rows a call may have at most. Returns when all have ended; what one raises
    is in its outcome and does not touch the others.
    """
    meeting = _Meeting(len(works), most_rows)
    outcomes = [Outcome[Result]() for _ in works]

    def run(index: int) -> None:
        _here.meeting = meeting
        try:
            outcomes[index].result = works[index]()
        except BaseException as error:  # handed over to who asked
            outcomes[index].error = error
        finally:
            _here.meeting = None
            meeting.leave()

    if len(works) == 1:
        run(0)
        return outcomes
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def met(graph: Graph) -> Graph:
    """Return a graph as this thread is to run it: through the meeting that it takes part in."""
    meeting: _Meeting | None = getattr(_here, "meeting", None)
    if meeting is None or not can_meet(graph.info):
        return graph
    return _MetGraph(graph, meeting)


def can_meet(info: GraphInfo) -> bool:
    """Return whether calls of a graph can be one: a loop whose rows depend on themselves alone."""
    if info.loop is None or info.precision in ROUNDED_TOGETHER:
        return False
    inputs = all(tensor.axes.count(BATCH) <= 1 for tensor in info.inputs)
    return inputs and all(tensor.axes.count(BATCH) == 1 for tensor in info.outputs)


_here = threading.local()


class _MetGraph:
    """A `Graph` whose calls wait for those of others."""

    def __init__(self, graph: Graph, meeting: _Meeting) -> None:
        self._graph, self._meeting = graph, meeting

    @property
    def name(self) -> str:
        return self._graph.name

    @property
    def info(self) -> GraphInfo:
        return self._graph.info

    @property
    def runs_on(self) -> str:
        return self._graph.runs_on

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        info = self.info
        feed = check_inputs(self.name, info, inputs)
        wanted = check_outputs(self.name, info, outputs)
        padded = info.loop.padded_axis if info.loop is not None else None
        length = rows = 0
        alike: list[Any] = [id(self._graph), tuple(wanted)]
        for tensor in info.inputs:
            array = feed[tensor.name]
            sizes = dict(zip(tensor.axes, array.shape, strict=True))
            rows = sizes.get(BATCH, rows)
            length = sizes.get(padded, length) if padded is not None else 0
            if BATCH in tensor.axes:
                own = [size for axis, size in sizes.items() if axis not in (BATCH, padded)]
                alike.append(tuple(own))
            else:
                alike.append((array.shape, array.tobytes()))
        return self._meeting.run(_Call(self._graph, wanted, feed, tuple(alike), rows, length))


class _Meeting:
    def __init__(self, members: int, most_rows: int) -> None:
        self._at_work = members
        self._most_rows = most_rows
        self._waiting: list[_Call] = []
        self._changed = threading.Condition()

    def leave(self) -> None:
        """Be waited for no more."""
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()

    def run(self, call: _Call) -> Arrays:
        """Wait until nobody is at work any more, then until the call has been answered."""
        with self._changed:
            self._waiting.append(call)
            self._at_work -= 1
            self._changed.notify_all()
            # The one whose call has waited longest makes the call for all that fit.
            while not (call.done or (self._at_work == 0 and self._waiting[0] is call)):
                self._changed.wait()
            if not call.done:
                chosen = self._fitting(call)
                self._waiting = [other for other in self._waiting if other not in chosen]
                self._at_work += len(chosen)
                self._changed.release()
                try:
                    _answer(chosen)
                finally:
                    self._changed.acquire()
                    for other in chosen:
                        other.done = True
                    self._changed.notify_all()
        if call.error is not None:
            raise call.error
        assert call.results is not None
        return call.results

    def _fitting(self, first: _Call) -> list[_Call]:
        chosen, rows = [first], first.rows
        shortest = longest = first.length
        for other in self._waiting[1:]:
            low, high = min(shortest, other.length), max(longest, other.length)
            if (
                other.alike == first.alike
                and rows + other.rows <= self._most_rows
                and high <= MOST_PADDING * low
            ):
                chosen.append(other)
                rows += other.rows
                shortest, longest = low, high
        return chosen


def _answer(calls: list[_Call]) -> None:
    """Answer calls by one; where that fails, each by its own."""
    if len(calls) > 1:
        try:
            _answer_together(calls)
            return
        except MotionrtError:
            pass  # memory may suffice for each
    for call in calls:
        try:
            call.results = call.graph.run(call.feed, call.outputs)
        except BaseException as error:  # raised where the call was made
            call.error = error


def _answer_together(calls: list[_Call]) -> None:
    graph, longest = calls[0].graph, max(call.length for call in calls)
    info = graph.info
    assert info.loop is not None
    padded = info.loop.padded_axis
    feed = {}
    for tensor in info.inputs:
        arrays = [call.feed[tensor.name] for call in calls]
        if BATCH in tensor.axes:
            longer = [_padded(array, tensor, padded, longest) for array in arrays]
            arrays = [np.concatenate(longer, axis=tensor.axes.index(BATCH))]
        feed[tensor.name] = arrays[0]
    results = graph.run(feed, calls[0].outputs)
    start = 0
    for call in calls:
        rows = slice(start, start + call.rows)
        call.results = {
            tensor.name: _own_part(results[tensor.name], tensor, rows, padded, call.length)
            for tensor in info.outputs
            if tensor.name in results
        }
        start += call.rows


def _padded(array: NDArray[Any], tensor: TensorInfo, axis: str | None, length: int) -> NDArray[Any]:
    """Lengthen an array along an axis by zeros."""
    if axis is None or axis not in tensor.axes:
        return array
    place = tensor.axes.index(axis)
    missing = length - array.shape[place]
    if not missing:
        return array
    return np.pad(array, [(0, missing if k == place else 0) for k in range(array.ndim)])


def _own_part(
    array: NDArray[Any], tensor: TensorInfo, rows: slice, padded: str | None, length: int
) -> NDArray[Any]:
    cuts = {BATCH: rows} if padded is None else {BATCH: rows, padded: slice(0, length)}
    part = array[tuple(cuts.get(str(axis), slice(None)) for axis in tensor.axes)]
    return np.ascontiguousarray(part)
