"""A client among hostile servers: each ends in one line that a terminal can show."""

from __future__ import annotations

import gzip
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hostile_server import (
    GOOD,
    STAGES,
    Answer,
    answer,
    complete,
    events,
    forged,
    hostile,
    npy,
    repeatedly,
    silence,
)
from local_server import WIDTH, embedding

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.text.client import TextEncoderClient

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DEEP = b"[" * 100_000


def refusal(answers: dict[str, Answer], seconds: float = 30.0, url: str | None = None) -> str:
    """Return what a client says of a server."""
    with hostile(answers) as server:
        client = TextEncoderClient(url or server.url, WIDTH, seconds, seconds)
        with pytest.raises(BackendError) as caught:
            client.encode(["a"])
    told = str(caught.value)
    assert told.isprintable() and len(told) < 500
    return told


def header(shape: str, descr: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


SENSELESS: dict[str, tuple[str, Answer, str]] = {
    "a redirect to a file": (
        "config",
        answer(b"", "302 Found", "Location: file:///etc/passwd"),
        "sends elsewhere (answered 302 to /config)",
    ),
    "a permanent redirect of what is posted": (
        "call",
        answer(b"", "308 Moved", "Location: /other"),
        "sends elsewhere (answered 308",
    ),
    "a redirect of the events to itself": (
        "events",
        answer(b"", "307 Again", "Location: /gradio_api/call/DemoWrapper/7"),
        "sends elsewhere",
    ),
    "not modified": ("file", answer(b"", "304 Not Modified"), "answered 304"),
    "no content": ("call", b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204"),
    "a part": ("file", answer(b"x", "206 Partial Content"), "answered 206"),
    "500 with HTML": (
        "call",
        answer(b"<html><script>x</script></html>", "500 Oh"),
        "answered 500 to /gradio_api; is it a text-encoder server?",
    ),
    "401": ("config", answer(b"", "401 No"), "asks for a token (answered 401)"),
    "429": ("call", answer(b"", "429 No", "Retry-After: 99999"), "is busy (answered 429)"),
    "503": ("call", answer(b"", "503 No"), "is busy (answered 503)"),
    "a reason in a problem": (
        "call",
        answer(b'{"detail": "the text is \\u001b[31mred"}', "422 No"),
        r"answered 422 to /gradio_api; the text is \x1b[31mred",
    ),
    "a deep problem": ("call", answer(DEEP[:4000], "422 No"), "answered 422"),
    "an endless problem": (
        "call",
        repeatedly(b"x" * 9999, b"HTTP/1.1 500 Oh\r\n\r\n"),
        "answered 500",
    ),
    "a body that is too large": (
        "config",
        HEAD + b"Content-Length: 99999999\r\n\r\n" + b" " * (1 << 24) + b"  ",
        "its answer is larger than expected",
    ),
    "a body without end": (
        "file",
        repeatedly(b"x" * 65536, HEAD + b"\r\n"),
        "its answer is larger than expected",
    ),
    "chunks without end": (
        "config",
        repeatedly(b"4000\r\n" + b" " * 0x4000 + b"\r\n", CHUNKED),
        "its answer is larger than expected",
    ),
    "a header without end": ("config", repeatedly(b"a" * 4096, HEAD + b"X: "), "connection broke"),
    "headers without end": ("config", repeatedly(b"X: y\r\n" * 99, HEAD), "connection broke"),
    "a gzip bomb": (
        "file",
        answer(gzip.compress(bytes(1 << 24)), "200 OK", "Content-Encoding: gzip"),
        "its answer is compressed",
    ),
    "two codings": (
        "config",
        answer(b"{}", "200 OK", "Content-Encoding: br, gzip"),
        "its answer is compressed",
    ),
    "fewer bytes than stated": (
        "file",
        HEAD + b"Content-Length: 999\r\n\r\n" + npy(embedding("a")),
        "the connection broke",
    ),
    "a length that is none": (
        "config",
        HEAD + b"Content-Length: -1\r\n\r\n{}",
        "the connection broke",
    ),
    "two lengths": (
        "config",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "the connection broke",
    ),
    "chunks of garbage": ("config", CHUNKED + b"\x1b[2J\xff\r\n", "the connection broke"),
    "garbage": ("config", b"\x1b]0;title\x07\x00\xff\r\n\r\n", "the connection broke"),
    "another protocol": ("config", b"SSH-2.0-OpenSSH_9.6\r\n", "the connection broke"),
    "no JSON": ("config", answer(b"<html>hello</html>"), "its answer makes no sense"),
    "deep JSON": ("config", answer(DEEP), "its answer makes no sense"),
    "deep JSON in a key that nobody asks for": (
        "call",
        answer(b'{"event_id": "7", "x": ' + DEEP),
        "its answer makes no sense",
    ),
    "JSON that is no UTF-8": ("config", answer(b'{"api_prefix": "\xff"}'), "makes no sense"),
    "a surrogate alone": ("call", answer(b'{"event_id": "\\ud800"}'), "its answer makes no sense"),
    "a prefix at another host": (
        "config",
        answer(b'{"api_prefix": "//192.0.2.1/x"}'),
        "its configuration makes no sense",
    ),
    "a prefix that is a URL": (
        "config",
        answer(b'{"api_prefix": "http://192.0.2.1/x"}'),
        "its configuration makes no sense",
    ),
    "a prefix that leaves": (
        "config",
        answer(b'{"api_prefix": "/../../admin"}'),
        "its configuration makes no sense",
    ),
    "an event id that is a path": (
        "call",
        answer(b'{"event_id": "../../config"}'),
        "gave no event id",
    ),
    "an event id of two lines": (
        "call",
        answer(b'{"event_id": "7 HTTP/1.1\\r\\nX: y"}'),
        "gave no event id",
    ),
    "an event id without end": (
        "call",
        answer(b'{"event_id": "' + b"7" * 9999 + b'"}'),
        "gave no event id",
    ),
    "an empty result": ("events", complete([]), "answered without a result"),
    "a result that is none": ("events", complete({"a": 1}), "answered without a result"),
    "a deep result": (
        "events",
        events("event: complete\ndata: " + "[" * 60_000 + "\n\n"),
        "its answer makes no sense",
    ),
    "a result with a surrogate": (
        "events",
        events('event: complete\ndata: [{"path": "\ud800"}]\n\n'),
        "its answer makes no sense",
    ),
    "an error": (
        "events",
        events('event: error\ndata: "no memory"\n\n'),
        'could not encode the prompt ("no memory")',
    ),
    "an error that steers the terminal": (
        "events",
        events("event: error\ndata: \x1b[2J\x1b]0;x\x07\u202e\x9b1m\n\n"),
        r"could not encode the prompt (\x1b[2J\x1b]0;x\x07\u202e\x9b1m)",
    ),
    "an error without end": (
        "events",
        events("event: error\ndata: " + "x" * 50_000 + "\n\n"),
        "could not encode the prompt (xxx",
    ),
    "events without end": (
        "events",
        repeatedly(b"event: heartbeat\ndata: null\n\n" * 99, HEAD + b"\r\n"),
        "sends events without end",
    ),
    "a line without end": (
        "events",
        repeatedly(b"x" * 4096, HEAD + b"\r\n"),
        "sends events without end",
    ),
    "a file above its folder": (
        "events",
        complete([{"path": "../../etc/passwd"}]),
        "answered without a file",
    ),
    "a file above its folder, as Windows has it": (
        "events",
        complete([{"path": "a\\..\\..\\b"}]),
        "answered without a file",
    ),
    "a file of no name": ("events", complete([{"path": 7, "url": ["x"]}]), "without a file"),
    "an array that is a pickle": (
        "file",
        answer(npy(np.array([{}], object))),
        "no array of floats",
    ),
    "an array of records": (
        "file",
        answer(npy(np.zeros(4, [("a", "<f4")]))),
        "is no .npy array",
    ),
    "complex numbers": ("file", answer(npy(np.zeros(WIDTH, complex))), "no array of floats"),
    "not a number": ("file", answer(npy(np.full(WIDTH, np.nan))), "not finite"),
    "too large for single precision": ("file", answer(npy(np.full(WIDTH, 1e300))), "not finite"),
    "another width": (
        "file",
        answer(npy(np.zeros((1, 4096)))),
        "is [1, 4096], expected [1, 16]",
    ),
    "two rows": ("file", answer(npy(np.zeros((2, 16)))), "is [2, 16], expected [1, 16]"),
    "no number": ("file", answer(npy(np.array(1.0))), "is [], expected [1, 16]"),
    "a row of nothing": ("file", answer(npy(np.zeros((1, 0)))), "is [1, 0], expected"),
    "a shape that fills the memory": (
        "file",
        answer(forged(header("(999999999, 999999999)"))),
        "expected [1, 16]",
    ),
    "a shape that is forged": (
        "file",
        answer(forged(header("(1, 16)"), b"\0" * 60)),
        "file has 60 bytes for [1, 16]",
    ),
    "a negative shape": ("file", answer(forged(header("(-1, 16)"))), "is no .npy array"),
    "an array with something behind it": (
        "file",
        answer(npy(embedding("a")) + b"PK\x03\x04"),
        "file has 68 bytes for [16]",
    ),
    "a header that is a program": (
        "file",
        answer(forged("__import__('os').system('true')")),
        "is no .npy array",
    ),
    "a deep header": ("file", answer(forged("(" * 60_000)), "is no .npy array"),
    "a header that is longer than the file": (
        "file",
        answer(b"\x93NUMPY\x02\0\xff\xff\xff\xff{"),
        "is no .npy array",
    ),
    "a magic alone": ("file", answer(b"\x93NUMPY"), "is no .npy array"),
    "an archive": ("file", answer(b"PK\x03\x04" + bytes(99)), "is no .npy array"),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_what_makes_no_sense_is_one_line(name: str) -> None:
    stage, said, expected = SENSELESS[name]
    assert expected in refusal({stage: said})


@pytest.mark.parametrize("stage", STAGES)
def test_silence_ends(stage: str) -> None:
    assert "no answer within 0.3 s" in refusal({stage: silence}, 0.3)


DRIPPING: dict[str, Answer] = {
    "bytes of a header": repeatedly(b"a", HEAD + b"X: ", pause=0.02),
    "headers": repeatedly(b"X: y\r\n", HEAD, pause=0.02),
    "bytes of a body that states its size": repeatedly(
        b" ", HEAD + b"Content-Length: 9999\r\n\r\n", pause=0.02
    ),
    "bytes of a body that ends with the connection": repeatedly(b" ", HEAD + b"\r\n", pause=0.02),
    "chunks": repeatedly(b"1\r\n \r\n", CHUNKED, pause=0.02),
    "hints": repeatedly(b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.02),
    "heartbeats": repeatedly(b"event: heartbeat\ndata: null\n\n", HEAD + b"\r\n", pause=0.02),
}


@pytest.mark.parametrize("what", DRIPPING)
@pytest.mark.parametrize("stage", ["config", "events"])
def test_what_drips_ends_in_time(stage: str, what: str) -> None:
    assert "no answer within 0.3 s" in refusal({stage: DRIPPING[what]}, 0.3)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", HEAD + b"Content-Length: 99\r\n\r\n{"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_connection_that_ends_early_is_one_line(stage: str, said: bytes) -> None:
    assert "the connection broke (" in refusal({stage: said})


def test_events_that_end_early_are_one_line() -> None:
    assert "the connection ended before" in refusal(
        {"events": events("event: progress\ndata: 1\n\n")}
    )


def test_tls_that_is_none_is_one_line() -> None:
    with hostile() as server:
        told = refusal({}, 0.5, url=server.url.replace("http:", "https:"))
    assert "cannot connect (" in told or "no answer within" in told


@pytest.mark.parametrize(
    "file",
    [
        npy(embedding("a").astype(">f4")),
        npy(np.asfortranarray(embedding("a")[None])),
        npy(embedding("a").astype("<f8")[None, None]),
        forged(header("(1, 16)"), embedding("a").tobytes()),
    ],
    ids=["big-endian", "fortran order", "double precision", "unaligned"],
)
def test_any_array_with_the_same_numbers_is_the_same_embedding(file: bytes) -> None:
    with hostile({"file": answer(file)}) as server:
        row = TextEncoderClient(server.url, WIDTH).encode(["a"])[0]
    assert row.dtype == np.float32 and row.dtype.isnative
    np.testing.assert_array_equal(row, embedding("a"))


@contextmanager
def nobody() -> Iterator[socket.socket]:
    """Listen; whoever connects has gone astray."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_redirect_to_another_server_is_not_followed() -> None:
    with nobody() as other:
        moved = answer(b"", "301 Moved", f"Location: {url_of(other)}/")
        for stage in STAGES:
            assert "sends elsewhere" in refusal({stage: moved})


@pytest.mark.parametrize(
    "url",
    [
        "{other}/a.npy",
        "//{host}/a.npy",
        "http://user@{host}/a.npy",
        "file:///etc/passwd",
        "\\\\{host}\\a.npy",
        "/\\{host}/a.npy",
        "ftp://{host}/a.npy",
        "http://[::1/a.npy",
        "http://127.0.0.1:99999/a.npy",
        "/a b\r\nX: y",
    ],
)
def test_a_file_is_fetched_from_the_server_itself(url: str) -> None:
    with nobody() as other:
        place = url.format(other=url_of(other), host=url_of(other).removeprefix("http://"))
        said = complete([{"path": "a b.npy", "url": place}])
        with hostile({"events": said}) as server:
            found = TextEncoderClient(server.url).encode(["a"])
    np.testing.assert_array_equal(found[0], embedding("a"))
    assert server.asked[-1] == "/gradio_api/file=a%20b.npy"


def test_a_file_may_lie_elsewhere_on_the_server() -> None:
    with hostile() as server:
        server.answers["events"] = complete([{"path": 7, "url": f"{server.url}f?a=b"}])
        TextEncoderClient(server.url).encode(["a"])
    assert server.asked[-1] == "/f?a=b"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_proxy_never_sees_what_is_said_on_this_machine(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, url_of(proxy))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with hostile() as server:
            url = server.url.replace("127.0.0.1", host)
            np.testing.assert_array_equal(TextEncoderClient(url).encode(["a"])[0], embedding("a"))


def test_a_proxy_is_used_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with hostile() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with pytest.raises(BackendError):
            TextEncoderClient("http://encoder.invalid:9550").encode(["a"])
    assert proxy.asked == ["http://encoder.invalid:9550/config"]


@pytest.mark.parametrize("proxy", ["nothing://x", "socks5://127.0.0.1:1", "http://[::1"])
def test_a_proxy_of_no_use_is_one_line(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(BackendError, match="the proxy of the environment is of no use") as caught:
        TextEncoderClient("http://encoder.invalid:9550").encode(["a"])
    assert str(caught.value).isprintable()


def test_the_token_is_sent_and_nothing_else_tells_of_the_caller() -> None:
    with hostile() as server:
        TextEncoderClient(server.url, token="s3cret").encode(["a"])
    assert server.heads.count("Authorization: Bearer s3cret") == len(server.asked) == 4
    with hostile() as server:
        TextEncoderClient(server.url).encode(["a"])
    assert not [line for line in server.heads if line.lower().startswith("authorization")]


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="the token must be visible ASCII"):
        TextEncoderClient(token=token)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://user:secret@host/", "holds a name or a password; give a token"),
        ("http://host:99999/", "expected http://host:port/"),
        ("http://[::1/", "expected http://host:port/"),
        ("http://host/\r\nX: y", "expected http://host:port/"),
        ("http://host/?a=b", "expected http://host:port/"),
        ("http://ho st/", "expected http://host:port/"),
        ("gopher://host/", "expected http://host:port/"),
    ],
)
def test_addresses_that_are_none_are_one_line(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        TextEncoderClient(url)
    told = str(caught.value)
    assert message in told and told.isprintable() and "secret" not in told


def test_the_good_answers_are_good() -> None:
    """Else the refusals above would be of something else."""
    with hostile() as server:
        found: Any = TextEncoderClient(server.url, WIDTH).encode(["a", "a"])
    np.testing.assert_array_equal(found, [embedding("a")] * 2)
    assert len(server.asked) == 7, "the configuration is asked for once"
    assert list(GOOD) == list(STAGES)


def test_no_client_is_loaded_before_a_server_is_asked() -> None:
    import subprocess

    code = (
        "import sys\nfrom motionrt.runtime.text.client import TextEncoderClient\n"
        "TextEncoderClient().encode([])\nassert 'httpx2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
