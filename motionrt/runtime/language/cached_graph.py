"""A graph that is run again and again on what its last run left: keys and values, for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import PROVIDERS, SILENT
from motionrt.runtime.backend.device_thread import on_device
from motionrt.runtime.backend.graph import DTYPES, Arrays, Graph
from motionrt.runtime.backend.onnx_session import OnnxSession
from motionrt.runtime.backend.waiting import interruptible
from motionrt.runtime.bundle.manifest import TensorInfo
from motionrt.runtime.errors import BackendError, InputError

Result = TypeVar("Result")


class CachedGraph:
    """One use of a graph: its state stays where the graph runs, and is never copied through numpy.

    onnxruntime gets it bound: what a run returns is what the next one reads. A graph that something
    else runs gets it as arrays. Not for several threads at once; the graph itself may be shared.
    """

    def __init__(
        self,
        graph: Graph,
        carried: Mapping[str, str],
        sizes: Mapping[str, int],
        *,
        in_place: bool = False,
    ) -> None:
        """Begin with a state of zeros.

        Args:
            graph: of a bundle.
            carried: input -> the output that it becomes in the next run.
            sizes: of the free axes of these inputs, by name.
            in_place: the graph writes its outputs over these inputs, which are as large as
                `resize` makes them. Otherwise the outputs say how large they are.
        """
        self._graph = graph
        self._carried = dict(carried)
        self._in_place = in_place
        self._inputs = {tensor.name: tensor for tensor in graph.info.inputs}
        self._session = graph.onnxruntime if isinstance(graph, OnnxSession) else None
        self._device = ("cpu", 0)
        if (
            isinstance(graph, OnnxSession)
            and PROVIDERS["cuda"] in graph.onnxruntime.get_providers()
        ):
            self._device = ("cuda", graph.backend.device_id)
        self._state: dict[str, Any] = {}
        for name in carried:
            shape = _shape(self._inputs[name], sizes)
            self._state[name] = self._held(np.zeros(shape, DTYPES[self._inputs[name].dtype]))

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str]) -> Arrays:
        """Run the graph on its state; return the named outputs, which are none of the state.

        InputError names an input that is missing or unknown, BackendError says why it failed. A run
        from the main thread can be interrupted; then the state is as it was.
        """
        wanted = set(self._inputs) - set(self._carried)
        if wanted != set(inputs):
            odd = sorted(wanted ^ set(inputs))[0]
            known = "is missing" if odd in wanted else "is unknown"
            raise InputError(f"graph {self._graph.name}: input {odd} {known}")
        if self._session is None:
            return self._run_arrays(inputs, outputs)
        feed = {
            name: np.ascontiguousarray(value, DTYPES[self._inputs[name].dtype])
            for name, value in inputs.items()
        }
        try:
            return self._run_bound(self._session, feed, outputs)
        except Exception as error:  # onnxruntime raises many kinds of its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BackendError(f"graph {self._graph.name} failed: {reason}") from error

    def resize(self, axis: str, size: int) -> None:
        """Make a named axis of the state so long; what is beyond is lost, what is new is zero."""
        for name in self._state:
            axes = self._inputs[name].axes
            if axis not in axes:
                continue
            array = self.state(name)
            place = axes.index(axis)
            shape = (*array.shape[:place], size, *array.shape[place + 1 :])
            kept = (slice(None),) * place + (slice(0, min(size, array.shape[place])),)
            changed = np.zeros(shape, array.dtype)
            changed[kept] = array[kept]
            self._state[name] = self._held(changed)

    def state(self, name: str) -> NDArray[Any]:
        """Return a copy of what an input will be in the next run."""
        value = self._state[name]
        if isinstance(value, np.ndarray):
            return value.copy()
        return self._there(lambda: np.array(value.numpy()))

    def size(self, axis: str) -> int:
        """Return how long a named axis of the state is."""
        for name, value in self._state.items():
            axes = self._inputs[name].axes
            if axis in axes:
                shape = value.shape if isinstance(value, np.ndarray) else value.shape()
                return int(shape[axes.index(axis)])
        raise ValueError(f"no axis {axis}")

    def _held(self, array: NDArray[Any]) -> Any:
        """Put an array where the graph runs."""
        if self._session is None:
            return array
        import onnxruntime as ort

        # On the CPU this keeps the array's own memory, and holds the array.
        return self._there(lambda: ort.OrtValue.ortvalue_from_numpy(array, *self._device))

    def _there(self, work: Callable[[], Result]) -> Result:
        """Do what touches a GPU's memory in the thread of that GPU."""
        return on_device(self._device[1], work) if self._device[0] == "cuda" else work()

    def _run_arrays(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str]) -> Arrays:
        found = self._graph.run({**inputs, **self._state}, [*outputs, *self._carried.values()])
        self._state = {name: found.pop(output) for name, output in self._carried.items()}
        return found

    def _run_bound(self, session: Any, feed: Arrays, outputs: Sequence[str]) -> Arrays:
        import onnxruntime as ort

        options = ort.RunOptions()
        options.log_severity_level = SILENT
        if self._device[0] == "cuda":
            return self._there(lambda: self._run_once(session, feed, outputs, options))
        return interruptible(
            lambda: self._run_once(session, feed, outputs, options),
            lambda: setattr(options, "terminate", True),  # the graph ends at its next node
        )

    def _run_once(self, session: Any, feed: Arrays, outputs: Sequence[str], options: Any) -> Arrays:
        binding = session.io_binding()
        for name, array in feed.items():
            binding.bind_cpu_input(name, array)
        for name, value in self._state.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cpu")
        for name, output in self._carried.items():
            if self._in_place:
                binding.bind_ortvalue_output(output, self._state[name])
            else:
                binding.bind_output(output, *self._device)
        session.run_with_iobinding(binding, options)
        values = binding.get_outputs()
        if not self._in_place:
            self._state = dict(zip(self._carried, values[len(outputs) :], strict=True))
        return {
            name: np.array(value.numpy())
            for name, value in zip(outputs, values[: len(outputs)], strict=True)
        }


def _shape(tensor: TensorInfo, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in tensor.axes)
