"""Servers in a thread of the tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError

WIDTH = 16


class Server(AbstractContextManager[Any], Protocol):
    """HttpServer of ours, and that of the standard library."""

    def serve_forever(self) -> None: ...

    def shutdown(self) -> None: ...


AnyServer = TypeVar("AnyServer", bound=Server)


def embedding(prompt: str) -> NDArray[np.float32]:
    """Encode a prompt as a text encoder might."""
    if prompt == "Fail.":
        raise InputError("this one cannot be encoded")
    seed = sum(prompt.encode())
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


@contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    """Let a server answer until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
