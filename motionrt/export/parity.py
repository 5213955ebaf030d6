"""An exported graph against what it was exported from; a difference fails the export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionrt.export.graphs import GraphSpec
from motionrt.export.running import cpu_session
from motionrt.runtime.errors import ParityError

Arrays = dict[str, NDArray[Any]]
Reference = Callable[..., Tensor | tuple[Tensor, ...]]
"""What a graph must equal: called with its inputs as keywords, returns its outputs in order."""
NUDGE = 1e-6
"""Relative change of inputs that stands for another processor, whose products and functions round
otherwise: some ten roundings of float32, which is what is left of them after a few layers."""


class Recorded:
    """A reference that remembers its results: a large module takes minutes for each."""

    def __init__(self, reference: Reference) -> None:
        """Wrap a reference."""
        self._reference = reference
        self._results: dict[tuple[bytes, ...], Tensor | tuple[Tensor, ...]] = {}

    @property
    def first(self) -> Tensor:
        """The (first) output of the first call."""
        result = next(iter(self._results.values()))
        return result if isinstance(result, Tensor) else result[0]

    def __call__(self, **inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the reference does, computed once for the same inputs."""
        key = tuple(f"{t.shape}".encode() + t.numpy().tobytes() for t in inputs.values())
        if key not in self._results:
            with torch.no_grad():
                self._results[key] = self._reference(**inputs)
        return self._results[key]


@dataclass
class Compared:
    """What a graph was compared on, and how far off it was."""

    largest: float = 0.0
    """Largest |graph - reference|."""
    relative: float = 0.0
    """Largest |graph - reference| / |reference| of an output as a whole (Euclidean norms)."""
    moved: float = 0.0
    """Largest |graph on nudged inputs - graph|; 0 if it was not nudged."""
    inputs: Arrays = field(default_factory=dict)
    """The last set."""
    expected: Arrays = field(default_factory=dict)
    """The reference's outputs for it."""


def check_graph(
    path: Path,
    spec: GraphSpec,
    reference: Reference,
    checks: Sequence[Mapping[str, Tensor]],
    num_nudges: int = 0,
) -> Compared:
    """Compare a graph on disk with its reference on every set of inputs.

    The graph also runs num_nudges times on each set with every float changed by ``NUDGE``: where
    activations are rounded, a little tips some of them over, and what that does to the output is
    what another processor may do. ParityError names the first tensor that differs by more than the
    spec allows.
    """
    session = cpu_session(path)
    compared = Compared()
    for check in checks:
        with torch.no_grad():
            results = reference(**check)
        results = (results,) if isinstance(results, Tensor) else results
        names = [tensor.name for tensor in spec.outputs]
        compared.inputs = {name: tensor.numpy() for name, tensor in check.items()}
        compared.expected = {n: r.numpy() for n, r in zip(names, results, strict=True)}
        found = session.run(names, compared.inputs)
        for name, array in zip(names, found, strict=True):
            want = compared.expected[name]
            largest = compare(f"{spec.name}/{name}", array, want, spec)
            compared.largest = max(compared.largest, largest)
            size = float(np.linalg.norm(want.astype(np.float64)))
            apart = float(np.linalg.norm(array.astype(np.float64) - want))
            compared.relative = max(compared.relative, apart / size if size else 0.0)
        for seed in range(num_nudges if _has_floats(compared.inputs) else 0):
            nudged = session.run(names, _nudge(compared.inputs, seed))
            for name, array, other in zip(names, found, nudged, strict=True):
                moved = compare(f"{spec.name}/{name}", other, array, spec, " (inputs nudged)")
                compared.moved = max(compared.moved, moved)
    return compared


def _has_floats(inputs: Arrays) -> bool:
    return any(array.dtype == np.float32 for array in inputs.values())


def _nudge(inputs: Arrays, seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    nudged = dict(inputs)
    for name, array in inputs.items():
        if array.dtype == np.float32:
            factors = 1 + NUDGE * generator.standard_normal(array.shape)
            nudged[name] = np.asarray(array * factors, np.float32)
    return nudged


def compare(
    what: str, found: NDArray[Any], expected: NDArray[Any], spec: GraphSpec, advice: str = ""
) -> float:
    """Return max |found - expected|; ParityError if a value is further off than the spec allows."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ParityError(
            f"{what}: {found.dtype} {found.shape}, should be {expected.dtype} {expected.shape}"
        )
    if found.dtype == np.bool_:
        wrong = int((found != expected).sum())
        if wrong:
            raise ParityError(f"{what}: {wrong} of {found.size} values are flipped")
        return 0.0
    difference = np.abs(found.astype(np.float64) - expected)
    allowed = spec.atol + spec.rtol * np.abs(expected.astype(np.float64))
    if not bool((difference <= allowed).all()):  # a NaN is not <= anything
        worst = float(np.nanmax(difference)) if not np.isnan(difference).all() else float("nan")
        raise ParityError(
            f"{what}: max |diff| {worst:.2e}, allowed {spec.atol:.0e} + {spec.rtol:.0e} |x|{advice}"
        )
    return float(difference.max(initial=0.0))
