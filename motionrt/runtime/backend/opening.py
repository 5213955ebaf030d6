"""Open a graph of a bundle in the way that suits the backend."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from motionrt.runtime.backend.backends import ENGINE_MODULES, Backend
from motionrt.runtime.backend.engines import has_engine
from motionrt.runtime.backend.graph import Graph, find_graph, find_loop
from motionrt.runtime.backend.onnx_session import OnnxSession, refused
from motionrt.runtime.backend.step_driver import StepDriver, drives
from motionrt.runtime.backend.tensorrt_session import TensorRTSession
from motionrt.runtime.bundle.manifest import Bundle


def open_graph(bundle: Bundle, name: str, backend: Backend) -> Graph:
    """Load a graph; this function alone chooses what runs it.

    On CUDA a compiled loop is replaced by its step graph with the state kept on the device, and so
    it is where onnxruntime would refuse its weights because they are links, or where the bundle
    leaves the loop to who runs it. On an
    engine backend a graph without an engine, where others have one, runs on the CPU: ``runs_on``
    says so. BundleError if there is no such graph, BackendError if it cannot be loaded or if no
    graph has an engine for this device.
    """
    if backend.name in ENGINE_MODULES and has_engine(bundle, name, backend):
        return TensorRTSession(bundle, name, backend)
    loop = find_loop(bundle, name)
    if backend.name == "cuda" and loop is not None and drives(loop):
        return StepDriver(bundle, name, backend)
    if loop is not None and (not loop.files or refused(map(bundle.path, loop.data))):
        return StepDriver(bundle, name, backend, device="cpu", bucket_frames=1, record=False)
    return _shared(bundle, name, backend)


def _shared(bundle: Bundle, name: str, backend: Backend) -> OnnxSession:
    """Load a graph, or take it from another pipeline of this process that has it loaded.

    So two pipelines of one bundle hold its (packed) weights once. The same graph is one with the
    same files, by their hashes, on the same backend.
    """
    info = find_graph(bundle, name, "onnx")
    hashes = tuple(bundle.manifest.files[file].sha256 for file in (info.files["onnx"], *info.data))
    key = (str(bundle.folder.resolve()), name, hashes, backend.name, backend.threads)
    with _lock:
        session = _sessions.get(key)
        if session is None:
            session = _sessions[key] = OnnxSession(bundle, name, backend)
        return session


_Key = tuple[str, str, tuple[str, ...], str, int]
_sessions: WeakValueDictionary[_Key, OnnxSession] = WeakValueDictionary()
_lock = threading.Lock()
