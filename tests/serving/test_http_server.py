from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from local_server import serving
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from motionrt.runtime.errors import BackendError
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.serving.http_server import ConnectionLimits, HttpServer

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _much(request: Request) -> Response:
    return Response(bytes(1 << 26))


async def _slow(request: Request) -> Response:
    request.app.started.set()
    await asyncio.sleep(0.5)
    return PlainTextResponse("finished")


class App(Router):
    """Answers at once, slowly, or with more than any buffer holds."""

    def __init__(self) -> None:
        super().__init__([Route("/", _hello), Route("/much", _much), Route("/slow", _slow)])
        self.started = threading.Event()

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        scope["app"] = self
        await super().__call__(scope, receive, send)


def server(limits: ConnectionLimits | None = None) -> HttpServer:
    return HttpServer(App(), "127.0.0.1", 0, limits)


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=60)


def everything(connection: socket.socket) -> bytes:
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def received(connection: socket.socket, what: bytes) -> bool:
    """Read until something was said; False if it never is."""
    said = b""
    while what not in said:
        if not (piece := connection.recv(65536)):
            return False
        said += piece
    return True


def test_no_answer_names_its_software() -> None:
    with serving(server()) as running:
        for asked in (GET, GET.replace(b"/ ", b"/x "), b"\x00\x01garbage\r\n\r\n"):
            with connect(running) as connection:
                connection.sendall(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                said = everything(connection).lower()
            assert said.startswith(b"http/1.1 ")
            assert b"server:" not in said and b"uvicorn" not in said and b"python" not in said


@pytest.mark.parametrize(
    "asked",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000,
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 9,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_a_head_that_is_none_or_too_long_is_refused(asked: bytes) -> None:
    with serving(server()) as running, connect(running) as connection:
        try:
            connection.sendall(asked)
        except ConnectionError:  # It was closed before all of it was sent.
            return
        said = everything(connection)
    assert re.match(rb"(HTTP/1\.1 400|$)", said), said[:100]


def test_what_is_not_read_by_its_client_is_dropped() -> None:
    limits = ConnectionLimits(write_seconds=0.2)
    with serving(server(limits)) as running, connect(running) as connection:
        connection.sendall(GET.replace(b"/ ", b"/much "))
        # Reads nothing until the server has given up: this one asks until it has no connection.
        while running._server.server_state.connections or not running._server.started:
            threading.Event().wait(0.02)
        assert len(everything(connection)) < 1 << 26


def test_when_all_are_answered_no_more_are_let_in() -> None:
    with serving(server(ConnectionLimits(connections=1))) as running:
        app = running._server.config.app
        assert isinstance(app, App)
        with connect(running) as first:
            first.sendall(GET.replace(b"/ ", b"/slow "))
            assert app.started.wait(60)
            with connect(running) as second:
                assert everything(second).startswith(b"HTTP/1.1 503 ")
            assert received(first, b"finished")


def test_what_runs_is_finished_before_it_stops() -> None:
    with serving(server()) as running, connect(running) as connection:
        app = running._server.config.app
        assert isinstance(app, App)
        connection.sendall(GET.replace(b"/ ", b"/slow "))
        assert app.started.wait(60)
        running.shutdown()
        assert b"finished" in everything(connection)


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "a" * 100, "\ud800"])
def test_an_address_that_cannot_be_had_is_one_line(host: str) -> None:
    with pytest.raises(BackendError, match="cannot serve on") as caught:
        HttpServer(App(), host, 0)
    assert "\n" not in str(caught.value)


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with (
        HttpServer(App(), "127.0.0.1", 0) as bound,
        pytest.raises(BackendError, match="another program serves there; give another port"),
    ):
        HttpServer(App(), "127.0.0.1", bound.address[1])


