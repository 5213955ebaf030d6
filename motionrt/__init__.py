"""motionrt: the edge runtime for text-to-motion models.

::

    pipeline = motionrt.load("bundle")
    motion = pipeline.generate("a person walks forward", seconds=5.0, seed=7)
    motion.save("walk.bvh")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Motion", "MotionrtError", "Pipeline", "__version__", "load"]

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion
    from motionrt.runtime.errors import MotionrtError
    from motionrt.runtime.pipeline import Pipeline, load

_HOMES = {
    "Motion": "motionrt.runtime.body.motion",
    "MotionrtError": "motionrt.runtime.errors",
    "Pipeline": "motionrt.runtime.pipeline",
    "load": "motionrt.runtime.pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import motionrt`` alone loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'motionrt' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
