"""Engines without a GPU: TensorRT and CUDA are stand-ins, onnxruntime does the numbers."""

from __future__ import annotations

import ctypes
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from msgspec import structs
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.cuda import CudaDevice, CudaRuntime
from motionrt.runtime.backend.engines import EngineInfo, EngineSet
from motionrt.runtime.backend.tensorrt_session import TensorRTSession
from motionrt.runtime.bundle.manifest import Bundle, FileInfo, sha256

TARGET = "tensorrt-rtx-sm89"
BACKEND = Backend("tensorrt-rtx", (("CPUExecutionProvider", {}),), 1, CudaDevice("a GPU", "89"))
DTYPES = {"tensor(float)": np.float32, "tensor(bool)": np.bool_, "tensor(int64)": np.int64}


class FakeCudart:
    """libcudart over host memory, with what is allocated and not given back."""

    def __init__(self, failing: str = "") -> None:
        self.blocks: dict[int, Any] = {}
        self.streams = 0
        self.noted: list[Any] = []
        self.recordings: dict[int, list[Any]] = {}
        self.replayed = self.freed_recordings = 0
        self.failing = failing

    def __getattr__(self, name: str) -> Any:
        if name == self.failing:
            return lambda *arguments: 2
        raise AttributeError(name)

    def cudaGetDeviceCount(self, count: Any) -> int:
        count._obj.value = 1
        return 0

    def cudaGetDevice(self, index: Any) -> int:
        index._obj.value = 0
        return 0

    def cudaDeviceGetAttribute(self, value: Any, attribute: int, index: Any) -> int:
        value._obj.value = {75: 8, 76: 9}[attribute]
        return 0

    def cudaMalloc(self, address: Any, size: Any) -> int:
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self.blocks[address._obj.value] = block
        return 0

    def cudaFree(self, address: Any) -> int:
        del self.blocks[address.value]
        return 0

    def cudaMemcpyAsync(self, target: Any, source: Any, size: Any, kind: Any, stream: Any) -> int:
        ctypes.memmove(target, source, size.value)
        return 0

    def cudaMallocHost(self, address: Any, size: Any) -> int:
        return self.cudaMalloc(address, size)

    def cudaFreeHost(self, address: Any) -> int:
        return self.cudaFree(address)

    def cudaStreamBeginCapture(self, stream: Any, mode: Any) -> int:
        self.noted = []
        FakeContext.library = self
        return 0

    def cudaStreamEndCapture(self, stream: Any, graph: Any) -> int:
        graph._obj.value = 1
        FakeContext.library = None
        return 0

    def cudaGraphInstantiate(self, recording: Any, graph: Any, *rest: Any) -> int:
        recording._obj.value = 100 + len(self.recordings)
        self.recordings[recording._obj.value] = self.noted
        return 0

    def cudaGraphDestroy(self, graph: Any) -> int:
        return 0

    def cudaGraphLaunch(self, recording: Any, stream: Any) -> int:
        self.replayed += 1
        for work in self.recordings[recording.value]:
            work()
        return 0

    def cudaGraphExecDestroy(self, recording: Any) -> int:
        self.recordings[recording.value] = []
        self.freed_recordings += 1
        return 0

    def cudaStreamCreate(self, stream: Any) -> int:
        self.streams += 1
        stream._obj.value = 7
        return 0

    def cudaStreamDestroy(self, stream: Any) -> int:
        self.streams -= 1
        return 0

    def cudaStreamSynchronize(self, stream: Any) -> int:
        return 0

    class cudaGetErrorString:
        restype: Any = None

        def __new__(cls, code: int) -> bytes:  # type: ignore[misc]
            return b"out of memory"


