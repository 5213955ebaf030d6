"""Open a graph of a bundle in the way that suits the backend."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from motionrt.runtime.backend.backends import ENGINE_MODULES, Backend
from motionrt.runtime.backend.engine_loop import EngineLoop
from motionrt.runtime.backend.engines import has_engine
from motionrt.runtime.backend.graph import Graph, find_graph, find_loop
from motionrt.runtime.backend.onnx_session import OnnxSession, refused
from motionrt.runtime.backend.prepared_loop import PreparedLoop
from motionrt.runtime.backend.step_driver import StepDriver, drives
from motionrt.runtime.backend.tensorrt_session import TensorRTSession
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BackendError, one_line


def open_graph(bundle: Bundle, name: str, backend: Backend) -> Graph:
    """Load a graph; this function alone chooses what runs it.

    On CUDA a compiled loop is replaced by its form for CUDA, or by its step graph, with the state
    kept on the device; the latter too where onnxruntime would refuse its weights because they are
    links, or where the bundle leaves the loop to who runs it. A graph in dynamic int8, which CUDA
    has no kernels for, is refused there. On an engine backend a loop is driven over the engine of
    its step, if it has none of its own, and a graph without one, where others have one, runs on the
    CPU: ``runs_on`` says so. BundleError if there is no such graph, BackendError if it cannot be
    loaded or if no graph has an engine for this device.
    """
    if backend.name in ENGINE_MODULES and has_engine(bundle, name, backend):
        return TensorRTSession(bundle, name, backend)
    loop = find_loop(bundle, name)
    if backend.name in ENGINE_MODULES and loop is not None and loop.loop is not None:
        if has_engine(bundle, loop.loop.step, backend):
            return EngineLoop(bundle, name, backend)
    if backend.name == "cuda":
        refuse_unfit(bundle, name, loop or find_graph(bundle, name, "onnx"))
        if loop is not None and loop.loop is not None and "cuda" in loop.loop.forms:
            return PreparedLoop(bundle, name, backend)
        if loop is not None and drives(loop):
            return StepDriver(bundle, name, backend)
    if loop is not None and (not loop.files or refused(map(bundle.path, loop.data))):
        return StepDriver(bundle, name, backend, device="cpu", bucket_frames=1, record=False)
    return _shared(bundle, name, backend)


_ROUNDS_ACTIVATIONS = b"DynamicQuantizeLinear"
"""The operator, as a graph's file names it."""


def refuse_unfit(bundle: Bundle, name: str, info: GraphInfo) -> None:
    """Raise BackendError for a graph that would run on the CPU for the most part.

    Dynamic int8 is: activations are rounded by an operator without a CUDA kernel. Language models
    in int8 round weights alone.
    """
    if info.precision != "int8":
        return
    files = info.files
    if info.loop is not None and "onnx" not in files:
        files = find_graph(bundle, info.loop.step, "onnx").files
    if _ROUNDS_ACTIVATIONS in bundle.path(files["onnx"]).read_bytes():
        family, source = bundle.manifest.family, bundle.manifest.provenance.get("source", "…")
        raise BackendError(
            f"{bundle.folder}: {name} is in int8, which CUDA has no kernels for; export it again "
            f"with: motionrt export {family.replace('_', '-')} {one_line(source)} "
            "--precision fp16 … (or use --backend cpu)"
        )


def _shared(bundle: Bundle, name: str, backend: Backend) -> OnnxSession:
    """Load a graph, or take it from another pipeline of this process that has it loaded.

    So two pipelines of one bundle hold its (packed) weights once. The same graph is one with the
    same files, by their hashes, on the same backend.
    """
    info = find_graph(bundle, name, "onnx")
    hashes = tuple(bundle.manifest.files[file].sha256 for file in (info.files["onnx"], *info.data))
    key = (str(bundle.folder.resolve()), name, hashes, backend.told, backend.threads)
    with _lock:
        session = _sessions.get(key)
        if session is None:
            session = _sessions[key] = OnnxSession(bundle, name, backend)
        return session


_Key = tuple[str, str, tuple[str, ...], str, int]
_sessions: WeakValueDictionary[_Key, OnnxSession] = WeakValueDictionary()
_lock = threading.Lock()
