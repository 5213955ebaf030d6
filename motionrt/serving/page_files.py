"""The files of the studio's page, as a server gives them: what ``motionrt web`` builds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motionrt.runtime.errors import InputError

INDEX, MODULE = "index.html", "motionrt-web"
OWN_SCRIPT, BROWSER_SCRIPT = "server.js", "page.js"
"""What the page loads here, instead of what generates in the browser."""
KEPT_HINT = "Once: it is kept on this device, and works offline."
"""What the page says of itself while it loads, and is not so here."""
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_STREAM_PAGE = ("stream.html", "stream.js", "stream.css")
_LEFT_OUT = (
    *("service_worker.js", "worker.js", "worker_webgpu.js", BROWSER_SCRIPT),
    *_STREAM_PAGE,
)


@dataclass(frozen=True)
class PageFile:
    """One file of the page."""

    data: bytes
    media_type: str


def page_files(folder: Path) -> dict[str, PageFile]:
    """Read the page of a folder that ``motionrt web`` wrote or built; by path, ``/`` the page.

    They are read once, so that no request opens a file. InputError if it is no such folder.
    """
    index = folder / INDEX
    module = next((at for at in (folder / MODULE, folder.parent / MODULE) if at.is_dir()), None)
    if not index.is_file() or module is None or not (folder / OWN_SCRIPT).is_file():
        raise InputError(
            f"{folder}: holds no page for a server; write one: motionrt web -o {folder.name}"
        )
    files = {}
    for prefix, place in (("/", folder), (f"/{MODULE}/", module)):
        for file in sorted(place.iterdir()):
            if file.suffix in MEDIA_TYPES and file.name not in _LEFT_OUT:
                files[prefix + file.name] = PageFile(file.read_bytes(), MEDIA_TYPES[file.suffix])
    page = index.read_text("utf-8").replace(BROWSER_SCRIPT, OWN_SCRIPT)
    page = page.replace("made on your own device", "made on a server").replace(KEPT_HINT, "")
    files["/"] = files[f"/{INDEX}"] = PageFile(page.encode(), MEDIA_TYPES[".html"])
    return files
