from __future__ import annotations

import ctypes
from typing import Any

import pytest
from fake_tensorrt import FakeCudart

from motionrt.runtime.backend.cuda import CudaRuntime
from motionrt.runtime.errors import BackendError


def test_cuda_errors_are_ours() -> None:
    assert CudaRuntime(FakeCudart()).device().sm == "89"
    library = FakeCudart()
    library.cudaMalloc = lambda *arguments: 2  # type: ignore[method-assign]
    with pytest.raises(BackendError, match=r"cudaMalloc: out of memory \(CUDA error 2\)"):
        CudaRuntime(library).allocate(10)


def test_no_device_is_told() -> None:
    class Empty(FakeCudart):
        def cudaGetDeviceCount(self, count: Any) -> int:
            count._obj.value = 0
            return 0

    with pytest.raises(BackendError, match="no CUDA device here"):
        CudaRuntime(Empty()).device()


def test_what_is_copied_there_comes_back_and_memory_is_given_back() -> None:
    library = FakeCudart()
    cuda = CudaRuntime(library)
    sent, got = ctypes.create_string_buffer(b"walk"), ctypes.create_string_buffer(5)
    stream, address = cuda.create_stream(), cuda.allocate(5)
    cuda.to_device(address, ctypes.addressof(sent), 5, stream)
    cuda.to_host(ctypes.addressof(got), address, 5, stream)
    cuda.synchronize(stream)
    assert got.value == b"walk"
    cuda.free(address)
    cuda.destroy_stream(stream)
    assert not library.blocks and not library.streams
