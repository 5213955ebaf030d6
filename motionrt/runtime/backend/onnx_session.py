"""One graph of a bundle, ready to run."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import ENGINE_MODULES, PROVIDERS, Backend
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BackendError, BundleError, InputError

DTYPES: dict[str, type[Any]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "bool": np.bool_,
}
"""Element types of tensors by their names in a manifest."""
CPU_CONFIG = {
    # onnxruntime's fused Add + LayerNormalization is nine times slower on CPUs than the two apart
    # (1.31: 1.97 ms against 0.22 ms for 404 rows of 1024): 8 % of a step in fp32, 18 % in int8.
    "optimization.disable_specified_optimizers": "SkipLayerNormFusion",
    # Threads that wait for the next call leave the processor to others.
    "session.force_spinning_stop": "1",
}
"""onnxruntime's session settings on the CPU."""


class Session:
    """A graph loaded on a backend. Safe to run from several threads."""

    def __init__(self, bundle: Bundle, name: str, backend: Backend) -> None:
        """Load a graph, its files compared with their hashes meanwhile.

        BundleError if the bundle has no such graph or it is damaged, BackendError if the backend
        refuses it.
        """
        self.name = name
        self.info = find_graph(bundle, name, "onnx")
        self.backend = backend
        path = bundle.path(self.info.files["onnx"])
        with ThreadPoolExecutor(max_workers=1) as pool:
            hashes = pool.submit(bundle.check_hashes, (path.name, *self.info.data))
            try:
                self._session = onnxruntime_session(str(path), backend)
            except Exception as error:  # onnxruntime raises many kinds of its own
                hashes.result()  # a damaged file is the better explanation
                reason = str(error).splitlines()[0]
                raise BackendError(f"{path}: {backend.name} cannot load it: {reason}") from error
            hashes.result()
        wanted = backend.providers[0][0]
        if wanted not in self._session.get_providers():
            raise BackendError(
                f"{path}: {wanted} did not start (are its libraries installed?); "
                "choose another backend"
            )

    @property
    def runs_on(self) -> str:
        """What really runs the graph."""
        providers = self._session.get_providers()
        return next((name for name, key in PROVIDERS.items() if key == providers[0]), providers[0])

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the graph; returns the named outputs, or all.

        Inputs are converted to the graph's dtypes; InputError names one that is missing, unknown
        or of another shape.
        """
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        try:
            results = self._session.run(wanted, feed)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BackendError(
                f"graph {self.name} failed on {self.backend.name}: {reason}"
            ) from error
        return dict(zip(wanted, results, strict=True))

    @property
    def onnxruntime(self) -> Any:
        """The ``onnxruntime.InferenceSession``."""
        return self._session


def open_session(bundle: Bundle, name: str, backend: Backend) -> Any:
    """Load a graph in the way that suits the backend; all of them run like a ``Session``.

    On CUDA the compiled loop is replaced by the step graph with its state kept on the device. On an
    engine backend a graph without an engine, where others have one, runs on the CPU: ``runs_on``
    says so. BackendError if no graph has an engine for this device.
    """
    if backend.name in ENGINE_MODULES:
        from motionrt.runtime.backend.tensorrt_session import TensorRTSession, has_engine

        if has_engine(bundle, name, backend):
            return TensorRTSession(bundle, name, backend)
        return _shared(bundle, name, backend)
    if backend.name == "cuda" and name == "sampler" and "step" in bundle.manifest.graphs:
        from motionrt.runtime.backend.step_driver import StepDriver, drives

        if drives(bundle.manifest):
            return StepDriver(bundle, backend)
    return _shared(bundle, name, backend)


def _shared(bundle: Bundle, name: str, backend: Backend) -> Session:
    """Load a graph, or take it from another pipeline of this process that has it loaded.

    So two pipelines of one bundle hold its (packed) weights once. The same graph is one with the
    same files, by their hashes, on the same backend.
    """
    info = find_graph(bundle, name, "onnx")
    hashes = tuple(bundle.manifest.files[file].sha256 for file in (info.files["onnx"], *info.data))
    key = (str(bundle.folder.resolve()), name, hashes, backend.name, backend.threads)
    with _sessions_lock:
        session = _sessions.get(key)
        if session is None:
            session = _sessions[key] = Session(bundle, name, backend)
        return session


_sessions: WeakValueDictionary[tuple[Any, ...], Session] = WeakValueDictionary()
_sessions_lock = threading.Lock()


def onnxruntime_session(
    path: str, backend: Backend, provider_options: Mapping[str, str] | None = None
) -> Any:
    """Load an ONNX file with the settings of a backend."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    if backend.threads:
        options.intra_op_num_threads = backend.threads
    if backend.providers[0][0] == PROVIDERS["cpu"]:
        for key, value in CPU_CONFIG.items():
            options.add_session_config_entry(key, value)
    providers = [(name, dict(settings)) for name, settings in backend.providers]
    providers[0][1].update(provider_options or {})
    return ort.InferenceSession(path, options, providers=providers)


def find_graph(bundle: Bundle, name: str, kind: str) -> GraphInfo:
    """Return a graph that the bundle holds as a kind of file; BundleError if it does not."""
    graph = bundle.manifest.graphs.get(name)
    if graph is None or kind not in graph.files:
        held = ", ".join(bundle.manifest.graphs) or "none"
        raise BundleError(f"{bundle.folder}: no graph {name} in this bundle (it has: {held})")
    return graph


def check_outputs(name: str, info: GraphInfo, outputs: Iterable[str] | None) -> list[str]:
    """Return the outputs that are asked for; InputError names one that the graph lacks."""
    names = [tensor.name for tensor in info.outputs]
    wanted = list(outputs) if outputs is not None else names
    for output in wanted:
        if output not in names:
            raise InputError(f"graph {name}: no output {output} (it has {', '.join(names)})")
    return wanted


def check_inputs(
    name: str, info: GraphInfo, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Convert inputs to the graph's dtypes; InputError names one that does not fit."""
    feed = {}
    sizes: dict[str, int] = {}
    for tensor in info.inputs:
        if tensor.name not in inputs:
            raise InputError(f"graph {name}: input {tensor.name} is missing")
        array = np.ascontiguousarray(inputs[tensor.name], dtype=DTYPES[tensor.dtype])
        # ascontiguousarray makes a scalar one-dimensional.
        array = array.reshape(np.shape(inputs[tensor.name]))
        fits = array.ndim == len(tensor.axes)
        size: int
        for axis, size in zip(tensor.axes, array.shape, strict=False):
            wanted = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
            fits = fits and size == wanted
        if not fits:
            raise InputError(
                f"graph {name}: input {tensor.name} has shape {array.shape}, "
                f"should be ({', '.join(str(sizes.get(str(a), a)) for a in tensor.axes)})"
            )
        feed[tensor.name] = array
    if unknown := set(inputs) - set(feed):
        raise InputError(f"graph {name}: no input {sorted(unknown)[0]}")
    return feed
