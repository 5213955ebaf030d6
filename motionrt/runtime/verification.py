"""A bundle checked on the machine that will run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file

from motionrt.runtime.backend.backends import Backend
from motionrt.runtime.backend.opening import open_graph
from motionrt.runtime.bundle.manifest import Bundle
from motionrt.runtime.errors import MotionrtError

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
    stored = load_file(bundle.path(REFERENCE_FILE))
    for name, graph in bundle.manifest.graphs.items():
        inputs = {t.name: stored[f"{name}/in/{t.name}"] for t in graph.inputs}
        try:
            found = open_graph(bundle, name, backend).run(inputs)
        except MotionrtError as error:
            yield CheckResult(name, str(error), np.inf)
            continue
        for tensor in graph.outputs:
            expected = stored[f"{name}/out/{tensor.name}"].astype(np.float64)
            difference = np.abs(found[tensor.name].astype(np.float64) - expected)
            allowed = graph.atol + graph.rtol * np.abs(expected)
            share = float((difference / allowed).max(initial=0.0))
            share = share if np.isfinite(share) else np.inf
            yield CheckResult(
                f"{name}/{tensor.name}",
                f"max |diff| {difference.max(initial=0.0):.1e}, allowed {graph.atol:.0e}"
                + (f" + {graph.rtol:.0e} |x|" if graph.rtol else ""),
                share,
            )
