"""The embedded default: the small model of our own that comes with the package."""

from __future__ import annotations

from pathlib import Path

import motionrt
from motionrt.runtime.errors import BundleError

FOLDER = Path("assets", "default")
"""Where its bundle lies in the package."""


def embedded_bundle() -> Path:
    """Return the folder of the embedded default's bundle.

    BundleError if this installation has none: a checkout without it, or a package made smaller.
    """
    folder = Path(motionrt.__file__).parent / FOLDER
    if not (folder / "manifest.json").is_file():
        raise BundleError(
            f"{folder}: the embedded model is not in this installation; install motionrt again, or "
            "name a bundle (make one with: motionrt export)"
        )
    return folder
