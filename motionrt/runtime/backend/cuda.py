"""The CUDA runtime, as far as engines need it: a device, memory, copies, a stream.

Called through ctypes: the library comes with the GPU's packages or with the toolkit, and nothing
has to be compiled.
"""

from __future__ import annotations

import ctypes
import glob
import site
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from motionrt.runtime.errors import BackendError

LIBRARY_NAMES = (
    ("cudart64_13.dll", "cudart64_12.dll")
    if sys.platform == "win32"
    else ("libcudart.so", "libcudart.so.13", "libcudart.so.12")
)
_MAJOR, _MINOR = 75, 76  # cudaDevAttrComputeCapabilityMajor and -Minor
_TO_DEVICE, _TO_HOST, _WITHIN_DEVICE = 1, 2, 3  # cudaMemcpyKind
_THREAD_LOCAL = 1  # cudaStreamCaptureMode: other threads go on as they do


@dataclass(frozen=True)
class CudaDevice:
    """A GPU."""

    name: str
    sm: str
    """Compute capability without its point: 89 is 8.9."""


class CudaRuntime:
    """The functions that engines need; every failure is a BackendError."""

    def __init__(self, library: Any) -> None:
        """Take the loaded library, or an object that has its functions."""
        self._library = library

    def device(self) -> CudaDevice:
        """Return the current GPU."""
        count = c_int()
        self._call("cudaGetDeviceCount", byref(count))
        if not count.value:
            raise BackendError("no CUDA device here")
        index, major, minor = c_int(), c_int(), c_int()
        self._call("cudaGetDevice", byref(index))
        self._call("cudaDeviceGetAttribute", byref(major), _MAJOR, index)
        self._call("cudaDeviceGetAttribute", byref(minor), _MINOR, index)
        return CudaDevice(f"CUDA device {index.value}", f"{major.value}{minor.value}")

    def allocate(self, num_bytes: int) -> int:
        """Return the address of memory on the GPU."""
        address = c_void_p()
        self._call("cudaMalloc", byref(address), c_size_t(max(num_bytes, 1)))
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cudaFree", c_void_p(address))

    def to_device(self, address: int, source: int, num_bytes: int, stream: int) -> None:
        """Copy host memory to the GPU, in the order of the stream."""
        self._copy(address, source, num_bytes, _TO_DEVICE, stream)

    def to_host(self, target: int, address: int, num_bytes: int, stream: int) -> None:
        """Copy GPU memory to the host, in the order of the stream."""
        self._copy(target, address, num_bytes, _TO_HOST, stream)

    def within_device(self, target: int, address: int, num_bytes: int, stream: int) -> None:
        """Copy from one place of the GPU to another, in the order of the stream."""
        self._copy(target, address, num_bytes, _WITHIN_DEVICE, stream)

    def allocate_pinned(self, num_bytes: int) -> int:
        """Return the address of host memory that stays where it is: copies need no detour."""
        address = c_void_p()
        self._call("cudaMallocHost", byref(address), c_size_t(max(num_bytes, 1)))
        return int(address.value or 0)

    def free_pinned(self, address: int) -> None:
        """Give pinned memory back."""
        self._call("cudaFreeHost", c_void_p(address))

    def begin_recording(self, stream: int) -> None:
        """Note down what this thread gives to a stream from now on, instead of doing it."""
        self._call("cudaStreamBeginCapture", c_void_p(stream), c_int(_THREAD_LOCAL))

    def end_recording(self, stream: int) -> int:
        """Return what was noted down, ready to be replayed."""
        graph, recording = c_void_p(), c_void_p()
        self._call("cudaStreamEndCapture", c_void_p(stream), byref(graph))
        try:
            # CUDA 11's five arguments and the three since agree where the last are zero.
            self._call(
                "cudaGraphInstantiate", byref(recording), graph, c_void_p(), c_void_p(), c_size_t()
            )
        finally:
            self._call("cudaGraphDestroy", graph)
        return int(recording.value or 0)

    def replay(self, recording: int, stream: int) -> None:
        """Give a stream what was recorded."""
        self._call("cudaGraphLaunch", c_void_p(recording), c_void_p(stream))

    def free_recording(self, recording: int) -> None:
        """Give a recording back."""
        self._call("cudaGraphExecDestroy", c_void_p(recording))

    def create_stream(self) -> int:
        """Return a new stream."""
        stream = c_void_p()
        self._call("cudaStreamCreate", byref(stream))
        return int(stream.value or 0)

    def destroy_stream(self, stream: int) -> None:
        """Give a stream back."""
        self._call("cudaStreamDestroy", c_void_p(stream))

    def synchronize(self, stream: int) -> None:
        """Wait until the stream has done all it was given."""
        self._call("cudaStreamSynchronize", c_void_p(stream))

    def _copy(self, target: int, source: int, num_bytes: int, kind: int, stream: int) -> None:
        self._call(
            "cudaMemcpyAsync",
            c_void_p(target),
            c_void_p(source),
            c_size_t(num_bytes),
            c_int(kind),
            c_void_p(stream),
        )

    def _call(self, function: str, *arguments: Any) -> None:
        code = int(getattr(self._library, function)(*arguments))
        if code:
            describe = self._library.cudaGetErrorString
            describe.restype = c_char_p
            text = describe(code) or b"unknown error"
            raise BackendError(f"{function}: {text.decode()} (CUDA error {code})")


@lru_cache(maxsize=1)
def load_runtime() -> CudaRuntime:
    """Load the CUDA runtime library; BackendError if there is none."""
    packages = [*site.getsitepackages(), site.getusersitepackages()]
    found = [
        path
        for folder in packages
        for path in sorted(glob.glob(str(Path(folder) / "nvidia" / "*" / "lib" / "libcudart.so*")))
    ]
    for name in (*LIBRARY_NAMES, *found):
        try:
            return CudaRuntime(ctypes.CDLL(name))
        except OSError:
            continue
    raise BackendError("no CUDA runtime library (libcudart) found; install the GPU's packages")


def find_device() -> CudaDevice:
    """Return the GPU that engines would run on; BackendError if there is none."""
    return load_runtime().device()
