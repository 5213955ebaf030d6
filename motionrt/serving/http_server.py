"""An ASGI application on one address: connections within limits, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import ipaddress
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from motionrt.runtime.errors import BackendError

BACKLOG = 128
"""Connections that wait to be accepted: so many are taken before what arrived is read."""
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\n\r\n"
)


@dataclasses.dataclass(frozen=True)
class ConnectionLimits:
    """What connections may take."""

    connections: int = 512
    """At once; the one that has waited longest for a whole request makes room for a new one."""
    head_bytes: int = 1 << 15
    request_seconds: float = 20.0
    """A connection that has not sent the head of a request by then is closed."""
    write_seconds: float = 20.0
    """So is one whose client has not taken its answer by then."""
    stop_seconds: float = 60.0
    """Told to stop, a server lets what runs finish for so long."""


class HttpServer:
    """Serves an application until it is told to stop."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        limits: ConnectionLimits | None = None,
        finished: Callable[[], bool] = lambda: True,
    ) -> None:
        """Bind the address (port 0 takes a free one); serve_forever answers.

        finished is asked repeatedly once the server is told to stop: while it returns False and
        time is left, requests are answered as before. BackendError if the address cannot be had.
        """
        limits = limits or ConnectionLimits()
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except (OSError, UnicodeError) as error:
            raise BackendError(f"cannot serve on {host}:{port}: {_reason(error)}") from None
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=_connection_class(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # or strangers fill the terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[("X-Content-Type-Options", "nosniff")],
            backlog=BACKLOG,
            timeout_keep_alive=max(1, int(limits.request_seconds / 2)),
            timeout_graceful_shutdown=int(limits.stop_seconds),
            h11_max_incomplete_event_size=limits.head_bytes,
        )
        self._server = _Server(config, finished, limits.stop_seconds)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.address
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.address[0].partition("%")[0]).is_loopback

    def serve_forever(self) -> None:
        """Answer requests until shutdown is called or, in the main thread, SIGINT or SIGTERM.

        What runs is finished first; a second signal does not wait for it.
        """
        with self._until_signals():
            self._server.run(sockets=[self._socket])

    def shutdown(self) -> None:
        """Tell serve_forever to return; callable from any thread."""
        self._server.should_exit = True

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give the address back."""
        self._socket.close()

    @contextlib.contextmanager
    def _until_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self._server.force_exit = self._server.should_exit
            self._server.should_exit = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _reason(error: OSError | UnicodeError) -> str:
    """Say why an address cannot be had, and what to do."""
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return "another program serves there; give another port, or 0 for a free one"
    if code == errno.EACCES:
        return "the system keeps this port to itself; give one above 1023, or 0 for a free one"
    if isinstance(error, socket.gaierror) or not code:
        return "this is no address"
    if code == errno.EADDRNOTAVAIL:
        return "this machine has no such address; 0.0.0.0 is all that it has"
    return (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]


class _Server(uvicorn.Server):
    """Stops when what it serves has finished."""

    def __init__(
        self, config: uvicorn.Config, finished: Callable[[], bool], patience: float
    ) -> None:
        super().__init__(config)
        self._finished = finished
        self._patience = patience
        self._told: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to HttpServer: uvicorn would raise them again at the end."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop now."""
        if not await super().on_tick(counter):
            return False
        self._told = self._told or time.monotonic()
        late = time.monotonic() - self._told > self._patience
        return self._finished() or self.force_exit or late


def _connection_class(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits: of its own it waits for a request for ever."""

    class Connection(H11Protocol):
        waiting_since: float
        _request_timer: asyncio.TimerHandle | None = None
        _write_timer: asyncio.TimerHandle | None = None

        @property
        def waits(self) -> bool:
            """Whether no whole request is here."""
            return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

        def connection_made(self, transport: Any) -> None:
            others = [other for other in self.connections if isinstance(other, Connection)]
            if len(others) >= limits.connections:
                waiting = [other for other in others if other.waits]
                if not waiting:
                    transport.write(BUSY)
                    transport.close()
                    transport.set_protocol(asyncio.Protocol())
                    return
                longest = min(waiting, key=lambda other: other.waiting_since)
                self.connections.discard(longest)
                longest.transport.abort()
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._request_timer, self._write_timer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._wait()
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._write_timer = self.loop.call_later(limits.write_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._write_timer is not None:
                self._write_timer.cancel()

        def _wait(self) -> None:
            """Wait for the next request, but not for ever."""
            self.waiting_since = self.loop.time()
            if self._request_timer is not None:
                self._request_timer.cancel()
            self._request_timer = self.loop.call_later(limits.request_seconds, self._expire)

        def _expire(self) -> None:
            # One whose body is not here yet is the body limit's, which answers.
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return Connection
