"""A bundle checked on the machine that will run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.graph import Arrays
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.bundle.external_data import external_data
from motionrt.runtime.bundle.manifest import Bundle, GraphInfo
from motionrt.runtime.errors import BundleError, MotionrtError

REFERENCE_FILE = "reference.safetensors"
"""Inputs and torch's outputs: ``<graph>/in/<name>`` and ``<graph>/out/<name>`` of every graph."""


@dataclass(frozen=True)
class CheckResult:
    """One check: the files' hashes, or one output of one graph."""

    what: str
    message: str
    difference: float = 0.0
    """Largest |found - stored|, as a share of what is allowed."""

    @property
    def passed(self) -> bool:
        """Whether nothing is further off than the manifest allows."""
        return self.difference <= 1


def verify(bundle: Bundle, backend: Backend) -> Iterator[CheckResult]:
    """Check every file's hash, then every graph on its stored run, and say how far off each is."""
    try:
        bundle.check_hashes(bundle.manifest.files)
    except MotionrtError as error:
        yield CheckResult("files", str(error), np.inf)
        return
    count = len(bundle.manifest.files)
    yield CheckResult("files", f"{count} files, hashes as at export")
    stored = bundle.read_tensors(REFERENCE_FILE)
    for name, graph in bundle.manifest.graphs.items():
        try:
            yield from _check_graph(bundle, name, graph, backend, stored)
        except MotionrtError as error:
            yield CheckResult(name, str(error), np.inf)


def _check_graph(
    bundle: Bundle, name: str, graph: GraphInfo, backend: Backend, stored: Arrays
) -> Iterator[CheckResult]:
    """Run a graph on its stored inputs and compare each output."""
    opened = open_graph(bundle, name, backend)
    if "onnx" in graph.files:
        file = graph.files["onnx"]
        beside = Path(file).parent
        places = external_data(bundle.path(file), bundle.folder / file)
        used = {(beside / place).as_posix() for place in places}
        if unlisted := sorted(used - set(graph.data)):
            raise BundleError(
                f"its weights in {', '.join(unlisted)} are not listed in the manifest, so nobody "
                "knows whether they are altered; export the bundle again"
            )
    inputs = {t.name: _stored(stored, f"{name}/in/{t.name}") for t in graph.inputs}
    found = opened.run(inputs)
    for tensor in graph.outputs:
        with np.errstate(invalid="ignore"):  # what is no number stays none
            expected = _stored(stored, f"{name}/out/{tensor.name}").astype(np.float64)
            result = found[tensor.name].astype(np.float64)
        if result.shape != expected.shape:
            message = f"shape {result.shape}, stored is {expected.shape}"
            yield CheckResult(f"{name}/{tensor.name}", message, np.inf)
            continue
        with np.errstate(all="ignore"):
            difference = np.abs(result - expected)
            allowed = graph.atol + graph.rtol * np.abs(expected)
            shares = np.where(difference == 0, 0, difference / allowed)
        share = float(shares.max(initial=0.0))
        yield CheckResult(
            f"{name}/{tensor.name}",
            f"max |diff| {difference.max(initial=0.0):.1e}, allowed {graph.atol:.0e}"
            + (f" + {graph.rtol:.0e} |x|" if graph.rtol else ""),
            share if np.isfinite(share) else np.inf,
        )


def _stored(arrays: Arrays, name: str) -> NDArray[Any]:
    if name not in arrays:
        raise BundleError(f"{REFERENCE_FILE}: no {name} in it; export the bundle again")
    return arrays[name]
