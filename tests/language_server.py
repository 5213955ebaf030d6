"""A server with OpenAI's interface, as far as it is asked here, in a thread of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from local_server import serving

Message = dict[str, str]
"""What a choice holds: content, and perhaps reasoning_content."""


class FakeLanguageServer(HTTPServer):
    """Answers every question as it is told; keeps what was asked."""

    def __init__(self, answer: Callable[[dict[str, Any]], Message]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def serve_forever(self, poll_interval: float = 0.01) -> None:
        super().serve_forever(poll_interval)


class _Handler(BaseHTTPRequestHandler):
    server: FakeLanguageServer

    def do_GET(self) -> None:
        known = self.path == "/v1/models"
        self._send(200 if known else 404, {"data": [{"id": "motion"}, {"id": "other"}]})

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.append(self.headers["Authorization"])
        if self.path != "/v1/chat/completions" or document["model"] != "motion":
            self._send(404, {"error": {"message": f"no model {document['model']}"}})
            return
        self.server.asked.append(document)
        message = self.server.answer(document)
        if not document["stream"]:
            self._send(200, {"choices": [{"message": {"role": "assistant", **message}}]})
            return
        events: list[dict[str, Any]] = [{"choices": [{"delta": {"role": "assistant"}}]}]
        for key, text in message.items():
            # By pieces that do not heed words.
            pieces = [text[place : place + 7] for place in range(0, len(text), 7)]
            events += [{"choices": [{"delta": {key: piece}}]} for piece in pieces]
        events.append({"choices": [], "usage": {"total_tokens": 3}})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self._send_bytes(200, "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _send(self, status: int, document: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(document).encode())

    def _send_bytes(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def language_server(
    answer: Callable[[dict[str, Any]], Message] | str,
) -> Iterator[FakeLanguageServer]:
    """Run one until the block ends; a text is its answer to everything."""

    def tell(document: dict[str, Any]) -> Message:
        return {"content": answer} if isinstance(answer, str) else answer(document)

    with serving(FakeLanguageServer(tell)) as running:
        yield running
