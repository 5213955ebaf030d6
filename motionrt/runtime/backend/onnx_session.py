"""A graph run by onnxruntime."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from motionrt.runtime.backend.backends import PROVIDERS, SILENT, Backend, silenced
from motionrt.runtime.backend.device_thread import run_for
from motionrt.runtime.backend.graph import (
    Arrays,
    check_inputs,
    check_outputs,
    check_results,
    find_graph,
)
from motionrt.runtime.backend.mapped_weights import let_go
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BackendError

_DISABLED = "optimization.disable_specified_optimizers"
CPU_CONFIG = {
    # onnxruntime's fused Add + LayerNormalization is nine times slower on CPUs than the two apart
    # (1.31: 1.97 ms against 0.22 ms for 404 rows of 1024): 8 % of a step in fp32, 18 % in int8.
    _DISABLED: "SkipLayerNormFusion",
    # Threads that wait for the next call leave the processor to others.
    "session.force_spinning_stop": "1",
}
"""onnxruntime's session settings on the CPU."""
_IN_MEMORY = "add_external_initializers_from_files_in_memory"
"""The method that hands over weight files. Versions without it open links as any file."""
_TELLS_PLACES = "session.record_ep_graph_assignment_info"
"""The setting that lets a session say which provider each node went to."""
_TRIES = 3
"""A bundle that is replaced while it is opened is opened again."""
_NAMED = 6
"""Operators that are named of those that run elsewhere."""


class OnnxSession:
    """A graph loaded by onnxruntime: a `Graph`."""

    def __init__(self, bundle: Bundle, name: str, backend: Backend) -> None:
        """Load a graph, its files compared with their hashes meanwhile.

        BundleError if the bundle has no such graph or it is damaged, BackendError if the backend
        refuses it.
        """
        self.name = name
        self.info: GraphInfo = find_graph(bundle, name, "onnx")
        self.backend = backend
        file = self.info.files["onnx"]
        path = bundle.path(file)
        data = [bundle.path(name) for name in self.info.data]
        with ThreadPoolExecutor(max_workers=1) as pool:
            hashes = pool.submit(bundle.check_hashes, (file, *self.info.data))
            try:
                self._session = run_for(
                    backend,
                    lambda: onnxruntime_session(
                        str(path), backend, data=data, fold=not self.info.unpack_each_run
                    ),
                )
            except Exception as error:  # onnxruntime raises many kinds of its own
                hashes.result()  # a damaged file is the better explanation
                reason = first_line(error)
                raise BackendError(
                    f"{bundle.folder / file}: {backend.name} cannot load it: {reason}"
                ) from error
            hashes.result()
        if self.info.loop is not None:
            let_go(data)
        wanted = backend.providers[0][0]
        if wanted not in self._session.get_providers():
            raise BackendError(
                f"{bundle.folder / file}: {wanted} did not start (are its libraries installed?); "
                "choose another backend"
            )

    @property
    def runs_on(self) -> str:
        """What really runs the graph."""
        providers = self._session.get_providers()
        name = next((name for name, key in PROVIDERS.items() if key == providers[0]), providers[0])
        name = self.backend.told if name == self.backend.name else name
        return name + told_elsewhere(self._session)

    def run(self, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the graph; returns the named outputs, or all.

        Inputs are converted to the graph's dtypes; InputError names one that is missing, unknown
        or of another shape. A run from the main thread can be interrupted, an endless one too.
        """
        feed = check_inputs(self.name, self.info, inputs)
        wanted = check_outputs(self.name, self.info, outputs)
        try:
            results = _run(self.backend, self._session, wanted, feed)
        except Exception as error:
            reason = first_line(error)
            raise BackendError(
                f"graph {self.name} failed on {self.backend.name}: {reason}"
            ) from error
        return check_results(self.name, self.info, dict(zip(wanted, results, strict=True)))

    @property
    def onnxruntime(self) -> Any:
        """The ``onnxruntime.InferenceSession``."""
        return self._session


def _run(backend: Backend, session: Any, outputs: list[str], feed: Arrays) -> Any:
    """Run a session so that Ctrl-C ends it: a loop may run for a minute, or for ever."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.log_severity_level = SILENT
    return run_for(
        backend,
        lambda: session.run(outputs, feed, options),
        lambda: setattr(options, "terminate", True),  # the graph ends at its next node
    )


def onnxruntime_session(
    path: str,
    backend: Backend,
    provider_options: Mapping[str, str] | None = None,
    data: Iterable[Path] = (),
    *,
    fold: bool = True,
) -> Any:
    """Load an ONNX file with the settings of a backend; data are its weight files.

    fold: on the CPU, work out at once what no input decides, rounded weights made float32 included.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = SILENT
    if backend.threads:
        options.intra_op_num_threads = backend.threads
    if backend.providers[0][0] == PROVIDERS["cpu"]:
        for key, value in CPU_CONFIG.items():
            unfolded = ";ConstantFolding" if key == _DISABLED and not fold else ""
            options.add_session_config_entry(key, value + unfolded)
        # A plan of the memory is kept for each shape that comes again, beside what was taken
        # before: lengths vary, and the memory doubles without a gain in time.
        options.enable_mem_pattern = False
    elif hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        options.add_session_config_entry(_TELLS_PLACES, "1")
    model: str | bytes = path
    places = list(data)
    if refused(places) and hasattr(options, _IN_MEMORY):
        names = [place.relative_to(Path(path).parent).as_posix() for place in places]
        files = [np.memmap(place, np.uint8, "r") for place in places]
        getattr(options, _IN_MEMORY)(names, files, [file.size for file in files])
        model = Path(path).read_bytes()
    providers = [(name, dict(settings)) for name, settings in backend.providers]
    providers[0][1].update(provider_options or {})
    # Without fallback: what cannot be loaded is raised, not printed and tried again.
    for left in reversed(range(_TRIES)):
        try:
            with silenced():
                return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except Exception as error:
            # Renamed between two looks of onnxruntime's at where the model and its data lie.
            if not left or "escapes model directory" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def elsewhere(session: Any) -> list[str]:
    """Return the operators of the nodes that a session's first provider left to others.

    Empty for the CPU alone, and where onnxruntime (before 1.24) does not tell.
    """
    first = session.get_providers()[0]
    if first == PROVIDERS["cpu"] or not hasattr(session, "get_provider_graph_assignment_info"):
        return []
    parts = session.get_provider_graph_assignment_info()
    return [node.op_type for part in parts if part.ep_name != first for node in part.get_nodes()]


def told_elsewhere(session: Any) -> str:
    """Say in brackets what `elsewhere` finds; empty if it is nothing."""
    nodes = elsewhere(session)
    if not nodes:
        return ""
    kinds = sorted(set(nodes))
    more = ", …" if len(kinds) > _NAMED else ""
    return f" ({len(nodes)} nodes on the CPU: {', '.join(kinds[:_NAMED])}{more})"


def refused(data: Iterable[Path]) -> bool:
    """Return whether onnxruntime would open no such weight files: links, or of several names.

    A model hub's cache is made of them. They can be handed over in memory, but not to the body of a
    loop.
    """
    states = [place.lstat() for place in data if place.exists()]
    return any(stat.S_ISLNK(state.st_mode) or state.st_nlink > 1 for state in states)


def first_line(error: Exception) -> str:
    """Return the first line of what onnxruntime says of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]
