"""The sampling loop driven from the host, its state kept on the device.

On a GPU the step graph wins over the compiled loop: nothing waits for the host between steps, and
with buffers that never move the whole step is recorded once as a CUDA graph and replayed. The frame
count is rounded up to a bucket, so that motions of similar length share a recording; frames beyond
a motion's end are masked, as in a batch of different lengths.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import PROVIDERS, Backend
from motionrt.runtime.backend.graph import (
    DTYPES,
    Arrays,
    check_inputs,
    check_outputs,
    find_graph,
    find_loop,
)
from motionrt.runtime.backend.onnx_session import onnxruntime_session
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BackendError, BundleError

BUCKET_FRAMES = 32
MAX_RECORDINGS = 8
"""Sets of buffers that are kept, each with its two recordings."""


def drives(info: GraphInfo) -> bool:
    """Return whether a graph is a loop of the kind that is driven here: with an axis to pad."""
    return info.loop is not None and info.loop.padded_axis is not None


class StepDriver:
    """A compiled loop, run by its step graph: a `Graph`. Calls from several threads take turns."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        backend: Backend,
        *,
        device: str = "cuda",
        bucket_frames: int = BUCKET_FRAMES,
        record: bool = True,
    ) -> None:
        """Load the step graph of a loop; device, as onnxruntime calls it, is where buffers lie.

        bucket_frames: the loop's padded axis is rounded up to a multiple; 1 keeps it. record:
        replay steps as CUDA graphs, as long as the provider takes them. BundleError if the graph
        is no loop.
        """
        self.name = name
        self.backend = backend
        info = find_loop(bundle, name)
        if info is None or info.loop is None:
            raise BundleError(f"{bundle.folder}: graph {name} is no loop over a step")
        self.info: GraphInfo = info
        self._loop = info.loop
        self._step = find_graph(bundle, self._loop.step, "onnx")
        self._device, self._bucket = device, bucket_frames
        self._records = record and PROVIDERS["cuda"] == backend.providers[0][0]
        file = self._step.files["onnx"]
        path = bundle.path(file)
        data = [bundle.path(name) for name in self._step.data]
        bundle.check_hashes((file, *self._step.data))
        options = {"enable_cuda_graph": "1"} if self._records else {}
        try:
            self._session = onnxruntime_session(str(path), backend, options, data)
        except Exception as error:
            if not self._records:
                reason = str(error).splitlines()[0]
                raise BackendError(
                    f"{bundle.folder / file}: {backend.name} cannot load it: {reason}"
                ) from error
            # Part of the graph is not on the GPU, so it cannot be recorded; it still runs.
            self._records = False
            self._session = onnxruntime_session(str(path), backend, data=data)
        if backend.providers[0][0] not in self._session.get_providers():
            raise BackendError(f"{bundle.folder / file}: {backend.providers[0][0]} did not start")
        self._buffers: OrderedDict[tuple[Any, ...], _Buffers] = OrderedDict()
        self._next_recording = 1
        self._lock = threading.Lock()

    @property
    def runs_on(self) -> str:
        """What really runs the loop."""
        return f"{self.backend.name}, step by step" + (", recorded" if self._records else "")

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the loop as the compiled one does: same inputs, same outputs."""
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        steps = {inner: feed.pop(outer) for inner, outer in self._loop.scanned.items()}
        shapes = {state: feed[state].shape for state in self._loop.carried}
        feed = {name: self._padded(name, array) for name, array in feed.items()}
        with self._lock:
            try:
                results = self._run(feed, steps)
            except BackendError:
                raise
            except Exception as error:
                reason = str(error).splitlines()[0]
                raise BackendError(
                    f"graph {self._loop.step} failed on {self.backend.name}: {reason}"
                ) from error
        found = {
            # A copy: on the CPU, where it is tested, onnxruntime gives views of the buffers.
            result: np.array(array[tuple(slice(0, size) for size in shapes[state])], order="C")
            for (state, result), array in zip(self._loop.carried.items(), results, strict=True)
        }
        return {name: found[name] for name in wanted}

    def _run(self, feed: Arrays, steps: Arrays) -> list[NDArray[Any]]:
        shapes = {name: array.shape for name, array in feed.items()}
        shapes.update({name: rows.shape[1:] for name, rows in steps.items()})
        buffers = self._buffers_for(shapes)
        count = len(next(iter(steps.values())))
        for name, array in feed.items():
            buffers.write(name, array)
        for i in range(count):
            for name, rows in steps.items():
                buffers.write(name, rows[i])
            buffers.step(i % 2)
        return buffers.state(count % 2)

    def _buffers_for(self, shapes: Mapping[str, tuple[int, ...]]) -> _Buffers:
        key = tuple(sorted(shapes.items()))
        if key in self._buffers:
            self._buffers.move_to_end(key)
            return self._buffers[key]
        if len(self._buffers) >= MAX_RECORDINGS:
            self._buffers.popitem(last=False)
        recording = self._next_recording if self._records else 0
        self._next_recording += 2
        dtypes = {tensor.name: DTYPES[tensor.dtype] for tensor in self._step.inputs}
        carried = self._loop.carried
        made = _Buffers(self._session, self._device, shapes, dtypes, carried, recording)
        self._buffers[key] = made
        return made

    def _padded(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Round an array's padded axis up to the bucket: zeros, False in a mask."""
        axes = next(tensor.axes for tensor in self._step.inputs if tensor.name == name)
        if self._loop.padded_axis not in axes:
            return array
        axis = axes.index(self._loop.padded_axis)
        missing = -array.shape[axis] % self._bucket
        if not missing:
            return array
        return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])


class _Buffers:
    """Memory of one set of shapes, bound to the session twice: state goes forth and back."""

    def __init__(
        self,
        session: Any,
        device: str,
        shapes: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, Any],
        carried: Mapping[str, str],
        recording: int,
    ) -> None:
        import onnxruntime as ort

        self._session = session
        self._values = {
            name: ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtypes[name]), device, 0)
            for name, shape in shapes.items()
        }
        other = {
            name: ort.OrtValue.ortvalue_from_numpy(np.zeros(shapes[name], dtypes[name]), device, 0)
            for name in carried
        }
        self._states = ([self._values[name] for name in carried], list(other.values()))
        self._bindings, self._options = [], []
        for turn in (0, 1):
            binding = session.io_binding()
            for name, value in self._values.items():
                if name not in carried:
                    binding.bind_ortvalue_input(name, value)
            for name, value in zip(carried, self._states[turn], strict=True):
                binding.bind_ortvalue_input(name, value)
            for name, value in zip(carried.values(), self._states[1 - turn], strict=True):
                binding.bind_ortvalue_output(name, value)
            options = ort.RunOptions()
            if recording:
                options.add_run_config_entry("gpu_graph_id", str(recording + turn))
            self._bindings.append(binding)
            self._options.append(options)

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Fill an input; the state's is that of the first turn."""
        self._values[name].update_inplace(np.ascontiguousarray(array))

    def step(self, turn: int) -> None:
        """Run one step from the state of a turn to that of the other."""
        self._session.run_with_iobinding(self._bindings[turn], self._options[turn])

    def state(self, turn: int) -> list[NDArray[Any]]:
        """Return the state that a turn would read."""
        return [value.numpy() for value in self._states[turn]]
