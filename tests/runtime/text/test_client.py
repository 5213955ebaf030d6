from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import numpy as np
import pytest
from local_server import WIDTH, embedding, serving
from numpy.typing import NDArray

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.text.client import TextEncoderClient, client_from_environment
from motionrt.serving.text_encoder import TextEncoderServer


@pytest.fixture
def server() -> Iterator[TextEncoderServer]:
    with serving(TextEncoderServer(embedding, port=0)) as running:
        yield running


def test_no_prompts_are_no_rows_and_ask_nobody() -> None:
    client = TextEncoderClient("127.0.0.1:9", WIDTH)
    assert client.url == "http://127.0.0.1:9/"
    assert client.encode([]).shape == (0, WIDTH)
    assert client.description == {"encoder": "server", "name": client.url}


def test_a_failure_reaches_the_client(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match="this one cannot be encoded"):
        TextEncoderClient(server.url).encode(["Fail."])


def test_another_width_is_refused(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match=r"is \[1, 16\], expected \[1, 4096\]"):
        TextEncoderClient(server.url, 4096).encode(["Walk."])


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


class QuickServer(HTTPServer):
    """Looks for its end often: a test would wait half a second for it otherwise."""

    def serve_forever(self, poll_interval: float = 0.01) -> None:
        super().serve_forever(poll_interval)


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *args: object) -> None: ...


def test_another_kind_of_server_is_recognised() -> None:
    with serving(QuickServer(("127.0.0.1", 0), _Stranger)) as stranger:
        url = f"http://127.0.0.1:{stranger.server_address[1]}"
        with pytest.raises(BackendError, match="makes no sense"):
            TextEncoderClient(url).encode(["Walk."])


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


class _Gradio(BaseHTTPRequestHandler):
    """What a Gradio server says, each answer a test's own."""

    config: ClassVar[Any] = {"api_prefix": "/gradio_api"}
    event: ClassVar[Any] = {"event_id": "7"}
    stream = 'event: heartbeat\ndata: null\n\nevent: complete\ndata: [{"path": "a b.npy"}, "x"]\n\n'
    file = b""

    def do_GET(self) -> None:
        if self.path == "/config":
            self.answer(json.dumps(self.config).encode())
        elif self.path == "/gradio_api/call/DemoWrapper/7":
            self.answer(self.stream.encode())
        elif self.path == "/gradio_api/file=a%20b.npy":
            self.answer(self.file)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps(self.event).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def ask(**answers: Any) -> NDArray[np.float32]:
    handler = type("Handler", (_Gradio,), {"file": npy(embedding("a")), **answers})
    with serving(QuickServer(("127.0.0.1", 0), handler)) as server:
        rows = TextEncoderClient(f"http://127.0.0.1:{server.server_address[1]}").encode(["a"])
    return np.asarray(rows[0])


def test_gradios_own_answers_are_understood() -> None:
    np.testing.assert_array_equal(ask(), embedding("a"))
    np.testing.assert_array_equal(ask(file=npy(embedding("a")[None, None])), embedding("a"))
    plain = 'event: complete\ndata: ["a b.npy"]\n\n'
    np.testing.assert_array_equal(ask(stream=plain), embedding("a"))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"config": []}, "its answer makes no sense"),
        ({"config": {"api_prefix": 3}}, "its configuration makes no sense"),
        ({"event": {}}, "gave no event id; is it a text-encoder server"),
        ({"stream": "event: error\ndata: null\n\n"}, r"could not encode the prompt \(null\)"),
        ({"stream": "event: complete\ndata: []\n\n"}, "answered without a result"),
        ({"stream": "event: complete\ndata: [3]\n\n"}, "answered without a file"),
        ({"stream": "event: complete\ndata: {\n\n"}, "its answer makes no sense"),
        ({"stream": ""}, "the connection ended before the prompt was encoded"),
        ({"stream": 'event: complete\ndata: ["other.npy"]\n\n'}, "answered 404 to /gradio_api"),
        ({"file": b"PK nothing"}, r"the embedding is no \.npy array"),
        ({"file": npy(np.arange(4))}, "no array of floats"),
        ({"file": npy(np.zeros((2, 4)))}, r"the embedding is \[2, 4\], expected one row"),
        ({"file": npy(np.array([1.0, np.nan]))}, "not finite"),
    ],
)
def test_answers_that_make_no_sense_are_one_line(answers: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError, match=message) as refusal:
        ask(**answers)
    assert "\n" not in str(refusal.value)


def test_a_file_is_never_fetched_from_another_host() -> None:
    elsewhere = {"path": "a b.npy", "url": "http://192.0.2.1/a.npy"}
    stream = f"event: complete\ndata: [{json.dumps(elsewhere)}]\n\n"
    np.testing.assert_array_equal(ask(stream=stream), embedding("a"))
