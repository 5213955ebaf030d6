"""Exported graphs, run exactly as the runtime runs them on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from motionrt.runtime.backend.backends import choose_backend
from motionrt.runtime.backend.onnx_session import onnxruntime_session


def cpu_session(path: Path) -> Any:
    """Load an exported file into an ``onnxruntime.InferenceSession`` of the runtime's settings.

    Other settings are another program: with one more fusion a step in int8 gave values 0.007
    elsewhere, and a loop of four such steps 6.3, of values up to 9 (random weights).
    """
    return onnxruntime_session(str(path), choose_backend("cpu"))


def run_graph(
    path: Path, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Load an exported file, run it once and let it go; return the named outputs, or all."""
    session = cpu_session(path)
    names = list(outputs or (value.name for value in session.get_outputs()))
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
