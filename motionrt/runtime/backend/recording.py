"""A step graph on a device: its session, and memory bound to it twice, replayed if CUDA takes it.

Memory that never moves lets CUDA record the whole step once (a CUDA graph) and replay it. What is
recorded is for one set of shapes; a few are kept.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import PROVIDERS, SILENT, Backend
from motionrt.runtime.backend.device_thread import on_device
from motionrt.runtime.backend.graph import DTYPES, Arrays, Seen, find_graph
from motionrt.runtime.backend.onnx_session import first_line, onnxruntime_session
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError, MotionrtError

MAX_RECORDINGS = 8
"""Sets of buffers that are kept, each with its two recordings."""
MAX_GIVEN_UP = 16
"""Sets that were given up before the session is opened anew: older versions of onnxruntime keep a
recording for as long as their session."""

Shapes = Mapping[str, tuple[int, ...]]
Result = TypeVar("Result")


class DeviceGraph:
    """A step graph of a bundle, with its sets of buffers.

    Every method is to be called in the device's thread (``device_thread.on_device``).
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        backend: Backend,
        carried: Mapping[str, str],
        device: str,
        record: bool,
    ) -> None:
        """Load a graph; device, as onnxruntime calls it, is where its buffers lie.

        carried: what is state, input -> the output that it becomes. record: whether steps are
        replayed, as long as the provider takes them. BackendError if it cannot be loaded.
        """
        self.info = find_graph(bundle, name, "onnx")
        self.records = record and PROVIDERS["cuda"] == backend.providers[0][0]
        self.name, self.backend = name, backend
        self._bundle = bundle
        self._carried, self._device = carried, device
        self._buffers: OrderedDict[tuple[Any, ...], Buffers] = OrderedDict()
        self._next_recording, self._given_up = 1, 0
        bundle.check_hashes((self.info.files["onnx"], *self.info.data))
        self._open()

    def without_recording(self, reason: object) -> None:
        """Run steps one by one from now on, and say why once."""
        if not self.records:
            return  # another thread was told before
        self.records = False
        warnings.warn(
            f"graph {self.name}: CUDA does not record it, it runs slower ({reason})",
            RuntimeWarning,
            stacklevel=2,
        )
        self._open()

    def take(self, shapes: Shapes) -> Buffers:
        """Return buffers of these shapes, for one run alone."""
        return self._buffers.pop(_key(shapes), None) or self._make(shapes)

    def keep(self, shapes: Shapes, buffers: Buffers) -> None:
        """Take buffers back when they are done with; the oldest that are too many are given up.

        So are those whose shapes another run has brought back meanwhile.
        """
        key, old = _key(shapes), buffers
        if buffers.session is not self.session or self._buffers.get(key) is buffers:
            return  # its recordings went with the session, or it is kept already
        if key not in self._buffers:
            self._buffers[key] = buffers
            if len(self._buffers) <= MAX_RECORDINGS:
                return
            _, old = self._buffers.popitem(last=False)
        old.release()
        self._given_up += bool(self.records)
        if self._given_up > MAX_GIVEN_UP:
            self._open()

    def _open(self) -> None:
        file = self.info.files["onnx"]
        path, data = self._bundle.path(file), [self._bundle.path(name) for name in self.info.data]
        self._buffers.clear()
        self._given_up = 0
        options = {"enable_cuda_graph": "1"} if self.records else {}
        try:
            self.session = onnxruntime_session(str(path), self.backend, options, data)
        except Exception as error:  # onnxruntime raises many kinds of its own
            if self.records:
                self.without_recording(first_line(error))
                return
            raise BackendError(
                f"{self._bundle.folder / file}: {self.backend.name} cannot load it: "
                f"{first_line(error)}"
            ) from error
        wanted = self.backend.providers[0][0]
        if wanted not in self.session.get_providers():
            raise BackendError(f"{self._bundle.folder / file}: {wanted} did not start")

    def _make(self, shapes: Shapes) -> Buffers:
        recording = self._next_recording if self.records else 0
        self._next_recording += 2
        dtypes = {tensor.name: DTYPES[tensor.dtype] for tensor in self.info.inputs}
        device = (self._device, self.backend.device_id if self._device != "cpu" else 0)
        return Buffers(self.session, device, shapes, dtypes, self._carried, recording)


def _key(shapes: Shapes) -> tuple[Any, ...]:
    return tuple(sorted(shapes.items()))


