"""Servers in a thread of the tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

WIDTH = 16
Server = TypeVar("Server", bound=HTTPServer)


def embedding(prompt: str) -> NDArray[np.float32]:
    """Encode a prompt as a text encoder might."""
    if prompt == "Fail.":
        raise InputError("this one cannot be encoded")
    seed = sum(prompt.encode())
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Let a server answer until the block ends."""
    with server:
        # It looks for its end often: a test would wait half a second for it otherwise.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
