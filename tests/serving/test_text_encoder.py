from __future__ import annotations

import io
import json
import queue
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import pytest
from local_server import WIDTH, embedding, serving
from numpy.typing import NDArray
from starlette.testclient import TestClient

from motionrt.runtime.errors import BackendError
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.serving.calls import CallLimits
from motionrt.serving.guards import MAX_BODY_BYTES
from motionrt.serving.text_encoder import MAX_HEARTBEATS, TextEncoderServer

CALL = "/gradio_api/call/DemoWrapper"


@pytest.fixture
def server() -> Iterator[TextEncoderServer]:
    with serving(TextEncoderServer(embedding, port=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def stopping_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests here fetch no file, for which a server that stops would wait."""
    monkeypatch.setattr("motionrt.serving.calls.RECENT_SECONDS", 0.0)


def asking(encode: Any = embedding, **settings: Any) -> TestClient:
    """Ask without a network."""
    with TextEncoderServer(encode, port=0, **settings) as bound:
        return TestClient(bound.app, "http://127.0.0.1:9550")


def messages(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


def test_a_client_gets_what_the_encoder_gives(server: TextEncoderServer) -> None:
    prompts = ["A person walks.", "Jump! \u00e9", 'Say "hi".']
    found = TextEncoderClient(server.url, WIDTH).encode(prompts)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack([embedding(p) for p in prompts]))


def test_several_clients_at_once(server: TextEncoderServer) -> None:
    prompts = [f"Prompt {i}." for i in range(12)]
    client = TextEncoderClient(server.url)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda prompt: client.encode([prompt])[0], prompts))
    for prompt, row in zip(prompts, rows, strict=True):
        np.testing.assert_array_equal(row, embedding(prompt))


@pytest.mark.parametrize("prefix", ["", "/gradio_api"])
def test_the_queue_that_gradio_clients_use(prefix: str) -> None:
    client = asking()
    posted = {"data": ["Walk.", "x.npy"], "fn_index": 0, "session_hash": "abc"}
    event = client.post(f"{prefix}/queue/join", json=posted).json()["event_id"]
    told = messages(client.get(f"{prefix}/queue/data?session_hash=abc").text)
    kinds = [message["msg"] for message in told]
    assert kinds == ["process_starts", "process_completed", "close_stream"]
    assert told[1]["event_id"] == event
    file, text = told[1]["output"]["data"]
    assert text == f"encoded as {WIDTH} numbers"
    data = client.get(file["value"]["url"]).content
    assert len(data) == file["value"]["size"]
    np.testing.assert_array_equal(np.load(io.BytesIO(data)), embedding("Walk.")[None])


def test_a_queue_of_several_tells_each_of_its_own() -> None:
    client = asking()
    events = [
        client.post("/queue/join", json={"data": [text], "session_hash": "s"}).json()["event_id"]
        for text in ("Walk.", "Fail.", "Jump.")
    ]
    told = messages(client.get("/queue/data?session_hash=s").text)
    done = [message for message in told if message["msg"] == "process_completed"]
    assert [message["event_id"] for message in done] == events
    assert [message["success"] for message in done] == [True, False, True]
    assert done[1]["output"]["error"] == "this one cannot be encoded"
    assert messages(client.get("/queue/data?session_hash=s").text)[0]["msg"] == "close_stream"


@pytest.mark.parametrize("path", ["run/DemoWrapper", "api/DemoWrapper", "run/predict"])
def test_the_call_that_answers_at_once(path: str) -> None:
    client = asking()
    file = client.post(f"/{path}", json={"data": ["Walk."]}).json()["data"][0]["value"]
    assert client.get(f"/file/{file['path']}").status_code == 200
    answer = client.post(f"/{path}", json={"data": ["Fail."]})
    assert (answer.status_code, answer.json()["detail"]) == (422, "this one cannot be encoded")


def test_what_gradio_clients_look_at_first() -> None:
    client = asking()
    config = client.get("/config").json()
    assert config["root"] == "http://127.0.0.1:9550" and config["api_prefix"] == "/gradio_api"
    assert config["dependencies"][0]["api_name"] == "DemoWrapper"
    assert list(client.get("/gradio_api/info").json()["named_endpoints"]) == ["/DemoWrapper"]
    assert client.get("/").text == "motionrt text encoder\n"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/nothing", None, 404),
        (f"{CALL}/unknown", None, 404),
        ("/gradio_api/file=../../etc/passwd", None, 404),
        ("/gradio_api/file=..%2F..%2Fetc%2Fpasswd", None, 404),
        ("/gradio_api/file=/etc/passwd", None, 404),
        ("/gradio_api/file/unknown.npy", None, 404),
        ("/gradio_api/queue/join", None, 405),
        ("/config", b"{}", 405),
        ("/gradio_api/call/Other", b'{"data": []}', 404),
        (CALL, b"", 400),
        (CALL, b"[1]", 400),
        (CALL, b"{", 400),
        (CALL, b"[" * 100_000, 400),
        (CALL, b'{"data": ' + b"[" * 100_000, 400),
        (CALL, b'{"data": ["a"], "x": ' + b'{"a":' * 20_000, 400),
        (CALL, b'{"data": ["\\ud800"]}', 400),
        (CALL, b'{"data": ["\xff"]}', 400),
        (CALL, b'{"data": [NaN]}', 400),
        (CALL, b"{}", 422),
        (CALL, b'{"data": "Walk."}', 422),
        (CALL, b'{"data": []}', 422),
        (CALL, b'{"data": [["Walk."]]}', 422),
        (CALL, b'{"data": [1e999]}', 400),
        ("/queue/join", b'{"data": ["Walk."]}', 422),
        ("/queue/join", b'{"data": ["Walk."], "session_hash": {}}', 422),
        ("/queue/join", b'{"data": ["a"], "session_hash": "' + b"s" * 129 + b'"}', 422),
        (CALL, b'{"data": ["' + b"a" * MAX_BODY_BYTES + b'"]}', 413),
    ],
)
def test_nonsense_is_answered_with_a_status(path: str, body: bytes | None, status: int) -> None:
    client = asking()
    answer = client.get(path) if body is None else client.post(path, content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


def test_more_than_may_wait_is_refused_and_none_of_it_lost() -> None:
    client = asking(call_limits=CallLimits(calls_of_client=40))
    events = []
    for i in range(40):
        events.append(client.post(CALL, json={"data": [f"Prompt {i}."]}).json()["event_id"])
    answer = client.post(CALL, json={"data": ["One more."]})
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    for i, event in enumerate(events):
        line = client.get(f"{CALL}/{event}").text.splitlines()[1]
        place = json.loads(line.removeprefix("data: "))[0]["value"]["url"]
        row = np.load(io.BytesIO(client.get(place).content))[0]
        np.testing.assert_array_equal(row, embedding(f"Prompt {i}."))


def test_an_encoder_that_fails_is_told_without_its_text() -> None:
    def encode(prompt: str) -> NDArray[np.float32]:
        raise RuntimeError("/secret/path: bad")

    reports: list[str] = []
    client = asking(encode, report=reports.append)
    event = client.post(CALL, json={"data": ["Walk."]}).json()["event_id"]
    assert client.get(f"{CALL}/{event}").text == (
        'event: error\ndata: "the text encoder failed"\n\n'
    )
    assert client.post("/run/predict", json={"data": ["Walk."]}).status_code == 500
    assert reports == ["'Walk.': RuntimeError: /secret/path: bad"] * 2


def test_a_log_that_cannot_be_written_costs_no_call() -> None:
    def log(prompt: str) -> None:
        raise BrokenPipeError

    assert asking(log=log).post("/run/predict", json={"data": ["Walk."]}).status_code == 200


class Held:
    """An encoder that waits until it is let go."""

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.go = threading.Semaphore(0)

    def __call__(self, prompt: str) -> NDArray[np.float32]:
        self.begun.put(prompt)
        self.go.acquire(timeout=60)
        return embedding(prompt)


def test_what_joins_while_the_queue_is_read_is_told_in_the_same_stream() -> None:
    held = Held()
    with (
        serving(TextEncoderServer(held, port=0)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        client.post("queue/join", json={"data": ["First."], "session_hash": "s"})
        with client.stream("GET", "queue/data?session_hash=s") as stream:
            assert held.begun.get(timeout=60) == "First."
            client.post("queue/join", json={"data": ["Second."], "session_hash": "s"})
            held.go.release(2)
            stream.read()
    done = [m for m in messages(stream.text) if m["msg"] == "process_completed"]
    assert len(done) == 2 and all(message["success"] for message in done)


@pytest.mark.parametrize("kind", ["call", "queue"])
def test_a_client_that_loses_its_connection_may_come_back(kind: str) -> None:
    held = Held()
    with (
        serving(TextEncoderServer(held, port=0)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        if kind == "call":
            event = client.post(CALL, json={"data": ["Walk."]}).json()["event_id"]
            path = f"{CALL}/{event}"
        else:
            client.post("queue/join", json={"data": ["Walk."], "session_hash": "s"})
            path = "/queue/data?session_hash=s"
        with socket.create_connection(server.address) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert held.begun.get(timeout=60) == "Walk."
        for _ in range(600):  # Until the server has seen that it left.
            with client.stream("GET", path) as stream:
                said = stream.iter_text()
                first = next(said) if kind == "queue" or stream.status_code != 200 else ""
                if stream.status_code == 200 and "close_stream" not in first:
                    held.go.release(2)
                    assert '"size": 192' in "".join(said)
                    return
            threading.Event().wait(0.05)
    pytest.fail("the call was lost")


def test_heartbeats_tell_that_a_call_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionrt.serving.text_encoder.HEARTBEAT_SECONDS", 0.05)
    held = Held()
    with (
        serving(TextEncoderServer(held, port=0)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        event = client.post(CALL, json={"data": ["Walk."]}).json()["event_id"]
        client.post("queue/join", json={"data": ["Jump."], "session_hash": "s"})
        for path, beat in (
            (f"{CALL}/{event}", "event: heartbeat\ndata: null"),
            ("queue/data?session_hash=s", '"msg": "heartbeat"'),
        ):
            with client.stream("GET", path) as stream:
                said = ""
                for text in stream.iter_text():
                    said += text
                    if beat in said:
                        held.go.release()
            assert "size" in said
        row = TextEncoderClient(server.url)
        held.go.release()
        np.testing.assert_array_equal(row.encode(["Walk."])[0], embedding("Walk."))


def test_heartbeats_of_clients_are_limited(server: TextEncoderServer) -> None:
    ask = b"GET /heartbeat/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connections = []
    try:
        for _ in range(MAX_HEARTBEATS):
            connections.append(socket.create_connection(server.address, timeout=60))
            connections[-1].sendall(ask)
        for connection in connections:
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert httpx2.get(f"{server.url}heartbeat/x").status_code == 503
        np.testing.assert_array_equal(
            TextEncoderClient(server.url).encode(["Walk."])[0], embedding("Walk.")
        )
    finally:
        for connection in connections:
            connection.close()
    for _ in range(600):  # Until the server has seen that they left.
        with httpx2.stream("GET", f"{server.url}heartbeat/x") as answer:
            if answer.status_code == 200:
                break
        threading.Event().wait(0.05)
    assert answer.status_code == 200


def test_the_token_is_asked_for_and_given() -> None:
    with serving(TextEncoderServer(embedding, port=0, token="s3cret")) as server:
        found = TextEncoderClient(server.url, token="s3cret").encode(["Walk."])
        np.testing.assert_array_equal(found[0], embedding("Walk."))
        for token in (None, "other"):
            with pytest.raises(BackendError, match=r"asks for a token \(answered 401\); give --te"):
                TextEncoderClient(server.url, token=token).encode(["Walk."])


def test_a_name_that_is_not_allowed_is_told_to_the_client() -> None:
    with TextEncoderServer(embedding, port=0, hosts=["encoder.example"]) as bound:
        client = TestClient(bound.app, "http://encoder.example")
        assert client.get("/config").json()["root"] == "http://encoder.example"
    answer = asking().get("/config", headers={"Host": "encoder.example"})
    assert answer.status_code == 421


def test_a_port_that_is_taken_is_refused(server: TextEncoderServer) -> None:
    with pytest.raises(BackendError, match="cannot serve on"):
        TextEncoderServer(embedding, port=server.address[1])
