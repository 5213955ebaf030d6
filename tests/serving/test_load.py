"""Many clients at once, on loopback: bounded in number, and in time by the clients' own limits."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from local_server import WIDTH, embedding, serving

from motionrt.runtime.text.client import TextEncoderClient
from motionrt.serving.http_server import ConnectionLimits
from motionrt.serving.text_encoder import TextEncoderServer

CLIENTS = 32
REQUESTS = 1000


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    """Both ends of every connection are in this process."""
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(url: str, requests: int) -> None:
    """Have prompts encoded by 32 clients; every one must come back as its own."""
    prompts = [f"Prompt {i}." for i in range(requests)]

    def work(share: list[str]) -> None:
        client = TextEncoderClient(url, WIDTH, connect_seconds=60)
        for prompt in share:
            np.testing.assert_array_equal(client.encode([prompt])[0], embedding(prompt))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, [prompts[i::CLIENTS] for i in range(CLIENTS)]))


def test_a_thousand_requests_of_32_clients_lose_nothing() -> None:
    encoded: list[str] = []
    with serving(TextEncoderServer(embedding, port=0, log=encoded.append)) as server:
        ask(server.url, REQUESTS)
    assert sorted(encoded) == sorted(f"Prompt {i}." for i in range(REQUESTS))


SLOWLY = {
    "a head": b"GET /config HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 100_000,
    "a body": b"POST /call/DemoWrapper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n"
    + b"a" * 90_000,
    "many requests": b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2_000,
}


@contextmanager
def dripping(address: tuple[str, int], what: bytes, clients: int) -> Iterator[None]:
    """Send bytes in small pieces, on many connections, and read no answer."""
    stop = threading.Event()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address)) for _ in range(clients)
        ]

        def drip() -> None:
            for start in range(0, len(what), 20):
                for connection in connections:
                    try:
                        connection.send(what[start : start + 20], socket.MSG_DONTWAIT)
                    except OSError:  # It was closed, or nobody reads.
                        continue
                if stop.wait(0.005):
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="no MSG_DONTWAIT")
@pytest.mark.parametrize("what", SLOWLY)
def test_twenty_slow_clients_do_not_hurt_others(what: str) -> None:
    with (
        serving(TextEncoderServer(embedding, port=0)) as server,
        dripping(server.address, SLOWLY[what], clients=20),
    ):
        ask(server.url, requests=64)


def test_a_thousand_idle_clients_do_not_hurt_others() -> None:
    with ExitStack() as stack, serving(TextEncoderServer(embedding, port=0)) as server:
        for _ in range(1000):
            stack.enter_context(socket.create_connection(server.address))
        ask(server.url, requests=64)


@pytest.mark.parametrize("sent", ["", "GET /config HTTP/1.1\r\n", "POST /call/DemoWrapper HT"])
def test_a_client_that_sends_no_whole_request_is_closed(sent: str) -> None:
    limits = ConnectionLimits(request_seconds=0.2)
    with (
        serving(TextEncoderServer(embedding, port=0, connection_limits=limits)) as server,
        socket.create_connection(server.address, timeout=60) as connection,
    ):
        connection.sendall(sent.encode())
        assert connection.recv(1) == b""


def test_no_more_connections_are_kept_than_allowed() -> None:
    limits = ConnectionLimits(connections=8)
    with (
        ExitStack() as stack,
        serving(TextEncoderServer(embedding, port=0, connection_limits=limits)) as server,
    ):
        connections = [
            stack.enter_context(socket.create_connection(server.address, timeout=60))
            for _ in range(12)
        ]
        for oldest in connections[:4]:
            with pytest.raises(ConnectionResetError):
                if oldest.recv(1) == b"":
                    raise ConnectionResetError
        connections[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connections[-1].recv(12) == b"HTTP/1.1 200"
