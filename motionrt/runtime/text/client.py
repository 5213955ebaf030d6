"""A text encoder that another process serves, by the protocol of Kimodo's own server.

That server is a Gradio application with one function, ``/DemoWrapper(text, filename)``, whose first
result names a ``.npy`` file with the embedding. Plain HTTP serves: no Gradio is needed. Nothing
that a server answers is trusted.
"""

from __future__ import annotations

import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import LONGEST_QUOTE, BackendError, InputError, one_line
from motionrt.runtime.text.server_address import checked_address, is_loopback

if TYPE_CHECKING:
    from motionrt.runtime.text.exchange import Exchange

DEFAULT_URL = "http://127.0.0.1:9550/"
API_NAME = "DemoWrapper"
MAX_ANSWER_BYTES = 1 << 24
"""Of a configuration or an embedding's file."""
MAX_STREAM_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 16
MAX_LINES = 10_000
"""Of the events that a server may send until a prompt is encoded."""
MODES = ("auto", "local", "api")

# What is refused besides is no array of floats, or none that numpy.save writes.
_NPY_HEADER = re.compile(
    rb"\{'descr': '([^'\\]{1,16})', 'fortran_order': (?:True|False), "
    rb"'shape': \(((?:\d{1,9}, ?)*(?:\d{1,9})?)\), ?\} *\n"
)
_PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?")
_EVENT = re.compile(r"[A-Za-z0-9_-]{1,128}")


