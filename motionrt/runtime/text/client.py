"""A text encoder that another process serves, by the protocol of Kimodo's own server.

That server is a Gradio application with one function, ``/DemoWrapper(text, filename)``, whose first
result names a ``.npy`` file with the embedding. Plain HTTP serves: no Gradio is needed.
"""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import BackendError, InputError

DEFAULT_URL = "http://127.0.0.1:9550/"
API_NAME = "DemoWrapper"
MAX_FILE_BYTES = 1 << 24
MAX_EVENT_BYTES = 1 << 20
MODES = ("auto", "local", "api")


class TextEncoderClient:
    """Encodes prompts on a text-encoder server."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        width: int | None = None,
        connect_seconds: float = 5.0,
        encode_seconds: float = 300.0,
    ) -> None:
        """Take the server's address; nothing is asked yet.

        width: numbers that an embedding must have. connect_seconds: for short answers;
        encode_seconds: for silence while a prompt is encoded. InputError if url is none.
        """
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"text encoder URL {url!r}: expected http://host:port/")
        self.url = parts.geturl().rstrip("/") + "/"
        self.width = width
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
        rows = [self._encode_one(prompt) for prompt in prompts]
        if not rows:
            return np.zeros((0, self.width or 0), np.float32)
        widths = {len(row) for row in rows}
        if len(widths) > 1:
            raise BackendError(f"{self.url}: embeddings of different widths {sorted(widths)}")
        return np.stack(rows)

    def probe(self) -> None:
        """Raise BackendError unless the server answers and encodes."""
        self.encode(["Probe."])

    def _encode_one(self, prompt: str) -> NDArray[np.float32]:
        if self._api is None:
            self._api = self._find_api()
        body = json.dumps({"data": [prompt, f"{uuid.uuid4()}.npy"]}).encode()
        answer = self._json(f"{self._api}call/{API_NAME}", body, self._connect_seconds)
        event = answer.get("event_id")
        if not isinstance(event, str):
            raise BackendError(f"{self.url}: gave no event id; is it a text-encoder server?")
        result = self._wait(f"{self._api}call/{API_NAME}/{quote(event, safe='')}")
        return self._check(self._fetch(_file_of(result)))

    def _find_api(self) -> str:
        """Return where calls go: Gradio 5 and later put a prefix in front."""
        config = self._json("config", None, self._connect_seconds)
        prefix = config.get("api_prefix") or ""
        if not isinstance(prefix, str):
            raise BackendError(f"{self.url}: its configuration makes no sense")
        return prefix.strip("/") + "/" if prefix.strip("/") else ""

    def _wait(self, path: str) -> list[Any]:
        """Read the event stream of a call until it completes."""
        kind = ""
        with self._open(path, None, self._encode_seconds) as response:
            for line in _lines(response, self.url):
                if line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:") and kind == "error":
                    raise BackendError(
                        f"{self.url}: could not encode the prompt ({line[5:].strip()})"
                    )
                elif line.startswith("data:") and kind == "complete":
                    result = _parse(line[5:], self.url)
                    if isinstance(result, list) and result:
                        return result
                    raise BackendError(f"{self.url}: answered without a result")
        raise BackendError(f"{self.url}: the connection ended before the prompt was encoded")

    def _fetch(self, file: Any) -> bytes:
        if isinstance(file, Mapping):
            path, url = file.get("path"), file.get("url")
        else:
            path, url = file, None
        if isinstance(url, str) and urlsplit(url).netloc in ("", urlsplit(self.url).netloc):
            place = url
        elif isinstance(path, str):
            place = f"{self._api}file={quote(path)}"
        else:
            raise BackendError(f"{self.url}: answered without a file")
        with self._open(place, None, self._connect_seconds) as response:
            data: bytes = response.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise BackendError(f"{self.url}: the embedding's file is larger than expected")
        return data

    def _check(self, data: bytes) -> NDArray[np.float32]:
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, OSError, EOFError):
            raise BackendError(f"{self.url}: the embedding is no .npy array") from None
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise BackendError(f"{self.url}: the embedding is no array of floats")
        row = np.asarray(array, np.float32).reshape(-1)
        if array.size != array.shape[-1] or (self.width is not None and len(row) != self.width):
            expected = f"[1, {self.width}]" if self.width else "one row"
            raise BackendError(
                f"{self.url}: the embedding is {list(array.shape)}, expected {expected}; "
                "it is another model's text encoder"
            )
        if not np.isfinite(row).all():
            raise BackendError(f"{self.url}: the embedding holds values that are not finite")
        return row

    def _json(self, path: str, body: bytes | None, seconds: float) -> dict[str, Any]:
        with self._open(path, body, seconds) as response:
            answer = _parse(response.read(MAX_FILE_BYTES).decode("utf-8", "replace"), self.url)
        if not isinstance(answer, dict):
            raise BackendError(f"{self.url}: its answer makes no sense")
        return answer

    def _open(self, path: str, body: bytes | None, seconds: float) -> Any:
        # Here, because it takes a tenth of the time in which the command line starts.
        import urllib.error
        import urllib.request

        request = urllib.request.Request(
            urljoin(self.url, path), data=body, headers={"Content-Type": "application/json"}
        )
        try:
            return urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            error.close()
            raise BackendError(
                f"{self.url}: answered {error.code} to /{path.split('/')[0]}; "
                "is it a text-encoder server?"
            ) from None
        except TimeoutError:
            raise BackendError(f"{self.url}: no answer within {seconds:.0f} s") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise BackendError(f"{self.url}: no answer within {seconds:.0f} s") from None
            raise BackendError(
                f"{self.url}: cannot connect ({reason}); start a server with: motionrt serve-text"
            ) from None


def client_from_environment(
    url: str | None = None, width: int | None = None, environment: Mapping[str, str] = os.environ
) -> TextEncoderClient | None:
    """Return the client that flags and environment ask for, None if they ask for none.

    url wins; else ``TEXT_ENCODER_URL`` (or the default address) where ``TEXT_ENCODER_MODE`` is
    ``api``, or is ``auto`` or unset with an address given. In mode ``auto`` a server that does not
    answer counts as none. Empty values count as unset.
    """
    if url:
        return TextEncoderClient(url, width)
    mode = (environment.get("TEXT_ENCODER_MODE") or "").lower()
    address = environment.get("TEXT_ENCODER_URL")
    if mode and mode not in MODES:
        raise InputError(f"TEXT_ENCODER_MODE is {mode!r}, expected one of {', '.join(MODES)}")
    if mode == "local" or (not address and mode != "api"):
        return None
    client = TextEncoderClient(address or DEFAULT_URL, width)
    if mode == "auto":
        try:
            client.probe()
        except BackendError:
            return None
    return client


def _lines(response: Any, url: str) -> Iterator[str]:
    """Yield the lines of an event stream."""
    while True:
        try:
            line = response.readline(MAX_EVENT_BYTES)
        except TimeoutError:
            raise BackendError(f"{url}: fell silent while encoding") from None
        except OSError as error:
            raise BackendError(f"{url}: the connection broke ({error})") from None
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _parse(text: str, url: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BackendError(f"{url}: its answer makes no sense") from None


def _file_of(result: list[Any]) -> Any:
    """Return the file that the first result names: itself, or its ``value``."""
    first = result[0]
    return first["value"] if isinstance(first, Mapping) and "value" in first else first
