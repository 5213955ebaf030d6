"""A graph as a TensorRT engine: a `Graph`.

``tensorrt`` and ``tensorrt_rtx_bindings`` have one API, so one class runs the engines of both.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from motionrt.runtime.backend.backends import Backend, engine_module
from motionrt.runtime.backend.cuda import CudaRuntime, load_runtime
from motionrt.runtime.backend.engines import (
    check_profile,
    load_engines,
    rebuild_command,
)
from motionrt.runtime.backend.graph import (
    DTYPES,
    Arrays,
    check_inputs,
    check_outputs,
    find_graph,
)
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import BackendError


class TensorRTSession:
    """An engine, loaded. Calls from several threads take turns."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        backend: Backend,
        module: Any = None,
        cuda: CudaRuntime | None = None,
    ) -> None:
        """Load an engine; module and cuda are TensorRT and CUDA, found if not given.

        BackendError with the command that builds it again if it does not fit this machine.
        """
        self.name = name
        self.backend = backend
        self.info = find_graph(bundle, name, backend.engine_target)
        self._trt = module or engine_module(backend.name)
        self._cuda = cuda or load_runtime()
        version = str(self._trt.__version__)
        engines = load_engines(bundle, backend, version)
        self._engine_info = engines.graphs[name]
        self._command = rebuild_command(bundle, backend.name, engines.sm, engines.max_frames)
        file = self.info.files[backend.engine_target]
        bundle.check_hashes([file])
        logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._runtime = self._trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(bundle.path(file).read_bytes())
        if self._engine is None:
            raise BackendError(
                f"{bundle.folder / file}: {backend.name} {version} cannot load it; "
                f"build again with: {self._command}"
            )
        self._context = self._engine.create_execution_context()
        self._stream = self._cuda.create_stream()
        self._memory: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    @property
    def runs_on(self) -> str:
        """What really runs the graph."""
        return f"{self.backend.engine_target}, {self._engine_info.precision}"

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the engine; returns the named outputs, or all.

        InputError names an input that is missing, unknown or of a shape that it was not built for.
        """
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        shapes = {name: array.shape for name, array in feed.items()}
        check_profile(self.name, self._engine_info, shapes, self._command)
        with self._lock:
            return self._run(feed, wanted)

    def _run(self, feed: Arrays, wanted: list[str]) -> Arrays:
        context, cuda, stream = self._context, self._cuda, self._stream
        for name, array in feed.items():
            if not context.set_input_shape(name, array.shape):
                raise BackendError(f"graph {self.name}: input {name} is refused by its engine")
            address = self._address(name, array.nbytes)
            context.set_tensor_address(name, address)
            cuda.to_device(address, array.ctypes.data, array.nbytes, stream)
        results = {}
        sizes = {
            axis: size
            for tensor in self.info.inputs
            for axis, size in zip(tensor.axes, feed[tensor.name].shape, strict=True)
            if isinstance(axis, str)
        }
        for tensor in self.info.outputs:
            shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in tensor.axes)
            result = np.empty(shape, DTYPES[tensor.dtype])
            context.set_tensor_address(tensor.name, self._address(tensor.name, result.nbytes))
            if tensor.name in wanted:
                results[tensor.name] = result
        if not context.execute_async_v3(stream):
            raise BackendError(f"graph {self.name} failed on {self.backend.name}")
        for name, result in results.items():
            cuda.to_host(result.ctypes.data, self._memory[name][0], result.nbytes, stream)
        cuda.synchronize(stream)
        return {name: results[name] for name in wanted}

    def _address(self, name: str, num_bytes: int) -> int:
        """Return the tensor's memory on the GPU, kept from call to call and grown when needed."""
        address, size = self._memory.get(name, (0, 0))
        if size < num_bytes or not address:
            if address:
                self._cuda.free(address)
            address = self._cuda.allocate(num_bytes)
            self._memory[name] = (address, num_bytes)
        return address

    def close(self) -> None:
        """Give back the GPU's memory."""
        with self._lock:
            for address, _ in self._memory.values():
                self._cuda.free(address)
            self._memory.clear()
            if self._stream:
                self._cuda.destroy_stream(self._stream)
                self._stream = 0

    def __del__(self) -> None:
        """Give back the GPU's memory when nobody needs the engine any more."""
        if getattr(self, "_memory", None):
            self.close()