class TextEncoderClient:
    """Encodes prompts on a text-encoder server."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        width: int | None = None,
        connect_seconds: float = 5.0,
        encode_seconds: float = 300.0,
        token: str | None = None,
    ) -> None:
        """Take the server's address; nothing is asked yet.

        width: numbers that an embedding must have. connect_seconds: for a short answer, in all;
        encode_seconds: until a prompt is encoded, in all. token: sent as ``Authorization: Bearer``.
        InputError if url or token is none.
        """
        self.url = checked_address(url, "text encoder")
        self.width = width
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise InputError("the token must be visible ASCII characters, without spaces")
        self.token = token
        self._connect_seconds = connect_seconds
        self._encode_seconds = encode_seconds
        self._api: str | None = None

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as kept beside what it made: a server does not tell more."""
        return {"encoder": "server", "name": self.url}

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (B, W) of cleaned prompts, one call each.

        BackendError if the server is not there, answers nonsense or reports a failure.
        """
        if not prompts:
            return np.zeros((0, self.width or 0), np.float32)
        # Here, because it takes a third of the time in which the command line starts.
        from motionrt.runtime.text.exchange import Exchange

        with Exchange(self.url, self.token, proxies=not is_loopback(self.url)) as exchange:
            rows = [self._encode_one(exchange, prompt) for prompt in prompts]
        widths = {len(row) for row in rows}
        if len(widths) > 1:
            raise BackendError(f"{self.url}: embeddings of different widths {sorted(widths)}")
        return np.stack(rows)

    def probe(self) -> None:
        """Raise BackendError unless the server answers and encodes."""
        self.encode(["Probe."])

    def _encode_one(self, exchange: Exchange, prompt: str) -> NDArray[np.float32]:
        if self._api is None:
            self._api = self._find_api(exchange)
        body = json.dumps({"data": [prompt, f"{uuid.uuid4()}.npy"]}).encode()
        answer = self._json(exchange, f"{self._api}call/{API_NAME}", body)
        event = answer.get("event_id")
        if not isinstance(event, str) or not _EVENT.fullmatch(event):
            raise BackendError(f"{self.url}: gave no event id; is it a text-encoder server?")
        result = self._wait(exchange, f"{self._api}call/{API_NAME}/{event}")
        place = self._place(_file_of(result))
        return self._check(exchange.read(place, None, self._connect_seconds, MAX_ANSWER_BYTES))

    def _find_api(self, exchange: Exchange) -> str:
        """Return where calls go: Gradio 5 and later put a prefix in front."""
        prefix = self._json(exchange, "config", None).get("api_prefix") or ""
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise BackendError(f"{self.url}: its configuration makes no sense")
        return prefix.strip("/") + "/" if prefix.strip("/") else ""

    def _wait(self, exchange: Exchange, path: str) -> list[Any]:
        """Read the event stream of a call until it completes."""
        kind = b""
        with exchange.stream(path, None, self._encode_seconds, MAX_STREAM_BYTES) as chunks:
            for line in self._lines(chunks):
                if line.startswith(b"event:"):
                    kind = line[6:].strip()
                elif line.startswith(b"data:") and kind == b"error":
                    said = one_line(line[5:].strip().decode("utf-8", "replace"), LONGEST_QUOTE)
                    raise BackendError(f"{self.url}: could not encode the prompt ({said})")
                elif line.startswith(b"data:") and kind == b"complete":
                    result = self._parse(line[5:])
                    if isinstance(result, list) and result:
                        return result
                    raise BackendError(f"{self.url}: answered without a result")
        raise BackendError(f"{self.url}: the connection ended before the prompt was encoded")

    def _lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines of an event stream."""
        rest = b""
        count = 0
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            count += len(lines)
            if len(rest) > MAX_LINE_BYTES or count > MAX_LINES:
                raise BackendError(f"{self.url}: sends events without end")
            yield from lines
        yield rest

    def _place(self, file: Any) -> str:
        """Return where a file lies, relative to the server: no other is ever asked."""
        path, url = (file.get("path"), file.get("url")) if isinstance(file, Mapping) else (file, "")
        if isinstance(url, str) and (place := _within(self.url, url)):
            return place
        if not isinstance(path, str) or ".." in re.split(r"[/\\]", path):
            raise BackendError(f"{self.url}: answered without a file")
        try:
            return f"{self._api}file={quote(path)}"
        except UnicodeError:  # A surrogate alone.
            raise BackendError(f"{self.url}: answered without a file") from None

    def _check(self, data: bytes) -> NDArray[np.float32]:
        """Return the row (W,) of a .npy file. Its header is never evaluated."""
        # Magic, version, length of the header; then the array, which must end with the file.
        wide = data[6:7] == b"\x02"
        start = 12 if wide else 10
        end = start + int.from_bytes(data[8:start], "little")
        header = _NPY_HEADER.fullmatch(data, start, end) if end <= len(data) else None
        if data[:6] != b"\x93NUMPY" or data[6:8] not in (b"\x01\0", b"\x02\0") or header is None:
            raise BackendError(f"{self.url}: the embedding is no .npy array")
        kind = header[1].decode("ascii", "replace")
        if not re.fullmatch(r"[<>=]f[248]", kind):
            raise BackendError(f"{self.url}: the embedding is no array of floats")
        shape = [int(size) for size in header[2].replace(b",", b" ").split()]
        width = shape[-1] if shape else 0
        if math.prod(shape) != width or not width or self.width not in (None, width):
            expected = f"[1, {self.width}]" if self.width else "one row"
            raise BackendError(
                f"{self.url}: the embedding is {shape[:8]}, expected {expected}; "
                "it is another model's text encoder"
            )
        if len(data) - end != width * np.dtype(kind).itemsize:
            raise BackendError(
                f"{self.url}: the embedding's file has {len(data) - end} bytes for {shape[:8]}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            row = np.frombuffer(data, kind, offset=end).astype(np.float32)
        if not np.isfinite(row).all():
            raise BackendError(f"{self.url}: the embedding holds values that are not finite")
        return row

    def _json(self, exchange: Exchange, path: str, body: bytes | None) -> dict[str, Any]:
        answer = self._parse(exchange.read(path, body, self._connect_seconds, MAX_ANSWER_BYTES))
        if not isinstance(answer, dict):
            raise BackendError(f"{self.url}: its answer makes no sense")
        return answer

    def _parse(self, text: bytes) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise BackendError(f"{self.url}: its answer makes no sense") from None


def client_from_environment(
    url: str | None = None,
    width: int | None = None,
    environment: Mapping[str, str] = os.environ,
    token: str | None = None,
) -> TextEncoderClient | None:
    """Return the client that flags and environment ask for, None if they ask for none.

    url wins; else ``TEXT_ENCODER_URL`` (or the default address) where ``TEXT_ENCODER_MODE`` is
    ``api``, or is ``auto`` or unset with an address given. In mode ``auto`` a server that does not
    answer counts as none. token wins over ``TEXT_ENCODER_TOKEN``. Empty values count as unset.
    """
    token = token or environment.get("TEXT_ENCODER_TOKEN") or None
    if url:
        return TextEncoderClient(url, width, token=token)
    mode = (environment.get("TEXT_ENCODER_MODE") or "").lower()
    address = environment.get("TEXT_ENCODER_URL")
    if mode and mode not in MODES:
        raise InputError(f"TEXT_ENCODER_MODE is {mode!r}, expected one of {', '.join(MODES)}")
    if mode == "local" or (not address and mode != "api"):
        return None
    client = TextEncoderClient(address or DEFAULT_URL, width, token=token)
    if mode == "auto":
        try:
            client.probe()
        except BackendError:
            return None
    return client


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _within(base: str, url: str) -> str | None:
    """Return a URL relative to another's origin, with a slash first; None if it has another."""
    try:
        parts = urlsplit(url)
        same = (not parts.scheme and not parts.netloc) or _origin(parts) == _origin(urlsplit(base))
    except ValueError:
        return None
    plain = re.fullmatch(r"[!-~]+", url) and parts.path.startswith("/") and "\\" not in url
    query = f"?{parts.query}" if parts.query else ""
    return parts.path + query if same and plain else None


def _file_of(result: list[Any]) -> Any:
    """Return the file that the first result names: itself, or its ``value``."""
    first = result[0]
    return first["value"] if isinstance(first, Mapping) and "value" in first else first
