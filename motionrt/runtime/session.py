"""One graph of a bundle, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backends import PROVIDERS, Backend
from motionrt.runtime.errors import BackendError, BundleError, InputError
from motionrt.runtime.manifest import Bundle

_DTYPES: dict[str, type[Any]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "bool": np.bool_,
}


class Session:
    """A graph loaded on a backend. Safe to run from several threads."""

    def __init__(self, bundle: Bundle, name: str, backend: Backend) -> None:
        """Load a graph, its files checked against their hashes first.

        BundleError if the bundle has no such graph or it is damaged, BackendError if the backend
        refuses it.
        """
        import onnxruntime as ort

        graph = bundle.manifest.graphs.get(name)
        if graph is None or "onnx" not in graph.files:
            held = ", ".join(bundle.manifest.graphs) or "none"
            raise BundleError(f"{bundle.folder}: no graph {name} in this bundle (it has: {held})")
        self.name = name
        self.info = graph
        self.backend = backend
        bundle.check_hashes((graph.files["onnx"], *graph.data))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if backend.threads:
            options.intra_op_num_threads = backend.threads
        path = bundle.path(graph.files["onnx"])
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=list(backend.providers)
            )
        except Exception as error:  # onnxruntime raises many kinds of its own
            reason = str(error).splitlines()[0]
            raise BackendError(f"{path}: {backend.name} cannot load it: {reason}") from error
        wanted = PROVIDERS[backend.name]
        if wanted not in self._session.get_providers():
            raise BackendError(
                f"{path}: {wanted} did not start (are its libraries installed?); "
                "choose another backend"
            )

    def run(
        self, inputs: dict[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the graph; returns the named outputs, or all.

        Inputs are converted to the graph's dtypes; InputError names one that is missing, unknown
        or of another shape.
        """
        feed = self._check(inputs)
        names = [tensor.name for tensor in self.info.outputs]
        wanted = list(outputs) if outputs is not None else names
        for name in wanted:
            if name not in names:
                raise InputError(f"graph {self.name}: no output {name} (it has {', '.join(names)})")
        try:
            results = self._session.run(wanted, feed)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BackendError(
                f"graph {self.name} failed on {self.backend.name}: {reason}"
            ) from error
        return dict(zip(wanted, results, strict=True))

    def _check(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        feed = {}
        sizes: dict[str, int] = {}
        for tensor in self.info.inputs:
            if tensor.name not in inputs:
                raise InputError(f"graph {self.name}: input {tensor.name} is missing")
            array = np.ascontiguousarray(inputs[tensor.name], dtype=_DTYPES[tensor.dtype])
            # ascontiguousarray makes a scalar one-dimensional.
            array = array.reshape(np.shape(inputs[tensor.name]))
            fits = array.ndim == len(tensor.axes)
            size: int
            for axis, size in zip(tensor.axes, array.shape, strict=False):
                wanted = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
                fits = fits and size == wanted
            if not fits:
                raise InputError(
                    f"graph {self.name}: input {tensor.name} has shape {array.shape}, "
                    f"should be ({', '.join(str(sizes.get(str(a), a)) for a in tensor.axes)})"
                )
            feed[tensor.name] = array
        if unknown := set(inputs) - set(feed):
            raise InputError(f"graph {self.name}: no input {sorted(unknown)[0]}")
        return feed
