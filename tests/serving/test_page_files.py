from __future__ import annotations

from pathlib import Path

import pytest

from motionrt.runtime.errors import InputError
from motionrt.serving.page_files import page_files


@pytest.fixture(params=["as it is built", "as a site"])
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "page"
    module = (folder if request.param == "as a site" else tmp_path) / "motionrt-web"
    for place in (folder, module):
        place.mkdir(parents=True, exist_ok=True)
    text = '<script src="page.js"></script>made on your own device.'
    (folder / "index.html").write_text(text)
    for name in ("page.js", "server.js", "page.css", "service_worker.js", "secret.json"):
        (folder / name).write_text(name)
    for name in ("index.js", "worker.js", "model.wasm"):
        (module / name).write_text(name)
    return folder


def test_what_a_page_needs_is_served_and_nothing_else(page: Path) -> None:
    files = page_files(page)
    names = ["/", "/index.html", "/motionrt-web/index.js", "/page.css", "/server.js"]
    assert sorted(files) == names
    assert files["/"].data == b'<script src="server.js"></script>made on a server.'
    assert files["/page.css"].media_type == "text/css; charset=utf-8"
    assert files["/server.js"].media_type.startswith("text/javascript")


def test_what_is_no_page_is_refused(page: Path) -> None:
    (page / "server.js").unlink()
    with pytest.raises(InputError, match="holds no page for a server"):
        page_files(page)
