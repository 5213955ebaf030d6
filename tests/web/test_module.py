"""The module alone, in Chromium: on one thread, on several, and where there is no GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motionrt

WITHIN_M = 1e-4


class Plain(SimpleHTTPRequestHandler):
    """What `python -m http.server` does, without a word."""

    def log_message(self, *_: object) -> None:
        pass


class Isolated(Plain):
    """A server that isolates its pages from those of others, so that threads may share memory."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@pytest.fixture
def serve(site: Path) -> Iterator[Callable[[type[Plain]], str]]:
    """Serve the site in some way; gives the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[Plain]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(site)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_threads_where_the_page_is_isolated_and_no_gpu_is_said(
    serve: Callable[[type[Plain]], str], ask_module: Callable[[str, dict[str, Any]], Any]
) -> None:
    request = {"prompt": "a person waves", "seconds": 1.0, "seed": 3, "num_steps": 4}
    wanted = motionrt.load().generate("a person waves", seconds=1.0, seed=3, num_steps=4)
    for handler, told in ((Plain, "WebAssembly"), (Isolated, "WebAssembly, 2 threads")):
        options: list[dict[str, Any]] = [{"threads": 2}, {"webgpu": True}, {"threads": 0}]
        question = {"options": options, "request": request, "arguments": ["--disable-gpu"]}
        made, gpu, none = ask_module(serve(handler), question)
        assert made.get("backend") == told, made
        joints = np.reshape(made["joints"], wanted.posed_joints.shape)
        np.testing.assert_allclose(joints, wanted.posed_joints, rtol=0, atol=WITHIN_M)
        said = "MotionrtError: this browser has no WebGPU, or no GPU for it"
        assert gpu["error"].startswith(said)
        assert none["error"].startswith("MotionrtError: threads 0: must be a whole number")
