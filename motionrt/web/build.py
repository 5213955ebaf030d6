"""The page and the module, bundled from their sources: once, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import motionrt
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_folder
from motionrt.web.node import find_node

CACHE_VARIABLE = "MOTIONRT_CACHE_DIR"
"""Environment variable: the folder for what can be made again."""
SOURCES = Path(motionrt.__file__).parent / "assets" / "web"
_NOT_SOURCES = {"node_modules", "dist"}


def cache_folder() -> Path:
    """Return the folder for what can be made again, which need not exist."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "motionrt"


def built(tell: Callable[[str], None] | None = None) -> Path:
    """Return the folder of the built page (``page``) and module (``motionrt-web``).

    The first call for these sources runs npm, which fetches the packages that package-lock.json
    names with their hashes, and esbuild; later ones find what it made. tell is told of what takes
    long. BackendError if there is no Node.js, or a build fails.
    """
    sources = _sources()
    digest = hashlib.sha256(motionrt.__version__.encode())
    for path in sources:
        digest.update(f"{path.relative_to(SOURCES).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    place = cache_folder() / f"web-{digest.hexdigest()[:16]}"
    if place.is_dir():
        return place
    node = find_node()
    if tell is not None:
        tell("building the page: npm fetches about 60 MB, once")
    with tempfile.TemporaryDirectory(prefix="motionrt-web-") as workshop:
        folder = Path(workshop)
        for path in sources:
            copy = folder / path.relative_to(SOURCES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        # No scripts of packages run: none of them needs one.
        node.run_npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        node.run(["build.mjs", motionrt.__version__], folder)
        try:
            with atomic_folder(place) as made:
                shutil.copytree(folder / "dist", made, dirs_exist_ok=True)
        except InputError:
            if not place.is_dir():  # or another process was faster
                raise
    return place


def _sources() -> list[Path]:
    found = []
    for folder, inside, files in os.walk(SOURCES):
        inside[:] = sorted(set(inside) - _NOT_SOURCES)
        found += [Path(folder, name) for name in sorted(files)]
    return found
