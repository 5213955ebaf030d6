"""Serve a stream of motion to a page: frames as they fall due, and what is asked for on the way.

``frames`` gives server-sent events, ``ask`` takes what shall happen next. While nobody looks, the
stream stands still.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError, MotionrtError, one_line
from motionrt.serving.guards import guarded
from motionrt.serving.http_server import ConnectionLimits, HttpServer
from motionrt.serving.wish import Steered, Wish

CHUNK_SECONDS = 0.1
MAX_VIEWERS = 32
MAX_WAITING = 64
"""Chunks that wait for a viewer who does not take them; the oldest are left out then."""
BEAT_SECONDS = 1.0
"""So often a connection is used at least: who has left is noticed."""
Report = Callable[[str], None]


class LiveStream(Steered, Protocol):
    """What is served: a session of a pipeline's ``stream``."""

    fps: float
    timing: Any
    next_change: int
    position: int

    def play(self, chunk_seconds: float) -> Iterator[Motion]:
        """Yield chunks as they fall due."""


class LiveServer(HttpServer):
    """An HTTP server around a stream and the page that shows it."""

    def __init__(
        self,
        stream: LiveStream,
        page: str,
        host: str = "127.0.0.1",
        port: int = 8760,
        *,
        report: Report | None = None,
        hosts: Iterable[str] = (),
        connection_limits: ConnectionLimits | None = None,
    ) -> None:
        """Bind the address (port 0 takes a free one); serve_forever answers.

        report is told each error that nobody foresaw (the standard error stream, unless it is
        given); hosts as guarded takes them. BackendError if the address cannot be had.
        """
        app = LiveApp(stream, page, report)
        self.app = guarded(app.routes, report=app.report, hosts=(host, *hosts))
        super().__init__(self.app, host, port, connection_limits, app.finished)


class _Viewer:
    """One who looks: messages wait for it in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)

    def offer(self, message: str) -> None:
        """Let a message wait; callable from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._put, message)
        except RuntimeError:  # its loop has ended
            return

    def _put(self, message: str) -> None:
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait(message)

    async def next(self) -> str | None:
        """Wait for a message; None if none comes for a while."""
        try:
            return await asyncio.wait_for(self._messages.get(), BEAT_SECONDS)
        except TimeoutError:
            return None


class LiveApp:
    """What a page asks for, and how it is answered."""

    def __init__(self, stream: LiveStream, page: str, report: Report | None = None) -> None:
        """Take the stream and its page."""
        self.report = report or (lambda line: print(line, file=sys.stderr))
        self._stream, self._page = stream, page
        self._viewers: set[_Viewer] = set()
        self._player: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def routes(self) -> ASGIApp:
        """The ASGI application."""
        return Router(
            [
                Route("/", self._show),
                Route("/frames", self._frames),
                Route("/ask", self._ask, methods=["POST"]),
            ],
            redirect_slashes=False,
        )

    def finished(self) -> bool:
        """End what is open; asked once the server is told to stop."""
        self._stopping = True
        player = self._player
        return player is None or not player.is_alive()

    async def _show(self, request: Request) -> Response:
        return HTMLResponse(self._page, headers={"Cache-Control": "no-store"})

    async def _ask(self, request: Request) -> Response:
        try:
            wish = Wish.read(await request.body())
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        try:
            # In a thread: a prompt may take a while to encode.
            await asyncio.to_thread(wish.grant, self._stream)
        except MotionrtError as error:
            status = 422 if isinstance(error, InputError) else 500
            raise HTTPException(status, str(error)) from None
        return JSONResponse({"from_frame": self._stream.next_change})

    async def _frames(self, request: Request) -> Response:
        viewer = _Viewer()
        with self._lock:
            if len(self._viewers) >= MAX_VIEWERS or self._stopping:
                raise HTTPException(503, "too many look already", {"Retry-After": "5"})
            self._viewers.add(viewer)
            if self._player is None:
                self._player = threading.Thread(target=self._play, name="motionrt-live")
                self._player.start()
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        return StreamingResponse(
            self._events(viewer), headers=headers, media_type="text/event-stream"
        )

    async def _events(self, viewer: _Viewer) -> AsyncIterator[str]:
        try:
            while not self._stopping:
                message = await viewer.next()
                yield ":\n\n" if message is None else f"data: {message}\n\n"
        finally:
            with self._lock:
                self._viewers.discard(viewer)

    def _play(self) -> None:
        """Play the stream as long as somebody looks."""
        chunks = self._stream.play(CHUNK_SECONDS)
        try:
            for motion in chunks:
                if not self._tell(self._message(motion)):
                    return
        except Exception as error:
            line = f"{type(error).__name__}: {error}"
            self.report(line)
            self._tell(json.dumps({"problem": one_line(str(error))}))
            with self._lock:
                self._player = None
        finally:
            chunks.close()  # type: ignore[attr-defined]

    def _tell(self, message: str) -> bool:
        """Give a message to all viewers; False, and the player is gone, if there are none."""
        with self._lock:
            if not self._viewers or self._stopping:
                self._player = None
                return False
            for viewer in self._viewers:
                viewer.offer(message)
            return True

    def _message(self, motion: Motion) -> str:
        stream = self._stream
        timing = stream.timing
        joints = motion.posed_joints.reshape(motion.num_frames, -1).astype(np.float64).round(4)
        reaction = (stream.next_change - stream.position) / stream.fps
        return json.dumps(
            {
                "first": motion.info["first_frame"],
                "prompt": motion.info["prompt"],
                "factor": round(min(timing.real_time_factor(stream.fps), 9999.0), 2),
                "window_ms": round(1000 * timing.last_seconds),
                "reaction_ms": round(1000 * max(reaction, timing.last_seconds)),
                "waited_s": round(timing.waited_seconds, 2),
                "joints": joints.tolist(),
            },
            separators=(",", ":"),
        )
