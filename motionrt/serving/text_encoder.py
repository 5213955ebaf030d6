"""Serve a text encoder by the protocol of Kimodo's own server, without Gradio.

Clients of Gradio find what they need: ``/config``, ``/info``, the queue (``/queue/join``,
``/queue/data``), the plain calls (``/call/DemoWrapper``), and the resulting file. Embeddings are
kept in memory for a while and never written to disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from motionrt.runtime.errors import BackendError, InputError, MotionrtError
from motionrt.runtime.text.client import API_NAME
from motionrt.serving.calls import Call, CallLimits, Calls
from motionrt.serving.guards import guarded
from motionrt.serving.http_server import ConnectionLimits, HttpServer

PREFIX = "/gradio_api"
HEARTBEAT_SECONDS = 10.0
MAX_HEARTBEATS = 128
"""Clients of Gradio that keep a connection open, to be told that the server is there."""
MAX_SESSION_LENGTH = 128

Encode = Callable[[str], NDArray[np.float32]]
Report = Callable[[str], None]


class TextEncoderServer(HttpServer):
    """An HTTP server around a function from one prompt to its embedding (W,)."""

    def __init__(
        self,
        encode: Encode,
        host: str = "127.0.0.1",
        port: int = 9550,
        log: Report | None = None,
        *,
        report: Report | None = None,
        hosts: Iterable[str] = (),
        token: str | None = None,
        connection_limits: ConnectionLimits | None = None,
        call_limits: CallLimits | None = None,
    ) -> None:
        """Bind the address (port 0 takes a free one); serve_forever answers.

        log is told each prompt that was encoded, report each error that nobody foresaw (the
        standard error stream, unless it is given); hosts and token as guarded takes them.
        BackendError if the address cannot be had.
        """
        app = TextEncoderApp(encode, log, report, call_limits)
        self.app = guarded(app.routes, report=app.report, hosts=(host, *hosts), token=token)
        super().__init__(self.app, host, port, connection_limits, app.finished)


class TextEncoderApp:
    """What is asked of a text encoder, and how it is answered."""

    def __init__(
        self,
        encode: Encode,
        log: Report | None = None,
        report: Report | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        """Take the encoder, as TextEncoderServer does."""
        self.report = report or (lambda line: print(line, file=sys.stderr))
        self._encode = encode
        self._log = log or (lambda line: None)
        self._calls = Calls(self._file, limits)
        self._width = 0
        self._heartbeats = 0
        self._stopping = asyncio.Event()

    @property
    def routes(self) -> ASGIApp:
        """The ASGI application."""
        routes: list[BaseRoute] = [Route("/", self._hello)]
        for prefix in ("", PREFIX):
            routes += [
                Route(f"{prefix}/config", self._config),
                Route(f"{prefix}/info", self._info),
                Route(f"{prefix}/heartbeat/{{session}}", self._heartbeat),
                Route(f"{prefix}/queue/join", self._join, methods=["POST"]),
                Route(f"{prefix}/queue/data", self._queue),
                Route(f"{prefix}/call/{API_NAME}", self._accept, methods=["POST"]),
                Route(f"{prefix}/call/{API_NAME}/", self._accept, methods=["POST"]),
                Route(f"{prefix}/call/{API_NAME}/{{event}}", self._call),
                Route(f"{prefix}/file={{name}}", self._fetch),
                Route(f"{prefix}/file/{{name}}", self._fetch),
            ]
            for name in (f"run/{API_NAME}", f"api/{API_NAME}", "run/predict", "api/predict"):
                routes.append(Route(f"{prefix}/{name}", self._run, methods=["POST"]))
        return Router(routes, redirect_slashes=False)

    def finished(self) -> bool:
        """Return whether nobody waits any more; asked once the server is told to stop."""
        self._stopping.set()
        return self._calls.finished()

    # What is asked

    async def _hello(self, request: Request) -> Response:
        return PlainTextResponse("motionrt text encoder\n")

    async def _config(self, request: Request) -> Response:
        return JSONResponse(_config(_base(request)))

    async def _info(self, request: Request) -> Response:
        return JSONResponse(_info())

    async def _accept(self, request: Request) -> Response:
        return JSONResponse({"event_id": self._accepted(request, await _posted(request)).event})

    async def _join(self, request: Request) -> Response:
        posted = await _posted(request)
        if not isinstance(posted.session, str) or len(posted.session) > MAX_SESSION_LENGTH:
            raise HTTPException(422, "session_hash must be a short text")
        return JSONResponse({"event_id": self._accepted(request, posted, posted.session).event})

    async def _run(self, request: Request) -> Response:
        call = self._accepted(request, await _posted(request))
        self._calls.take(call.event)
        try:
            return JSONResponse({"data": await self._result(call, _base(request))})
        except MotionrtError as error:
            raise HTTPException(422 if isinstance(error, InputError) else 500, str(error)) from None

    async def _call(self, request: Request) -> Response:
        call = self._calls.take(request.path_params["event"])
        if call is None:
            raise HTTPException(404, "no such call")
        return _stream(self._answer(call, _base(request)))

    async def _queue(self, request: Request) -> Response:
        session = request.query_params.get("session_hash", "")
        return _stream(self._answers(session, _base(request)))

    async def _heartbeat(self, request: Request) -> Response:
        if self._heartbeats >= MAX_HEARTBEATS:
            raise HTTPException(503, "too many clients ask for a heartbeat")
        return _stream(self._beats())

    async def _fetch(self, request: Request) -> Response:
        data = self._calls.fetch(request.path_params["name"])
        if data is None:
            raise HTTPException(404, "no such file")
        return Response(data, media_type="application/octet-stream")

    def _accepted(self, request: Request, posted: _Posted, session: str | None = None) -> Call:
        if self._stopping.is_set():
            raise HTTPException(503, "the server stops")
        client = request.client.host if request.client else ""
        return self._calls.accept(posted.prompt, client, session)

    # How it is answered

    async def _answer(self, call: Call, base: str) -> AsyncIterator[str]:
        """Yield the events of a plain call."""
        try:
            async with self._running(call, base) as result:
                while not await _within(result, HEARTBEAT_SECONDS):
                    yield "event: heartbeat\ndata: null\n\n"
                yield f"event: complete\ndata: {json.dumps(result.result())}\n\n"
        except MotionrtError as error:
            yield f"event: error\ndata: {json.dumps(str(error))}\n\n"

    async def _answers(self, session: str, base: str) -> AsyncIterator[str]:
        """Yield the messages of a session's queue, until nothing waits in it."""
        while (call := self._calls.take_next(session)) is not None:
            try:
                async with self._running(call, base) as result:
                    yield _message(call.event, "process_starts", eta=None)
                    while not await _within(result, HEARTBEAT_SECONDS):
                        yield _message(None, "heartbeat")
                    output = {"data": result.result(), "is_generating": False, "duration": 0.0}
                    output |= {"average_duration": 0.0, "render_config": None}
                    output |= {"changed_state_ids": []}
                    yield _message(call.event, "process_completed", success=True, output=output)
            except MotionrtError as error:
                output = {"error": str(error), "data": []}
                yield _message(
                    call.event, "process_completed", success=False, output=output, title="Error"
                )
        yield _message(None, "close_stream")

    @contextlib.asynccontextmanager
    async def _running(self, call: Call, base: str) -> AsyncIterator[asyncio.Task[list[Any]]]:
        """Run a call; if its client leaves before the answer, let it wait again."""
        task = asyncio.create_task(self._result(call, base))
        try:
            yield task
        finally:
            if not task.done():
                task.cancel()
                self._calls.put_back(call)

    async def _result(self, call: Call, base: str) -> list[Any]:
        """Encode a call's prompt; return the results of the function. MotionrtError on failure."""
        try:
            name, data = await self._calls.run(call)
        except MotionrtError:
            raise
        except Exception as error:
            self.report(f"{call.prompt[:100]!r}: {type(error).__name__}: {error}")
            raise BackendError("the text encoder failed") from None
        file = {
            "path": name,
            "url": f"{base}{PREFIX}/file={name}",
            "size": len(data),
            "orig_name": name,
            "mime_type": None,
            "is_stream": False,
            "meta": {"_type": "gradio.FileData"},
        }
        message = f"encoded as {self._width} numbers"
        return [{"value": file, "visible": True, "__type__": "update"}, message]

    async def _beats(self) -> AsyncIterator[str]:
        """Keep a session's connection open until the client leaves, as its clients expect."""
        self._heartbeats += 1
        try:
            while not self._stopping.is_set():
                yield "data: ALIVE\n\n"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), HEARTBEAT_SECONDS)
        finally:
            self._heartbeats -= 1

    def _file(self, prompt: str) -> bytes:
        """Encode a prompt; return a .npy file with its embedding [1, W]."""
        row = np.asarray(self._encode(prompt), np.float32).reshape(1, -1)
        self._width = row.shape[1]
        with contextlib.suppress(OSError):  # Nobody may be listening.
            self._log(prompt)
        buffer = io.BytesIO()
        np.save(buffer, row)
        return buffer.getvalue()


class _Posted(NamedTuple):
    prompt: str
    session: Any


async def _posted(request: Request) -> _Posted:
    """Return the prompt and the session of what was posted; HTTPException if it has no prompt."""
    try:
        body = msgspec.json.decode(await request.body())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "the request is no JSON object")
    data = body.get("data")
    if not isinstance(data, list):
        raise HTTPException(422, "data must be a list")
    if not data or not isinstance(data[0], str):
        raise HTTPException(422, "the first argument must be the text")
    return _Posted(data[0], body.get("session_hash"))


async def _within(task: asyncio.Task[list[Any]], seconds: float) -> bool:
    """Wait for a task, but not longer; return whether it is done."""
    await asyncio.wait({task}, timeout=seconds)
    return task.done()


def _base(request: Request) -> str:
    return f"http://{request.headers['host']}"


def _stream(events: AsyncIterator[str]) -> Response:
    headers = {"Cache-Control": "no-store", "Connection": "close"}
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


def _message(event: str | None, kind: str, **content: Any) -> str:
    return f"data: {json.dumps({'msg': kind, 'event_id': event, **content})}\n\n"


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
