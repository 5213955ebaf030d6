"""motionrt: the edge runtime for text-to-motion models.

::

    pipeline = motionrt.load("bundle")
    motion = pipeline.generate("a person walks forward", seconds=5.0, seed=7)
    motion.save("walk.bvh")

What is listed here and in `motionrt.constraints` is the public interface; other modules may change.

- ``load`` opens a bundle, or the embedded default: a ``Pipeline``. ``KimodoPipeline.load``,
  ``MotionGpt3Pipeline.load`` and ``MotionGptQwenPipeline.load`` open one of their family, with its
  options typed.
- ``Pipeline.generate`` gives one ``Motion``, ``generate_many`` a list, ``run`` what a ``Request``
  asks for.
- ``Motion`` is a clip: arrays, and files by ``save`` and ``load``; ``Skeleton`` is what it is on.
- ``MotionrtError`` and the errors below it are raised on purpose, each with one line. A
  ``MotionWarning`` tells of a generated motion that no body would make.
- ``constraints``: where a body shall be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "ArdyPipeline": "motionrt.runtime.ardy.pipeline",
    "BackendError": "motionrt.runtime.errors",
    "BundleError": "motionrt.runtime.errors",
    "CheckpointError": "motionrt.runtime.errors",
    "ExportError": "motionrt.runtime.errors",
    "HubError": "motionrt.runtime.errors",
    "InputError": "motionrt.runtime.errors",
    "KimodoPipeline": "motionrt.runtime.kimodo.pipeline",
    "Motion": "motionrt.runtime.body.motion",
    "MotionError": "motionrt.runtime.errors",
    "MotionGpt3Pipeline": "motionrt.runtime.motiongpt3.pipeline",
    "MotionGptQwenPipeline": "motionrt.runtime.motiongpt_qwen.pipeline",
    "MotionWarning": "motionrt.runtime.errors",
    "MotionrtError": "motionrt.runtime.errors",
    "ParityError": "motionrt.runtime.errors",
    "Pipeline": "motionrt.runtime.pipeline",
    "Request": "motionrt.runtime.request",
    "Skeleton": "motionrt.runtime.body.skeleton",
    "load": "motionrt.runtime.pipeline",
}
"""Public names -> where each is defined, imported when it is first used."""

__all__ = [
    "ArdyPipeline",
    "BackendError",
    "BundleError",
    "CheckpointError",
    "ExportError",
    "HubError",
    "InputError",
    "KimodoPipeline",
    "Motion",
    "MotionError",
    "MotionGpt3Pipeline",
    "MotionGptQwenPipeline",
    "MotionWarning",
    "MotionrtError",
    "ParityError",
    "Pipeline",
    "Request",
    "Skeleton",
    "__version__",
    "constraints",
    "load",
]

if TYPE_CHECKING:
    from os import PathLike
    from typing import overload

    from motionrt import constraints as constraints
    from motionrt.runtime.ardy.pipeline import ArdyPipeline
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.body.skeleton import Skeleton
    from motionrt.runtime.errors import (
        BackendError,
        BundleError,
        CheckpointError,
        ExportError,
        HubError,
        InputError,
        MotionError,
        MotionrtError,
        MotionWarning,
        ParityError,
    )
    from motionrt.runtime.kimodo.pipeline import KimodoPipeline
    from motionrt.runtime.motiongpt3.pipeline import MotionGpt3Pipeline
    from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
    from motionrt.runtime.pipeline import Pipeline
    from motionrt.runtime.request import Request

    # The embedded default is a Kimodo: its options are known before it is opened.
    @overload
    def load(path: None = None, backend: str = "auto", threads: int = 0) -> KimodoPipeline: ...
    @overload
    def load(
        path: str | PathLike[str] | None, backend: str = "auto", threads: int = 0
    ) -> Pipeline: ...
    def load(
        path: str | PathLike[str] | None = None, backend: str = "auto", threads: int = 0
    ) -> Pipeline:
        """Load a bundle, or the embedded default: see ``motionrt.runtime.pipeline.load``."""
        ...


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import motionrt`` alone loads nothing."""
    import importlib

    if name == "constraints":
        return importlib.import_module("motionrt.constraints")
    if name not in _HOMES:
        raise AttributeError(f"module 'motionrt' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return list(__all__)
