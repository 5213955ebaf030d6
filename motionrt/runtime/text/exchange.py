"""Requests to a server that is not trusted: limits of time and size, no redirects, no coding."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from motionrt.runtime.errors import LONGEST_QUOTE, BackendError, one_line

MAX_PROBLEM_BYTES = 1 << 12
"""Of an answer that says what is wrong so much is read."""


@dataclass(frozen=True)
class ServerKind:
    """What a server is, as messages say it."""

    name: str
    token: str
    """How to give it a token."""
    start: str
    """How to have one."""


TEXT_ENCODER = ServerKind(
    "a text-encoder server",
    "give --text-encoder-token or TEXT_ENCODER_TOKEN",
    "start a server with: motionrt serve-text",
)


class Exchange:
    """A client of one server. Every failure is a BackendError of one line.

    Each request has a connection of its own: one that is kept may be gone when it is needed next.
    """

    def __init__(
        self, url: str, token: str | None, proxies: bool, kind: ServerKind = TEXT_ENCODER
    ) -> None:
        """Take the server's address, with a slash at its end.

        token is sent as ``Authorization: Bearer``; proxies says whether those of the environment
        are used.
        """
        self.url = url
        self._kind = kind
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # Reading the system's certificates takes long, and plain HTTP needs none.
        verify = True if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            self._client = httpx2.Client(
                headers=headers,
                verify=verify,
                trust_env=proxies,
                follow_redirects=False,
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            said = one_line(error, LONGEST_QUOTE)
            raise BackendError(
                f"{url}: the proxy of the environment is of no use ({said})"
            ) from None

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self._client.close()

    def read(self, path: str, body: bytes | None, seconds: float, most: int) -> bytes:
        """Return an answer's bytes."""
        with self.stream(path, body, seconds, most) as chunks:
            return b"".join(chunks)

    @contextmanager
    def stream(
        self, path: str, body: bytes | None, seconds: float, most: int
    ) -> Iterator[Iterator[bytes]]:
        """Ask for a path, with a slash first from the origin; give the answer's bytes.

        A body is posted. All must be done within the seconds, and within the bytes.
        """
        place = self._origin + path if path.startswith("/") else self.url + path
        deadline = _Deadline(seconds)
        try:
            with (
                deadline,
                self._client.stream(
                    "GET" if body is None else "POST",
                    place,
                    content=body,
                    timeout=seconds,
                    extensions={"trace": deadline.watch},
                ) as response,
            ):
                self._check(response, path)
                yield self._limited(response, most)
            if deadline.passed:  # A cut looks like an end, where an answer does not state its size.
                raise self._late(seconds)
        except httpx2.TimeoutException:
            raise self._late(seconds) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            if deadline.passed:
                raise self._late(seconds) from None
            raise self._broken(error) from None

    def _check(self, response: httpx2.Response, path: str) -> None:
        """Raise BackendError unless an answer is one that can be read."""
        status = response.status_code
        asked = f"to /{path.lstrip('/').split('/')[0]}"
        if status in (429, 503):
            raise BackendError(f"{self.url}: is busy (answered {status}); ask again later")
        if status == 401:
            raise BackendError(f"{self.url}: asks for a token (answered 401); {self._kind.token}")
        if 300 <= status < 400:
            raise BackendError(
                f"{self.url}: sends elsewhere (answered {status} {asked}); give the address itself"
            )
        if status != 200:
            said = self._problem(response) or f"is it {self._kind.name}?"
            raise BackendError(f"{self.url}: answered {status} {asked}; {said}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise BackendError(f"{self.url}: its answer is compressed, which was not asked for")

    def _problem(self, response: httpx2.Response) -> str | None:
        """Return what an answer says is wrong: one of ours, or with OpenAI's interface."""
        try:
            answer = msgspec.json.decode(b"".join(self._limited(response, MAX_PROBLEM_BYTES)))
        except (BackendError, msgspec.MsgspecError, RecursionError):
            return None
        if not isinstance(answer, dict):
            return None
        error = answer.get("error")
        detail = answer.get("detail", error.get("message") if isinstance(error, dict) else None)
        return one_line(detail, LONGEST_QUOTE) if isinstance(detail, str) else None

    def _limited(self, response: httpx2.Response, most: int) -> Iterator[bytes]:
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > most:
                raise BackendError(f"{self.url}: its answer is larger than expected")
            yield chunk

    def _late(self, seconds: float) -> BackendError:
        return BackendError(f"{self.url}: no answer within {seconds:g} s")

    def _broken(self, error: Exception) -> BackendError:
        said = one_line(str(error) or type(error).__name__, LONGEST_QUOTE)
        if isinstance(error, httpx2.ConnectError):
            return BackendError(f"{self.url}: cannot connect ({said}); {self._kind.start}")
        return BackendError(f"{self.url}: the connection broke ({said})")


class _Deadline:
    """Cuts a request's connections when its time is over.

    Timeouts of sockets are for silence: a server that sends a byte now and then never meets them.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """Note the connections that httpx opens (its trace extension)."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._sockets.append(info["return_value"].get_extra_info("socket"))
                if self.passed:
                    self._shut()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            self._shut()

    def _shut(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                # The plain method: that of TLS first forgets its state, while another thread reads.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