class FakeContext:
    library: Any = None
    """What notes down what is given to it, if anything does."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if FakeContext.library is not None:
            FakeContext.library.noted.append(self._execute)
        else:
            self._execute()
        return True

    def _execute(self) -> None:
        feed = {}
        for tensor in self.session.get_inputs():
            array: NDArray[Any] = np.zeros(self.shapes[tensor.name], DTYPES[tensor.type])
            ctypes.memmove(array.ctypes.data, self.addresses[tensor.name], array.nbytes)
            feed[tensor.name] = array
        names = [tensor.name for tensor in self.session.get_outputs()]
        for name, array in zip(names, self.session.run(names, feed), strict=True):
            ctypes.memmove(self.addresses[name], array.ctypes.data, array.nbytes)


class FakeCache:
    """What was compiled for the GPU: here the shapes that were run."""

    def __init__(self) -> None:
        self.content = b""

    def deserialize(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class FakeConfig:
    """Settings of a context, as TensorRT for RTX has them."""

    cache: FakeCache

    def create_runtime_cache(self) -> FakeCache:
        return FakeCache()

    def set_runtime_cache(self, cache: FakeCache) -> None:
        self.cache = cache


class CompilingContext(FakeContext):
    """A context that compiles for each new shape."""

    def __init__(self, path: Path, config: FakeConfig) -> None:
        super().__init__(path)
        self.cache = config.cache

    def execute_async_v3(self, stream: int) -> bool:
        compiled = f"{sorted(self.shapes.items())};".encode()
        if compiled not in self.cache.content:
            self.cache.content += compiled
        return super().execute_async_v3(stream)


class FakeTensorRT:
    __version__ = "1.7.1.116"

    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            pass

    class Runtime:
        def __init__(self, logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, content: bytes) -> Any:
            if not content.startswith(b"engine of "):
                return None
            path = Path(content.decode().removeprefix("engine of "))

            class Engine:
                def create_execution_context(self) -> FakeContext:
                    return FakeContext(path)

            return Engine()


class FakeTensorRTForRTX(FakeTensorRT):
    """That which compiles kernels at first use."""

    class Runtime(FakeTensorRT.Runtime):
        def deserialize_cuda_engine(self, content: bytes) -> Any:
            path = Path(content.decode().removeprefix("engine of "))

            class Engine:
                def create_runtime_config(self) -> FakeConfig:
                    return FakeConfig()

                def create_execution_context(self, config: FakeConfig) -> FakeContext:
                    return CompilingContext(path, config)

            return Engine()


def add_engine(folder: Path, name: str = "decoder", **changes: Any) -> Bundle:
    """Put a stand-in for the engine of a graph, the decoder's or the step's, into a bundle."""
    bundle = Bundle(folder)
    manifest = bundle.manifest
    graph = manifest.graphs[name]
    tensor = graph.inputs[0]
    width = int(tensor.axes[-1])
    sources = (graph.files["onnx"], *graph.data)
    info = EngineInfo(
        file=f"{name}.engine",
        onnx={file: manifest.files[file].sha256 for file in sources},
        precision="fp32",
        profile={tensor.name: ((1, 2, width), (1, 8, width), (2, 16, width))},
    )
    engines = EngineSet("tensorrt-rtx", "89", "1.7.1.116", 16, {name: info})
    place = folder / "engines" / TARGET
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.engine").write_text(f"engine of {folder / graph.files['onnx']}")
    document = replace(engines, **changes).to_dict()
    (place / "engine.json").write_text(json.dumps(document))
    files = {
        f"engines/{TARGET}/{path.name}": FileInfo(path.stat().st_size, sha256(path))
        for path in place.iterdir()
    }
    kinds = {**graph.files, TARGET: f"engines/{TARGET}/{name}.engine"}
    graphs = {**manifest.graphs, name: structs.replace(graph, files=kinds)}
    structs.replace(manifest, graphs=graphs, files={**manifest.files, **files}).write(folder)
    return Bundle(folder)


def open_engine(
    bundle: Bundle,
    cudart: FakeCudart | None = None,
    name: str = "decoder",
    module: type[FakeTensorRT] = FakeTensorRT,
) -> TensorRTSession:
    cuda = CudaRuntime(cudart or FakeCudart())
    return TensorRTSession(bundle, name, BACKEND, module, cuda)
