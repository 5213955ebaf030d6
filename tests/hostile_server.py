"""A text-encoder server that answers as a test tells it, byte by byte."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from local_server import embedding
from numpy.typing import NDArray

Say = Callable[[socket.socket, threading.Event], None]
"""Says what it likes to a connection, until the test ends."""
Answer = bytes | Say

STAGES = ("config", "call", "events", "file")


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def events(text: str) -> bytes:
    return answer(text.encode("utf-8", "surrogatepass"))


def complete(result: Any) -> bytes:
    return events(f"event: complete\ndata: {json.dumps(result)}\n\n")


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def forged(header: str, data: bytes = b"\0" * 64) -> bytes:
    """Make a .npy file of any header."""
    return (
        b"\x93NUMPY\x01\0" + (len(header) + 1).to_bytes(2, "little") + f"{header}\n".encode() + data
    )


def repeatedly(piece: bytes, first: bytes = b"", pause: float = 0.0) -> Say:
    """Say the same for ever."""

    def say(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(first)
        while not stop.wait(pause):
            connection.sendall(piece)

    return say


def silence(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait()


GOOD: dict[str, Answer] = {
    "config": answer(b'{"api_prefix": "/gradio_api"}'),
    "call": answer(b'{"event_id": "7"}'),
    "events": complete([{"path": "a b.npy"}, "x"]),
    "file": answer(npy(embedding("a"))),
}


class HostileServer:
    """Answers each stage of a call with its own bytes; notes what was asked."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = GOOD | answers
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.stop = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                # For tests whose client has left while it is still spoken to.
                connection.settimeout(60)
                try:
                    self.speak(connection)
                except OSError:
                    continue

    def speak(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        with reader:
            first = reader.readline().decode("latin-1")
            length = 0
            while (line := reader.readline().decode("latin-1").strip()) != "":
                self.heads.append(line)
                if line.lower().startswith("content-length:"):
                    length = int(line.split(":")[1])
            reader.read(length)
        path = first.split(" ")[1] if " " in first else first
        self.asked.append(path)
        said = self.answers[_stage(path)]
        if isinstance(said, bytes):
            connection.sendall(said)
        else:
            said(connection, self.stop)


def _stage(path: str) -> str:
    if path == "/config":
        return "config"
    if path.endswith("/call/DemoWrapper"):
        return "call"
    return "events" if "/call/DemoWrapper/" in path else "file"


@contextmanager
def hostile(answers: dict[str, Answer] | None = None) -> Iterator[HostileServer]:
    """Run a server until the block ends."""
    server = HostileServer(answers or {})
    thread = threading.Thread(target=server.accept)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()
        thread.join()