class Buffers:
    """Memory of one set of shapes, bound to the session twice: state goes forth and back."""

    def __init__(
        self,
        session: Any,
        device: tuple[str, int],
        shapes: Shapes,
        dtypes: Mapping[str, Any],
        carried: Mapping[str, str],
        recording: int,
    ) -> None:
        """Allocate inputs of these shapes and a second state; recording is 0 for none."""
        import onnxruntime as ort

        self.session = session
        self.recording = recording

        def zeros(name: str) -> Any:
            empty = np.zeros(shapes[name], dtypes[name])
            return ort.OrtValue.ortvalue_from_numpy(empty, *device)

        self.values = {name: zeros(name) for name in shapes}
        """Inputs by name; of the state those of the first turn."""
        other = [zeros(name) for name in carried]
        self._states = ([self.values[name] for name in carried], other)
        self._carried = list(carried)
        self._bindings, self._options = [], []
        for turn in (0, 1):
            binding = session.io_binding()
            for name, value in self.values.items():
                if name not in carried:
                    binding.bind_ortvalue_input(name, value)
            for name, value in zip(carried, self._states[turn], strict=True):
                binding.bind_ortvalue_input(name, value)
            for name, value in zip(carried.values(), self._states[1 - turn], strict=True):
                binding.bind_ortvalue_output(name, value)
            options = ort.RunOptions()
            options.log_severity_level = SILENT
            # The next step is given to the device before this one is done.
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            if recording:
                options.add_run_config_entry("gpu_graph_id", str(recording + turn))
            self._bindings.append(binding)
            self._options.append(options)

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Fill an input; the state's is that of the first turn."""
        self.values[name].update_inplace(np.ascontiguousarray(array))

    def step(self, turn: int) -> None:
        """Run one step from the state of a turn to that of the other."""
        self.session.run_with_iobinding(self._bindings[turn], self._options[turn])

    def wait(self) -> None:
        """Wait until the steps that were given to the device are done."""
        for binding in self._bindings:
            binding.synchronize_outputs()

    def state(self, turn: int) -> Arrays:
        """Return a copy of the state that a turn would read, by the names of inputs."""
        self.wait()
        values = zip(self._carried, self._states[turn], strict=True)
        return {name: np.array(value.numpy()) for name, value in values}

    def release(self) -> None:
        """Give up the recordings, where onnxruntime can."""
        if self.recording and hasattr(self.session, "release_captured_graph"):
            for turn in (0, 1):
                self.session.release_captured_graph(self.recording + turn)


def drive(
    graph: DeviceGraph,
    shapes: Shapes,
    fill: Callable[[Buffers], None],
    before: Callable[[Buffers, int], None] | None,
    count: int,
    every: int = 0,
    seen: Seen | None = None,
) -> Arrays:
    """Run count steps of a graph on its device; return its state, by the names of inputs.

    fill writes the inputs, before what changes at a step. seen is called in the caller's thread
    after every so many steps (0: never); what it raises ends the run. Where the device fails while
    steps are recorded, all is done once more without. BackendError if it fails otherwise.
    """
    device_id = graph.backend.device_id
    while True:
        try:
            return _drive(graph, device_id, shapes, fill, before, count, every, seen)
        except _FailedError as error:
            reason = first_line(error.reason)
            if not error.recorded:
                raise BackendError(
                    f"graph {graph.name} failed on {graph.backend.name}: {reason}"
                ) from error.reason
            on_device(device_id, partial(graph.without_recording, reason))


class _FailedError(Exception):
    """What the device did not do, and whether steps were recorded meanwhile."""

    def __init__(self, reason: Exception, recorded: bool) -> None:
        super().__init__(str(reason))
        self.reason, self.recorded = reason, recorded


def _drive(
    graph: DeviceGraph,
    device_id: int,
    shapes: Shapes,
    fill: Callable[[Buffers], None],
    before: Callable[[Buffers, int], None] | None,
    count: int,
    every: int,
    seen: Seen | None,
) -> Arrays:
    def begin() -> Buffers:
        buffers = graph.take(shapes)
        fill(buffers)
        return buffers

    def steps(start: int, stop: int) -> None:
        for i in range(start, stop):
            if before is not None:
                before(buffers, i)
            buffers.step(i % 2)
        buffers.wait()

    def end() -> Arrays:
        state = buffers.state(count % 2)
        graph.keep(shapes, buffers)
        return state

    def ask(work: Callable[[], Result]) -> Result:
        try:
            return on_device(device_id, work)
        except MotionrtError:
            raise
        except Exception as error:  # onnxruntime raises many kinds of its own
            raise _FailedError(error, recorded) from error

    recorded = graph.records
    buffers = ask(begin)
    recorded = buffers.recording > 0
    size = every if every > 0 and seen is not None else max(count, 1)
    try:
        for start in range(0, count, size):
            stop = min(start + size, count)
            ask(partial(steps, start, stop))
            if seen is not None and every > 0:
                seen(stop, partial(ask, partial(buffers.state, stop % 2)))
        return ask(end)
    except _FailedError:
        raise
    except BaseException:  # who watches ended the run: the buffers are as good as before
        on_device(device_id, partial(graph.keep, shapes, buffers))
        raise
