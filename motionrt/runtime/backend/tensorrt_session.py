"""A graph as a TensorRT engine: a `Graph`.

``tensorrt`` and ``tensorrt_rtx_bindings`` have one API, so one class runs the engines of both.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.backend.backends import Backend, engine_module
from motionrt.runtime.backend.cuda import CudaRuntime, load_runtime
from motionrt.runtime.backend.engines import (
    check_profile,
    held_target,
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
from motionrt.runtime.errors import BackendError, MotionrtError
from motionrt.runtime.files import atomic_file


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
        self._target = held_target(bundle, backend)
        self.info = find_graph(bundle, name, self._target)
        self._trt = module or engine_module(backend.name)
        self.cuda = cuda or load_runtime()
        version = str(self._trt.__version__)
        engines = load_engines(bundle, backend, version)
        self._engine_info = engines.graphs[name]
        limits = engines.max_frames, engines.max_batch
        self._command = rebuild_command(bundle, backend.name, engines.sm, *limits)
        file = self.info.files[self._target]
        bundle.check_hashes([file])
        logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._runtime = self._trt.Runtime(logger)
        self._cache: Any = None
        self._cache_place = bundle.folder / "engines" / self._target / f"{name}.cache"
        self._engine = self._runtime.deserialize_cuda_engine(bundle.path(file).read_bytes())
        if self._engine is None:
            raise BackendError(
                f"{bundle.folder / file}: {backend.name} {version} cannot load it; "
                f"build again with: {self._command}"
            )
        self._context = self.create_context()
        self.stream = self.cuda.create_stream()
        self._memory: dict[str, tuple[int, int]] = {}
        self._pinned: dict[str, tuple[int, int]] = {}
        self.lock = threading.Lock()

    def create_context(self) -> Any:
        """Return what runs the engine for one user, whose shapes and addresses it keeps.

        TensorRT for RTX compiles kernels for the GPU at first use; what it compiled is kept beside
        the engines and read the next time.
        """
        if not hasattr(self._engine, "create_runtime_config"):
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        self._cache = config.create_runtime_cache()
        with contextlib.suppress(OSError):
            self._cache.deserialize(self._cache_place.read_bytes())
        config.set_runtime_cache(self._cache)
        return self._engine.create_execution_context(config)

    def keep_compiled(self) -> None:
        """Write what was compiled beside the engines, unless that place cannot be written."""
        if self._cache is None:
            return
        content = bytes(self._cache.serialize() or b"")
        with contextlib.suppress(OSError, MotionrtError):
            if content and content != (
                self._cache_place.read_bytes() if self._cache_place.is_file() else b""
            ):
                with atomic_file(self._cache_place) as temporary:
                    temporary.write_bytes(content)

    @property
    def runs_on(self) -> str:
        """What really runs the graph."""
        return f"{self._target}, {self._engine_info.precision}"

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the engine; returns the named outputs, or all.

        InputError names an input that is missing, unknown or of a shape that it was not built for.
        """
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        self.check_shapes({name: array.shape for name, array in feed.items()})
        with self.lock:
            return self._run(feed, wanted)

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise InputError for inputs of shapes that the engine was not built for."""
        check_profile(self.name, self._engine_info, shapes, self._command)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array to the GPU by way of pinned memory, and wait until it is there."""
        array = np.ascontiguousarray(array)
        pinned = self._pinned_address("", array.nbytes)
        ctypes.memmove(pinned, array.ctypes.data, array.nbytes)
        self.cuda.to_device(address, pinned, array.nbytes, self.stream)
        self.cuda.synchronize(self.stream)

    def upload_new(self, array: NDArray[Any]) -> int:
        """Copy an array to memory of its own; return its address, which the caller gives back."""
        address = self.cuda.allocate(array.nbytes)
        self.upload(address, array)
        return address

    def download(self, address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a copy of float32 numbers on the GPU."""
        result = np.empty(shape, np.float32)
        pinned = self._pinned_address("", result.nbytes)
        self.cuda.to_host(pinned, address, result.nbytes, self.stream)
        self.cuda.synchronize(self.stream)
        ctypes.memmove(result.ctypes.data, pinned, result.nbytes)
        return result

    def _run(self, feed: Arrays, wanted: list[str]) -> Arrays:
        context, cuda, stream = self._context, self.cuda, self.stream
        for name, array in feed.items():
            if not context.set_input_shape(name, array.shape):
                raise BackendError(f"graph {self.name}: input {name} is refused by its engine")
            address = self._address(name, array.nbytes)
            context.set_tensor_address(name, address)
            pinned = self._pinned_address(name, array.nbytes)
            ctypes.memmove(pinned, array.ctypes.data, array.nbytes)
            cuda.to_device(address, pinned, array.nbytes, stream)
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
            pinned = self._pinned_address(name, result.nbytes)
            cuda.to_host(pinned, self._memory[name][0], result.nbytes, stream)
        cuda.synchronize(stream)
        for name, result in results.items():
            ctypes.memmove(result.ctypes.data, self._pinned[name][0], result.nbytes)
        return {name: results[name] for name in wanted}

    def _address(self, name: str, num_bytes: int) -> int:
        """Return the tensor's memory on the GPU, kept from call to call and grown when needed."""
        address, size = self._memory.get(name, (0, 0))
        if size < num_bytes or not address:
            if address:
                self.cuda.free(address)
            address = self.cuda.allocate(num_bytes)
            self._memory[name] = (address, num_bytes)
        return address

    def _pinned_address(self, name: str, num_bytes: int) -> int:
        """Return host memory that copies of the tensor pass through, kept and grown likewise."""
        address, size = self._pinned.get(name, (0, 0))
        if size < num_bytes or not address:
            if address:
                self.cuda.free_pinned(address)
            address = self.cuda.allocate_pinned(num_bytes)
            self._pinned[name] = (address, num_bytes)
        return address

    def close(self) -> None:
        """Give back the GPU's memory."""
        with self.lock:
            if self.stream:
                self.keep_compiled()
            for address, _ in self._pinned.values():
                self.cuda.free_pinned(address)
            self._pinned.clear()
            for address, _ in self._memory.values():
                self.cuda.free(address)
            self._memory.clear()
            if self.stream:
                self.cuda.destroy_stream(self.stream)
                self.stream = 0

    def __del__(self) -> None:
        """Give back the GPU's memory when nobody needs the engine any more."""
        if getattr(self, "_memory", None):
            self.close()
