"""Serve a text encoder by the protocol of Kimodo's own server, without Gradio.

Clients of Gradio find what they need: ``/config``, ``/info``, the queue (``/queue/join``,
``/queue/data``), the plain calls (``/call/DemoWrapper``), and the resulting file. Embeddings are
kept in memory for a while and never written to disk.
"""

from __future__ import annotations

import io
import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import BackendError, MotionrtError
from motionrt.runtime.text.client import API_NAME

PREFIX = "/gradio_api"
MAX_BODY_BYTES = 1 << 20
MAX_KEPT = 256
"""Embeddings and calls that are remembered; the oldest are forgotten."""
IDLE_SECONDS = 60.0
"""A connection that is silent for so long is closed."""
HEARTBEAT_SECONDS = 10.0

Encode = Callable[[str], NDArray[np.float32]]


class TextEncoderServer(ThreadingHTTPServer):
    """An HTTP server around a function from one prompt to its embedding (W,)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        encode: Encode,
        host: str = "127.0.0.1",
        port: int = 9550,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """Bind the address (port 0 takes a free one); serve_forever answers.

        log is told each prompt that was encoded. BackendError if the address cannot be had.
        """
        self.log = log or (lambda line: None)
        self._encode = encode
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self.files: OrderedDict[str, bytes] = OrderedDict()
        self.calls: OrderedDict[str, list[Any]] = OrderedDict()
        self.sessions: OrderedDict[str, list[tuple[str, list[Any]]]] = OrderedDict()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise BackendError(f"cannot serve on {host}:{port} ({error.strerror})") from None

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}/"

    def remember(self, kept: OrderedDict[str, Any], key: str, value: Any) -> None:
        """Keep a value for a while."""
        with self._lock:
            kept[key] = value
            while len(kept) > MAX_KEPT:
                kept.popitem(last=False)

    def take(self, kept: OrderedDict[str, Any], key: str) -> Any:
        """Return a kept value and forget it; None if there is none."""
        with self._lock:
            return kept.pop(key, None)

    def join(self, session: str, event: str, data: list[Any]) -> None:
        """Put a call into a session's queue."""
        with self._lock:
            self.sessions.setdefault(session, []).append((event, data))
            while len(self.sessions) > MAX_KEPT:
                self.sessions.popitem(last=False)

    def run(self, data: list[Any], base: str) -> list[Any]:
        """Encode a call's prompt; return its results. MotionrtError if it cannot be."""
        if not data or not isinstance(data[0], str):
            raise BackendError("the first argument must be the text")
        with self._encoding:
            row = np.asarray(self._encode(data[0]), np.float32).reshape(1, -1)
        self.log(data[0])
        buffer = io.BytesIO()
        np.save(buffer, row)
        path = f"{uuid.uuid4().hex}.npy"
        self.remember(self.files, path, buffer.getvalue())
        file = {
            "path": path,
            "url": f"{base}{PREFIX}/file={path}",
            "size": len(buffer.getvalue()),
            "orig_name": path,
            "mime_type": None,
            "is_stream": False,
            "meta": {"_type": "gradio.FileData"},
        }
        return [
            {"value": file, "visible": True, "__type__": "update"},
            f"encoded as {row.shape[1]} numbers",
        ]


