"""Backends: which can run here, and which onnxruntime providers each one means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from motionrt.runtime.errors import BackendError


@dataclass(frozen=True)
class Backend:
    """A way to run graphs, chosen once for a pipeline."""

    name: str
    providers: tuple[tuple[str, dict[str, Any]], ...]
    """onnxruntime execution providers in order, with their options."""
    threads: int
    """CPU threads of one graph; 0 lets onnxruntime choose (one a physical core)."""


PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Backend name -> onnxruntime provider, best first."""


def choose_backend(name: str = "auto", threads: int = 0) -> Backend:
    """Return the backend of that name, or with ``auto`` the best whose provider is installed.

    A backend asked for by name is used or refused with a BackendError, never replaced.
    """
    available = available_providers()
    if name == "auto":
        name = next(key for key, provider in PROVIDERS.items() if provider in available)
    elif name not in PROVIDERS:
        raise BackendError(f"backend {name!r} is unknown; choose auto, {', '.join(PROVIDERS)}")
    elif PROVIDERS[name] not in available:
        extra = "gpu" if name == "cuda" else "cpu"
        raise BackendError(
            f"backend {name}: this onnxruntime has no {PROVIDERS[name]}; "
            f"install one that has (pip install 'motionrt[{extra}]')"
        )
    providers: list[tuple[str, dict[str, Any]]] = [(PROVIDERS[name], {})]
    if name != "cpu":
        providers.append((PROVIDERS["cpu"], {}))
    return Backend(name, tuple(providers), threads or int(os.environ.get("MOTIONRT_THREADS", 0)))


def available_providers() -> list[str]:
    """Return onnxruntime's providers; BackendError if it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            "no ONNX backend installed; pip install 'motionrt[cpu]' or 'motionrt[gpu]'"
        ) from error
    providers: list[str] = onnxruntime.get_available_providers()
    return providers
