from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from local_server import WIDTH, embedding, serving

from motionrt.runtime.errors import BackendError
from motionrt.runtime.text.client import TextEncoderClient
from motionrt.runtime.text.server import TextEncoderServer


@pytest.fixture
def server() -> Iterator[TextEncoderServer]:
    with serving(TextEncoderServer(embedding, port=0)) as running:
        yield running


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
        TextEncoderServer(embedding, port=server.server_address[1])
