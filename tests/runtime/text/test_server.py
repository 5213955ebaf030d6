import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from numpy.typing import NDArray

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.text.client import TextEncoderClient, client_from_environment
from motionrt.runtime.text.server import TextEncoderServer

WIDTH = 16


def _embedding(prompt: str) -> NDArray[np.float32]:
    if prompt == "Fail.":
        raise InputError("this one cannot be encoded")
    seed = sum(prompt.encode())
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


@pytest.fixture
def server() -> Iterator[TextEncoderServer]:
    with TextEncoderServer(_embedding, port=0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_client_gets_what_the_encoder_gives(server: TextEncoderServer) -> None:
    prompts = ["A person walks.", "Jump! \u00e9", 'Say "hi".']
    found = TextEncoderClient(server.url, WIDTH).encode(prompts)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack([_embedding(p) for p in prompts]))


def test_several_clients_at_once(server: TextEncoderServer) -> None:
    prompts = [f"Prompt {i}." for i in range(12)]
    client = TextEncoderClient(server.url)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda prompt: client.encode([prompt])[0], prompts))
    for prompt, row in zip(prompts, rows, strict=True):
        np.testing.assert_array_equal(row, _embedding(prompt))


def test_the_queue_that_gradio_clients_use(server: TextEncoderServer) -> None:
    body = {"data": ["Walk.", "x.npy"], "fn_index": 0, "session_hash": "abc"}
    api = f"{server.url}gradio_api/"
    request = urllib.request.Request(f"{api}queue/join", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as response:
        event = json.loads(response.read())["event_id"]
    with urllib.request.urlopen(f"{api}queue/data?session_hash=abc", timeout=5) as response:
        lines = response.read().decode().split("\n\n")
    messages = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    kinds = [message["msg"] for message in messages]
    assert kinds == ["process_starts", "process_completed", "close_stream"]
    assert messages[1]["event_id"] == event
    file = messages[1]["output"]["data"][0]["value"]
    with urllib.request.urlopen(file["url"], timeout=5) as response:
        assert len(response.read()) == file["size"]


def test_a_failure_reaches_the_client(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match="this one cannot be encoded"):
        TextEncoderClient(server.url).encode(["Fail."])


def test_another_width_is_refused(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match=r"is \[1, 16\], expected \[1, 4096\]"):
        TextEncoderClient(server.url, 4096).encode(["Walk."])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("nothing", None, 404),
        ("gradio_api/call/DemoWrapper/unknown", None, 404),
        ("gradio_api/file=../../etc/passwd", None, 404),
        ("gradio_api/call/DemoWrapper", b"[1]", 400),
        ("gradio_api/call/DemoWrapper", b"{", 400),
        ("gradio_api/call/DemoWrapper", b"{}", 422),
        ("gradio_api/call/Other", b'{"data": []}', 404),
    ],
)
def test_nonsense_is_answered_with_a_status(
    server: TextEncoderServer, path: str, body: bytes | None, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(server.url + path, body), timeout=5)
    assert caught.value.code == status
    caught.value.close()


def test_a_port_that_is_taken_is_refused(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match="cannot serve on"):
        TextEncoderServer(_embedding, port=server.server_address[1])


def test_no_server_is_told_in_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BackendError, match=r"cannot connect \([^\n]+motionrt serve-text$"):
        TextEncoderClient(f"http://127.0.0.1:{port}").encode(["Walk."])


def test_a_silent_server_times_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BackendError, match="no answer within"):
            TextEncoderClient(url, connect_seconds=0.2).encode(["Walk."])


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None: ...


def test_another_kind_of_server_is_recognised() -> None:
    with HTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        thread = threading.Thread(target=stranger.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{stranger.server_address[1]}"
        with pytest.raises(BackendError, match="makes no sense"):
            TextEncoderClient(url).encode(["Walk."])
        stranger.shutdown()
        thread.join()


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "file:///etc/passwd"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="text encoder URL"):
        TextEncoderClient(url)


def test_environment_decides_unless_a_url_is_given() -> None:
    free = "http://127.0.0.1:9"
    assert client_from_environment(environment={}) is None
    assert client_from_environment(environment={"TEXT_ENCODER_URL": ""}) is None
    assert client_from_environment(environment={"TEXT_ENCODER_URL": free}) is not None
    local = {"TEXT_ENCODER_URL": free, "TEXT_ENCODER_MODE": "local"}
    assert client_from_environment(environment=local) is None
    assert client_from_environment(free, environment=local) is not None
    default = client_from_environment(environment={"TEXT_ENCODER_MODE": "api"})
    assert default is not None
    assert default.url == "http://127.0.0.1:9550/"
    absent = {"TEXT_ENCODER_URL": free, "TEXT_ENCODER_MODE": "auto"}
    assert client_from_environment(environment=absent) is None
    with pytest.raises(InputError, match="TEXT_ENCODER_MODE"):
        client_from_environment(environment={"TEXT_ENCODER_MODE": "remote"})
