"""What every graph looks like from outside, whatever runs it; and the checks that all of them make.

onnxruntime (``onnx_session``), the loop driven step by step (``step_driver``, ``prepared_loop``)
and TensorRT (``tensorrt_session``) each implement `Graph`; ``opening.open_graph`` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BundleError, InputError

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Tensors by name."""

DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int32": np.int32,
    "int64": np.int64,
    "bool": np.bool_,
}
"""Element types of tensors by their names in a manifest."""


class Graph(Protocol):
    """One graph of a bundle, ready to run. Safe to run from several threads."""

    @property
    def name(self) -> str:
        """Its name in the bundle."""

    @property
    def info(self) -> GraphInfo:
        """What the manifest says of it."""

    @property
    def runs_on(self) -> str:
        """What really runs it, in a few words."""

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run it once; returns the named outputs, or all.

        Inputs are converted to the graph's dtypes. InputError names one that is missing, unknown
        or of another shape, BackendError says why the graph failed.
        """


Seen: TypeAlias = Callable[[int, Callable[[], Arrays]], None]
"""Told of (steps done, what returns a copy of the state) between the steps of a loop."""


@runtime_checkable
class Watched(Graph, Protocol):
    """A loop whose state stays on the device, and that can be looked at meanwhile."""

    def run_watched(
        self,
        inputs: Mapping[str, ArrayLike],
        every: int,
        seen: Seen | None,
        outputs: Sequence[str] | None = None,
    ) -> Arrays:
        """Run as ``run`` does; after every so many steps (0: never) seen is called.

        It is called in the caller's thread; what it raises ends the run. The state is named as the
        loop's outputs are.
        """


def renaming(seen: Seen, named: Callable[[Arrays], Arrays]) -> Seen:
    """Return a listener that gets the state as named gives it."""
    return lambda done, state: seen(done, lambda: named(state()))


def find_graph(bundle: Bundle, name: str, kind: str) -> GraphInfo:
    """Return a graph that the bundle holds as a kind of file; BundleError if it does not."""
    graph = bundle.manifest.graphs.get(name)
    if graph is not None and graph.loop is not None and not graph.files:
        raise BundleError(
            f"{bundle.folder}: the loop {name} is none in this bundle, which was made for what "
            f"iterates {graph.loop.step} itself; take the bundle that it was lowered from"
        )
    if graph is None or kind not in graph.files:
        held = ", ".join(bundle.manifest.graphs) or "none"
        raise BundleError(f"{bundle.folder}: no graph {name} in this bundle (it has: {held})")
    return graph


def find_loop(bundle: Bundle, name: str) -> GraphInfo | None:
    """Return a loop by its name, whether it is compiled or its step alone is there; else None."""
    graph = bundle.manifest.graphs.get(name)
    return graph if graph is not None and graph.loop is not None else None


def check_outputs(name: str, info: GraphInfo, outputs: Iterable[str] | None) -> list[str]:
    """Return the outputs that are asked for; InputError names one that the graph lacks."""
    names = [tensor.name for tensor in info.outputs]
    wanted = list(outputs) if outputs is not None else names
    for output in wanted:
        if output not in names:
            raise InputError(f"graph {name}: no output {output} (it has {', '.join(names)})")
    return wanted


def check_results(name: str, info: GraphInfo, results: Arrays) -> Arrays:
    """Return what a graph gave; BundleError if it is not what the manifest says of it."""
    for tensor in info.outputs:
        array = results.get(tensor.name)
        if array is None:
            continue
        sizes = zip(tensor.axes, array.shape, strict=False)
        wrong = any(isinstance(axis, int) and axis != size for axis, size in sizes)
        if wrong or array.ndim != len(tensor.axes):
            axes = ", ".join(map(str, tensor.axes))
            raise BundleError(
                f"graph {name}: output {tensor.name} has shape {array.shape}, the manifest says "
                f"({axes}); export the bundle again"
            )
    return results


def check_inputs(name: str, info: GraphInfo, inputs: Mapping[str, ArrayLike]) -> Arrays:
    """Convert inputs to the graph's dtypes; InputError names one that does not fit."""
    feed: Arrays = {}
    sizes: dict[str, int] = {}
    for tensor in info.inputs:
        if tensor.name not in inputs:
            raise InputError(f"graph {name}: input {tensor.name} is missing")
        given = inputs[tensor.name]
        array = np.ascontiguousarray(given, dtype=DTYPES[tensor.dtype])
        array = array.reshape(np.shape(given))  # ascontiguousarray makes a scalar one-dimensional
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
