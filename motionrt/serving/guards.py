"""Who may ask and how much: what stands before every application that is served.

Each guard is an ASGI application around another. A request that one refuses never reaches what it
guards, and the answer is JSON: ``{"detail": what is wrong}``.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motionrt.runtime.errors import InputError

MAX_BODY_BYTES = 1 << 17
BODY_SECONDS = 20.0
"""A request's body must be there by then."""
MAX_DISCARDED_BYTES = 1 << 22
"""Of a body that is too large so much is read, so that its sender sees the answer."""


def guarded(
    app: ASGIApp,
    *,
    report: Callable[[str], None],
    hosts: Iterable[str] = (),
    token: str | None = None,
    open_paths: Collection[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    body_seconds: float = BODY_SECONDS,
) -> ASGIApp:
    """Put all guards before an application.

    hosts are names by which it may be asked besides localhost and addresses; token is what clients
    must send as ``Authorization: Bearer``, None to ask for none, except for open_paths; report
    is told of errors that nobody foresaw. InputError if the token cannot be sent in a header.
    """
    app = BodyLimit(app, max_body_bytes, body_seconds)
    if token is not None:
        app = TokenCheck(app, token, open_paths)
    return ErrorAnswers(OriginCheck(HostCheck(app, hosts)), report)


class ErrorAnswers:
    """Answers every error in JSON; one that nobody foresaw as 500, without its text."""

    def __init__(self, app: ASGIApp, report: Callable[[str], None]) -> None:
        """Take the application, and what is told of errors that nobody foresaw."""
        self.app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["app"] = self  # Starlette's router then raises what it would answer in plain text
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except HTTPException as error:
            answer = problem(error)
        except Exception as error:
            self._report(f"{scope['method']} {scope['path']!r}: {type(error).__name__}: {error}")
            answer = problem(HTTPException(500, "internal error"))
            if started:
                raise
        else:
            return
        if not started:
            await answer(scope, receive, send)


def problem(error: HTTPException) -> JSONResponse:
    """Return an error as its answer."""
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


class HostCheck:
    """Refuses requests by a name that is not ours, so that no web page gets in by its own DNS.

    A page whose name is made to mean this machine sends that name. Addresses and localhost cannot
    be made to mean anything else.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """Take the application and the names by which it may be asked."""
        self.app = app
        self._hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        host = Headers(scope=scope).get("host", "")
        if not self._allows(host):
            raise HTTPException(421, f"not served as {host[:100]!r}; allow the name (--allow-host)")
        await self.app(scope, receive, send)

    def _allows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name.rstrip(".") in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class OriginCheck:
    """Refuses what a browser sends on behalf of a page that is not ours."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        own = {f"{scheme}://{headers.get('host', '')}".lower() for scheme in ("http", "https")}
        if (origin is not None and origin.lower() not in own) or site not in (
            "none",
            "same-origin",
        ):
            raise HTTPException(403, "web pages of others may not ask")
        await self.app(scope, receive, send)


class TokenCheck:
    """Refuses requests without the bearer token."""

    def __init__(self, app: ASGIApp, token: str, open_paths: Collection[str] = ()) -> None:
        """Take the application, the token, and the paths that need none.

        InputError if no header can carry the token.
        """
        self.app = app
        self._open_paths = frozenset(open_paths)
        if not re.fullmatch(r"[!-~]+", token):
            raise InputError("the token must be visible ASCII characters, without spaces")
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        is_open = scope["path"] in self._open_paths
        if not (is_open or hmac.compare_digest(given, self._expected)):
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
        await self.app(scope, receive, send)


class BodyLimit:
    """Receives a request's whole body, within limits of size and time, before it is answered."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        """Take the application and the limits."""
        self.app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        stated = Headers(scope=scope).get("content-length", "0")
        if int(stated) > MAX_DISCARDED_BYTES:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._body(receive)
        except TimeoutError:
            raise HTTPException(
                408, "the request came too slowly", {"Connection": "close"}
            ) from None
        if body is None:  # The client has left.
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, replay, send)

    async def _body(self, receive: Receive) -> bytes | None:
        body = bytearray()
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            size += len(message.get("body", b""))
            if size <= self._max_bytes:
                body += message.get("body", b"")
            if size > MAX_DISCARDED_BYTES or not message.get("more_body", False):
                break
        if size > self._max_bytes:
            raise self._too_large()
        return bytes(body)

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413, f"a request may have {self._max_bytes} bytes", {"Connection": "close"}
        )
