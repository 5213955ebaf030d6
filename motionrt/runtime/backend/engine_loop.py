"""A loop whose step is a TensorRT engine, driven on the GPU: a `Graph`.

An engine of the step is smaller and builds sooner than one of the whole loop, and CUDA records it.
Its state goes forth and back between two sets of buffers; what changes at a step lies on the GPU as
tables, of which a row is copied there. Nothing goes through the host until the end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.device_loop import DeviceLoop
from motionrt.runtime.backend.graph import DTYPES, Arrays, Seen
from motionrt.runtime.backend.recording import MAX_RECORDINGS
from motionrt.runtime.backend.tensorrt_session import TensorRTSession
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError


class EngineLoop(DeviceLoop):
    """A compiled loop, run by the engine of its step: a `graph.Watched`. Calls take turns.

    Who watches it must not run it meanwhile.
    """

    def __init__(
        self, bundle: Bundle, name: str, backend: Backend, step: TensorRTSession | None = None
    ) -> None:
        """Load the engine of a loop's step; step is that engine, opened here if not given."""
        super().__init__(bundle, name, backend)
        self._step = step or TensorRTSession(bundle, self._loop.step, backend)
        self._sets: OrderedDict[tuple[Any, ...], _Set] = OrderedDict()

    @property
    def runs_on(self) -> str:
        """What really runs the loop."""
        return f"{self._step.runs_on}, step by step, recorded"

    def _drive(self, feed: Arrays, every: int, seen: Seen | None) -> Arrays:
        rows = self._take_rows(feed)
        shapes = {name: array.shape for name, array in feed.items()}
        shapes.update({name: table.shape[1:] for name, table in rows.items()})
        self._step.check_shapes(shapes)
        with self._step.lock:
            buffers = self._buffers(shapes)
            return self._run_steps(buffers, feed, rows, every, seen)

    def _run_steps(
        self, buffers: _Set, feed: Arrays, rows: Arrays, every: int, seen: Seen | None
    ) -> Arrays:
        cuda, stream = self._step.cuda, self._step.stream
        for name, array in feed.items():
            self._step.upload(buffers.places[name], array)
        tables = {name: self._step.upload_new(table) for name, table in rows.items()}
        count = len(next(iter(rows.values())))
        try:
            for i in range(count):
                for name, table in rows.items():
                    size = table[0].nbytes
                    place = buffers.places[name]
                    cuda.within_device(place, tables[name] + i * size, size, stream)
                self._run_step(buffers, i % 2)
                done = i + 1
                if seen is not None and every > 0 and (done % every == 0 or done == count):
                    cuda.synchronize(stream)
                    seen(done, lambda turn=done % 2: self._state(buffers, turn))  # type: ignore[misc]
            cuda.synchronize(stream)
        finally:
            cuda.synchronize(stream)
            for address in tables.values():
                cuda.free(address)
        return self._state(buffers, count % 2)

    def _run_step(self, buffers: _Set, turn: int) -> None:
        """Run the step from the state of a turn to that of the other: at first noted down."""
        cuda, stream = self._step.cuda, self._step.stream
        recording = buffers.recordings.get(turn)
        if recording is None:
            context = buffers.contexts[turn]
            # Once unrecorded: an engine may compile and allocate when it first runs. A step leaves
            # what it reads as it is, so it may be run again.
            self._execute(context)
            cuda.synchronize(stream)
            cuda.begin_recording(stream)
            try:
                self._execute(context)
            finally:
                recording = cuda.end_recording(stream)
            buffers.recordings[turn] = recording
        cuda.replay(recording, stream)

    def _execute(self, context: Any) -> None:
        if not context.execute_async_v3(self._step.stream):
            raise BackendError(f"graph {self._loop.step} failed on {self.backend.name}")

    def _state(self, buffers: _Set, turn: int) -> Arrays:
        """Return a copy of the state that a turn would read, by the names of outputs."""
        return {
            result: self._step.download(buffers.states[turn][name], buffers.shapes[name])
            for name, result in self._loop.carried.items()
        }

    def _buffers(self, shapes: Mapping[str, tuple[int, ...]]) -> _Set:
        key = tuple(sorted(shapes.items()))
        if key in self._sets:
            self._sets.move_to_end(key)
            return self._sets[key]
        if len(self._sets) >= MAX_RECORDINGS:
            self._release(self._sets.popitem(last=False)[1])
        made = _Set(dict(shapes))
        dtypes = {tensor.name: DTYPES[tensor.dtype] for tensor in self._step.info.inputs}

        def allocate(name: str) -> int:
            size = int(np.prod(shapes[name], dtype=np.int64)) * np.dtype(dtypes[name]).itemsize
            return self._step.cuda.allocate(size)

        try:
            for name in shapes:
                made.places[name] = allocate(name)
            for name in self._loop.carried:
                made.states[0][name] = made.places[name]
                made.states[1][name] = allocate(name)
            self._bind(made, shapes)
        except BaseException:
            self._release(made)
            raise
        self._sets[key] = made
        return made

    def _bind(self, made: _Set, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make a context for each turn, which reads one state and writes the other."""
        for turn in (0, 1):
            context = self._step.create_context()
            for name, shape in shapes.items():
                if not context.set_input_shape(name, shape):
                    raise BackendError(
                        f"graph {self._loop.step}: input {name} is refused by its engine"
                    )
                context.set_tensor_address(name, made.states[turn].get(name, made.places[name]))
            for name, result in self._loop.carried.items():
                context.set_tensor_address(result, made.states[1 - turn][name])
            made.contexts.append(context)

    def _release(self, buffers: _Set) -> None:
        cuda = self._step.cuda
        for recording in buffers.recordings.values():
            cuda.free_recording(recording)
        for address in (*buffers.places.values(), *buffers.states[1].values()):
            cuda.free(address)
        buffers.contexts.clear()

    def close(self) -> None:
        """Give back the GPU's memory."""
        with self._step.lock:
            while self._sets:
                self._release(self._sets.popitem()[1])
        self._step.close()

    def __del__(self) -> None:
        """Give back the GPU's memory when nobody needs the loop any more."""
        if getattr(self, "_sets", None):
            self.close()


@dataclass
class _Set:
    """Memory of one set of shapes, and what runs on it."""

    shapes: dict[str, tuple[int, ...]]
    places: dict[str, int] = field(default_factory=dict)
    """Addresses of inputs; of the state those of the first turn."""
    states: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    contexts: list[Any] = field(default_factory=list)
    recordings: dict[int, int] = field(default_factory=dict)