def test_it_knows_who_reaches_it() -> None:
    for host, loopback in (("127.0.0.1", True), ("0.0.0.0", False)):
        with HttpServer(App(), host, 0) as bound:
            assert bound.loopback is loopback
            assert bound.url == f"http://{host}:{bound.address[1]}/"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6_is_served() -> None:
    try:
        bound = HttpServer(App(), "::1", 0)
    except BackendError:
        pytest.skip("no IPv6 loopback")
    with serving(bound) as running, connect(running) as connection:
        assert running.url.startswith("http://[::1]:") and running.loopback
        connection.sendall(GET)
        assert received(connection, b"hello")


PROGRAM = """
import sys, time
import numpy as np
from motionrt.serving.text_encoder import TextEncoderServer

def encode(prompt):
    print("encoding", flush=True)
    time.sleep(float(prompt))
    return np.zeros(int(sys.argv[1]), np.float32)

with TextEncoderServer(encode, port=0) as server:
    print(server.url, flush=True)
    server.serve_forever()
print("stopped", flush=True)
"""


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", PROGRAM, str(getattr(request, "param", 16))]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


def start(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM for one process there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_call_finish_and_its_file_be_fetched(
    program: subprocess.Popen[str], number: int
) -> None:
    url = start(program)
    rows = []
    client = threading.Thread(target=lambda: rows.append(TextEncoderClient(url).encode(["1.5"])))
    client.start()
    assert program.stdout is not None and program.stdout.readline() == "encoding\n"
    program.send_signal(number)
    client.join()
    assert len(rows) == 1 and rows[0].shape == (1, 16)
    assert program.stdout.readline() == "stopped\n"
    assert program.wait(60) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM for one process there")
def test_a_server_that_stops_takes_no_new_calls_and_ends_heartbeats(
    program: subprocess.Popen[str],
) -> None:
    import httpx2

    url = start(program)
    with httpx2.Client(base_url=url, timeout=60) as client:
        posted = {"data": ["1.5"]}
        event = client.post("call/DemoWrapper", json=posted).json()["event_id"]
        with client.stream("GET", "heartbeat/x") as beats:
            read = beats.iter_raw()
            assert b"ALIVE" in next(read)
            answers: list[str] = []

            def collect() -> None:
                answers.append(httpx2.get(f"{url}call/DemoWrapper/{event}", timeout=60).text)

            call = threading.Thread(target=collect)
            call.start()
            assert program.stdout is not None and program.stdout.readline() == "encoding\n"
            program.send_signal(signal.SIGTERM)
            list(read)
        assert client.post("call/DemoWrapper", json=posted).status_code == 503
        call.join()
        (result,) = [line for line in answers[0].splitlines() if line.startswith("data: [")]
        file = json.loads(result.removeprefix("data: "))[0]["value"]
        assert client.get(file["url"]).status_code == 200
    assert program.wait(60) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("program", [1 << 18], indirect=True)
def test_memory_is_bounded(program: subprocess.Popen[str]) -> None:
    """100 embeddings of 1 MiB and as much of 100 bodies: twice 100 MiB, were all of it kept."""
    import httpx2

    def megabytes(name: str) -> int:
        status = Path(f"/proc/{program.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) // 1024

    url = start(program)
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with httpx2.Client(base_url=url, timeout=60) as client, ExitStack() as stack:
        assert client.get("").status_code == 200
        before = megabytes("VmRSS")
        for _ in range(100):
            value = client.post("run/predict", json={"data": ["0"]}).json()["data"][0]["value"]
            assert client.get(value["url"]).status_code == 200
        head = b"POST /run/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
        for _ in range(100):
            connection = socket.create_connection((host, int(port)), timeout=60)
            stack.enter_context(connection).sendall(head + bytes(1 << 20))
        assert client.get("").status_code == 200
        # Kept: 32 MiB of embeddings; of each body up to uvicorn's 64 KiB and one read of
        # asyncio's, which is as large as 256 KiB where the loop has fallen behind.
        assert megabytes("VmHWM") - before < 120, "32 MiB of embeddings, 32 MiB of bodies, and more"
