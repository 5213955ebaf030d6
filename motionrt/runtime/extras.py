"""How an extra of this package is installed: from where the package itself came."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import motionrt


def pip_command(extra: str) -> str:
    """Return the command that installs an extra, for a message.

    Where the package came from an index that is its name there; from a clone, a file or a
    repository it is that place, as pip noted it (PEP 610). Double quotes work in every shell.
    """
    return f'pip install "{_requirement(extra)}"'


def _requirement(extra: str) -> str:
    root = Path(motionrt.__file__).parent.parent
    if (root / "pyproject.toml").is_file():
        return _local(root, extra)
    try:
        noted = metadata.distribution("motionrt").read_text("direct_url.json")
        origin = json.loads(noted) if noted else {}
        url = str(origin.get("url", ""))
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return f"motionrt[{extra}]"
    if url.startswith("file:"):
        place = Path(url2pathname(urlsplit(url).path))
        return _local(place, extra) if place.exists() else f"motionrt[{extra}]"
    if vcs := origin.get("vcs_info", {}).get("vcs"):
        url = f"{vcs}+{url}"
    return f"motionrt[{extra}] @ {url}" if url else f"motionrt[{extra}]"


def _local(place: Path, extra: str) -> str:
    return f"{'.' if place == Path.cwd() else place}[{extra}]"