class _Handler(BaseHTTPRequestHandler):
    server: TextEncoderServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).removeprefix(PREFIX)
        if path == "/config":
            self._json(_config(self._base()))
        elif path == "/info":
            self._json(_info())
        elif path.startswith("/heartbeat/"):
            self._heartbeat()
        elif path == "/queue/data":
            self._queue(parse_qs(parts.query).get("session_hash", [""])[0])
        elif path.startswith(f"/call/{API_NAME}/"):
            self._call(path.rpartition("/")[2])
        elif path.startswith(("/file=", "/file/")):
            self._file(path[6:])
        elif path == "/":
            self._send(HTTPStatus.OK, b"motionrt text encoder\n", "text/plain")
        else:
            self._problem(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix(PREFIX)
        body = self._body()
        if body is None:
            return
        data = body.get("data")
        if not isinstance(data, list):
            self._problem(HTTPStatus.UNPROCESSABLE_ENTITY, "data must be a list")
            return
        event = uuid.uuid4().hex
        if path in (f"/call/{API_NAME}", f"/call/{API_NAME}/"):
            self.server.remember(self.server.calls, event, data)
            self._json({"event_id": event})
        elif path == "/queue/join":
            self.server.join(str(body.get("session_hash")), event, data)
            self._json({"event_id": event})
        elif path in (f"/run/{API_NAME}", f"/api/{API_NAME}", "/run/predict", "/api/predict"):
            try:
                self._json({"data": self.server.run(data, self._base())})
            except MotionrtError as error:
                self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        else:
            self._problem(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _call(self, event: str) -> None:
        data = self.server.take(self.server.calls, event)
        if data is None:
            self._problem(HTTPStatus.NOT_FOUND, "no such call")
            return
        self._start_stream()
        try:
            result = self.server.run(data, self._base())
        except MotionrtError as error:
            self._stream(f"event: error\ndata: {json.dumps(str(error))}\n\n")
        else:
            self._stream(f"event: complete\ndata: {json.dumps(result)}\n\n")

    def _queue(self, session: str) -> None:
        self._start_stream()
        for event, data in self.server.take(self.server.sessions, session) or []:
            self._event(event, "process_starts", eta=None)
            try:
                result = self.server.run(data, self._base())
            except MotionrtError as error:
                self._event(
                    event,
                    "process_completed",
                    success=False,
                    output={"error": str(error), "data": []},
                    title="Error",
                )
                continue
            output = {"data": result, "is_generating": False, "duration": 0.0}
            output |= {"average_duration": 0.0, "render_config": None, "changed_state_ids": []}
            self._event(event, "process_completed", success=True, output=output)
        self._event(None, "close_stream")

    def _event(self, event: str | None, kind: str, **content: Any) -> None:
        message = {"msg": kind, "event_id": event, **content}
        self._stream(f"data: {json.dumps(message)}\n\n")

    def _heartbeat(self) -> None:
        """Keep a session's connection open until the client leaves, as its clients expect."""
        self._start_stream()
        waiting = threading.Event()
        try:
            while True:
                self._stream("data: ALIVE\n\n")
                waiting.wait(HEARTBEAT_SECONDS)
        except OSError:
            return

    def _file(self, path: str) -> None:
        with self.server._lock:
            data = self.server.files.get(path)
        if data is None:
            self._problem(HTTPStatus.NOT_FOUND, "no such file")
        else:
            self._send(HTTPStatus.OK, data, "application/octet-stream")

    def _body(self) -> dict[str, Any] | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._problem(HTTPStatus.BAD_REQUEST, "the request is no JSON object")
            return None
        return body

    def _base(self) -> str:
        host = self.headers.get("Host")
        return f"http://{host}" if host else self.server.url.rstrip("/")

    def _start_stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _stream(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _json(self, value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _problem(self, status: HTTPStatus, what: str) -> None:
        self._json({"detail": what}, status)

    def _send(self, status: HTTPStatus, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of single requests."""

    def handle_one_request(self) -> None:
        """Let a client leave whenever it likes."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True


def _config(root: str) -> dict[str, Any]:
    """Describe the application as Gradio does, as far as its clients look."""
    text = {"type": "textbox", "props": {"visible": True, "name": "textbox"}}
    button = {"type": "downloadbutton", "props": {"visible": True, "name": "downloadbutton"}}
    return {
        "version": "5.0.0",
        "api_prefix": PREFIX,
        "root": root,
        "protocol": "sse_v3",
        "app_id": 1,
        "mode": "blocks",
        "title": "motionrt text encoder",
        "is_space": False,
        "space_id": None,
        "auth_required": None,
        "enable_queue": True,
        "show_api": True,
        "username": None,
        "components": [
            {"id": 1, **text},
            {"id": 2, **text},
            {"id": 3, **button},
            {"id": 4, **text},
        ],
        "dependencies": [
            {
                "id": 0,
                "api_name": API_NAME,
                "inputs": [1, 2],
                "outputs": [3, 4],
                "backend_fn": True,
                "queue": None,
                "show_api": True,
                "api_visibility": "public",
                "types": {"generator": False, "cancel": False},
                "cancels": [],
                "batch": False,
                "targets": [],
                "js": None,
                "zerogpu": False,
            }
        ],
    }


def _info() -> dict[str, Any]:
    """Describe the function's arguments and results, as Gradio's ``/info`` does."""

    def value(label: str, component: str, type_: str, python: str) -> dict[str, Any]:
        return {
            "label": label,
            "parameter_name": label,
            "parameter_has_default": False,
            "parameter_default": None,
            "type": {"type": type_},
            "python_type": {"type": python, "description": ""},
            "component": component,
            "example_input": "",
        }

    endpoint = {
        "parameters": [
            value("text", "Textbox", "string", "str"),
            value("filename", "Textbox", "string", "str"),
        ],
        "returns": [
            value("file", "Downloadbutton", "object", "filepath"),
            value("message", "Textbox", "string", "str"),
        ],
        "show_api": True,
        "api_visibility": "public",
    }
    return {"named_endpoints": {f"/{API_NAME}": endpoint}, "unnamed_endpoints": {}}
