"""The page and its module, built once; what runs JavaScript of ours and gives back its answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from local_server import serving

from motionrt.web import build
from motionrt.web.node import LEAST_VERSION, find_node

SCRIPTS = Path(__file__).parent
NODE = Path(__file__).parents[1] / "node"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def miss(what: str) -> None:
    """Skip for want of a tool; fail where CI must have it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built page and module."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        miss(f"needs Node.js {LEAST_VERSION} with npm")
    return build.built()


@pytest.fixture(scope="session")
def site(built: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the embedded default."""
    from motionrt.web import write_site

    folder = tmp_path_factory.mktemp("web") / "site"
    write_site(bundle, folder)
    return folder


@pytest.fixture
def serve(site: Path) -> Iterator[Callable[..., str]]:
    """Serve the site, as `python -m http.server` does or in another way; gives the address."""
    with ExitStack() as servers:

        def start(kind: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler) -> str:
            silent = type("Silent", (kind,), {"log_message": lambda *_: None})
            handler = partial(silent, directory=str(site))
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            servers.enter_context(serving(server))
            return f"http://127.0.0.1:{server.server_port}/"

        yield start


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    """Where the site is served, by a server that knows nothing of it."""
    return serve()


@pytest.fixture(scope="session")
def by_node(built: Path) -> Callable[[str, Any], Any]:
    """Call a function of port.mjs with JSON, in Node.js, on the module's parts."""

    def call(name: str, value: object = None) -> Any:
        script, parts = SCRIPTS / "port.mjs", built / "motionrt-web" / "parts.js"
        done = subprocess.run(
            [str(find_node().node), str(script), str(parts), name],
            input=json.dumps(value),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="session")
def browser() -> str:
    """Chromium, with what drives it."""
    found = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if found is None or not (NODE / "node_modules" / "puppeteer-core").is_dir():
        miss("needs Chromium and: npm install --prefix tests/node")
    return str(found)


@pytest.fixture(scope="session")
def visit(browser: str) -> Callable[..., Any]:
    """Be a visitor of an address, as a script of tests/node is: give back what it saw."""

    def see(url: str, folder: Path, *token: str, script: str = "visit.mjs") -> Any:
        command = ["node", str(NODE / script), url, str(folder), browser, *token]
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=240
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return see


@pytest.fixture(scope="session")
def ask_module(browser: str) -> Callable[..., Any]:
    """Ask the module of a site, without the page, once for each of several options."""

    def ask(url: str, question: dict[str, Any]) -> Any:
        done = subprocess.run(
            ["node", str(NODE / "module.mjs"), url, browser],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask
