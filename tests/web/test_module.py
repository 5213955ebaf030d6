"""The module alone, in Chromium: on one thread, on several, and where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler
from typing import Any

import numpy as np

import motionrt

WITHIN_M = 1e-4


class Isolated(SimpleHTTPRequestHandler):
    """A server that isolates its pages from those of others, so that threads may share memory."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def test_threads_where_the_page_is_isolated_and_no_gpu_is_said(
    serve: Callable[..., str], ask_module: Callable[[str, dict[str, Any]], Any]
) -> None:
    request = {"prompt": "a person waves", "seconds": 1.0, "seed": 3, "num_steps": 4}
    wanted = motionrt.load().generate("a person waves", seconds=1.0, seed=3, num_steps=4)
    kinds = ((SimpleHTTPRequestHandler, "WebAssembly"), (Isolated, "WebAssembly, 2 threads"))
    for kind, told in kinds:
        options: list[dict[str, Any]] = [{"threads": 2}, {"webgpu": True}, {"threads": 0}]
        question = {"options": options, "request": request, "arguments": ["--disable-gpu"]}
        made, gpu, none = ask_module(serve(kind), question)
        assert made.get("backend") == told, made
        joints = np.reshape(made["joints"], wanted.posed_joints.shape)
        np.testing.assert_allclose(joints, wanted.posed_joints, rtol=0, atol=WITHIN_M)
        said = "MotionrtError: this browser has no WebGPU, or no GPU for it"
        assert gpu["error"].startswith(said)
        assert none["error"].startswith("MotionrtError: threads 0: must be a whole number")
