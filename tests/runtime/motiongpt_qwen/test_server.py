from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hostile_server import Answer, answer, hostile, repeatedly, silence
from language_server import language_server

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.motiongpt_qwen.chat import Message
from motionrt.runtime.motiongpt_qwen.server import LanguageServer, token_from_environment

RULES = SamplingRules(0.6, 20, 0.95)
QUESTION = [Message("user", "walk")]


def ask(server: LanguageServer, **changes: Any) -> tuple[str, str]:
    options: dict[str, Any] = {"thinking": True, "seed": 7, "max_tokens": 9, **changes}
    return server.ask(QUESTION, **options)


def test_a_question_is_sent_as_it_is_and_its_answer_returned() -> None:
    with language_server("a motion") as server:
        assert ask(LanguageServer(server.url), rules=RULES) == ("a motion", "")
        plain = SamplingRules(0, 0, 1.0, 1.5)
        ask(LanguageServer(server.url, "secret", "motion"), rules=plain, thinking=False)
    first, second = server.asked
    assert first == {
        "model": "motion",
        "messages": [{"role": "user", "content": "walk"}],
        "max_tokens": 9,
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 20,
        "seed": 7,
        "stream": False,
        "chat_template_kwargs": {"enable_thinking": True},
    }
    assert second["chat_template_kwargs"] == {"enable_thinking": False}
    assert (second["top_k"], second["repetition_penalty"]) == (-1, 1.5)
    assert server.tokens == [None, "Bearer secret"]


def test_an_answer_is_heard_as_it_is_written() -> None:
    heard: list[str] = []
    message = {"reasoning_content": "weight to the left", "content": "caf\u00e9 and a motion"}
    with language_server(lambda document: message) as server:
        found = ask(LanguageServer(server.url), rules=RULES, heard=heard.append)
    assert found == ("caf\u00e9 and a motion", "weight to the left")
    assert "".join(heard) == "weight to the leftcaf\u00e9 and a motion" and len(heard) > 5
    assert server.asked[0]["stream"] is True


def test_who_listens_may_end_it() -> None:
    class Enough(Exception):
        pass

    def stop(text: str) -> None:
        raise Enough

    with language_server("a motion") as server, pytest.raises(Enough):
        ask(LanguageServer(server.url), rules=RULES, heard=stop)


def test_a_server_says_why_it_refuses() -> None:
    with (
        language_server("x") as server,
        pytest.raises(BackendError, match="answered 404 to /chat; no model another"),
    ):
        ask(LanguageServer(server.url, model="another"), rules=RULES)


def test_no_server_is_told_in_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(BackendError, match=r"cannot connect \([^\n]+vllm serve DIR$"):
        ask(LanguageServer(f"127.0.0.1:{port}"), rules=RULES)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("localhost:8000", "http://localhost:8000/v1/"),
        ("https://a.example/", "https://a.example/v1/"),
        ("http://a.example/llm/v2", "http://a.example/llm/v2/"),
    ],
)
def test_an_address_without_a_path_gets_the_usual_one(url: str, wanted: str) -> None:
    assert LanguageServer(url).url == wanted


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "a b", "http://u:p@a", "http://a?x=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="language model URL"):
        LanguageServer(url)


def test_tokens_are_visible_and_come_from_the_environment() -> None:
    assert token_from_environment({"MOTIONRT_LM_TOKEN": "t"}) == "t"
    assert token_from_environment({"MOTIONRT_LM_TOKEN": ""}) is None
    with pytest.raises(InputError, match="visible ASCII"):
        LanguageServer("http://a", "two words")


def choice(message: object, key: str = "message") -> bytes:
    return json.dumps({"choices": [{key: message}]}).encode()


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


HOSTILE: dict[str, tuple[Answer, str]] = {
    "no json": (answer(b"<html>"), "makes no sense"),
    "a list": (answer(b"[1]"), "makes no sense"),
    "deep": (answer(b"[" * 100_000), "makes no sense"),
    "half a letter": (answer(b'{"choices": [{"message": {"content": "\\ud800"}}]}'), ""),
    "no choices": (answer(b'{"choices": []}'), "without a message"),
    "choices of another kind": (answer(b'{"choices": {"0": 1}}'), "without a message"),
    "a number": (answer(choice({"content": 5})), "no text"),
    "thoughts in a list": (answer(choice({"content": "x", "reasoning": [1]})), "no text"),
    "an error of control characters": (
        answer(json.dumps({"error": {"message": "\x1b[2J\n" * 99}}).encode(), "400 Bad"),
        "answered 400",
    ),
    "elsewhere": (answer(b"", "302 Found", "Location: http://a"), "sends elsewhere"),
    "packed": (answer(b"x", "200 OK", "Content-Encoding: gzip"), "compressed"),
    "no token": (answer(b"", "401 No"), "set MOTIONRT_LM_TOKEN"),
    "busy": (answer(b"", "503 Busy"), "is busy"),
    "without end": (repeatedly(b"x" * 65536, b"HTTP/1.1 200 OK\r\n\r\n"), "larger than"),
    "silence": (silence, "no answer within"),
}
STREAMED: dict[str, tuple[Answer, str]] = {
    "nothing": (answer(b""), "answered nothing"),
    "no stream": (answer(choice({"content": "x"})), "answered nothing"),
    "broken off": (
        answer(event({"error": {"message": "out of\nmemory \x1b[2J"}})),
        "broke off; out of memory",
    ),
    "an odd error": (answer(event({"error": ["\x1b"] * 9999})), "broke off; "),
    "no json": (answer(b"data: {\n\n"), "makes no sense"),
    "no delta": (answer(event({"choices": [{"message": {}}]})), "without a message"),
    "a line without end": (
        repeatedly(b"y" * 65536, b"HTTP/1.1 200 OK\r\n\r\ndata: "),
        "lines without end",
    ),
    "events without end": (
        repeatedly(
            event({"choices": [{"delta": {"content": "x"}}]}) * 999, b"HTTP/1.1 200 OK\r\n\r\n"
        ),
        "larger than",
    ),
    "silence": (silence, "no answer within"),
}


@pytest.mark.parametrize(
    ("name", "streams"),
    [*((name, False) for name in HOSTILE), *((name, True) for name in STREAMED)],
)
def test_whatever_a_server_says_one_line_comes_of_it(name: str, streams: bool) -> None:
    said, told = (STREAMED if streams else HOSTILE)[name]
    seconds = 0.3 if said is silence else 60.0
    with hostile({"file": said}) as server:
        client = LanguageServer(server.url, model="m", answer_seconds=seconds)
        heard = (lambda text: None) if streams else None
        with pytest.raises(BackendError) as caught:
            ask(client, rules=RULES, heard=heard)
    message = str(caught.value)
    assert told in message and message.isprintable() and len(message) < 500


@pytest.mark.parametrize(
    "listed", [b"{}", b'{"data": []}', b'{"data": [1]}', b'{"data": [{"id": 1}]}', b"null"]
)
def test_a_list_of_no_models_is_told(listed: bytes) -> None:
    told = pytest.raises(BackendError, match=r"lists no model|makes no sense")
    with hostile({"file": answer(listed)}) as server, told:
        ask(LanguageServer(server.url), rules=RULES)
