"""The embedded default: the small model of our own that comes with the package."""

from __future__ import annotations

import os
from pathlib import Path

import motionrt
from motionrt.runtime.errors import BundleError
from motionrt.runtime.hub import local_path

FOLDER = Path("assets", "default")
"""Where its bundle lies in the package."""


NAME = "default"
"""What it is called where a bundle is named."""


def bundle_folder(path: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a bundle that is named.

    None is the embedded default, and so is its name where no folder is called so. What is no folder
    here but a name of the Hugging Face Hub (``org/name@revision:folder``) is fetched from there.
    BundleError as `embedded_bundle`, HubError if it cannot be fetched.
    """
    if path is None or (os.fspath(path) == NAME and not Path(path).exists()):
        return embedded_bundle()
    return local_path(path, unneeded=(".git*",))


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
