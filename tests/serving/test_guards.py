from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.testclient import TestClient
from starlette.types import Message

from motionrt.runtime.errors import InputError
from motionrt.serving.guards import MAX_DISCARDED_BYTES, BodyLimit, guarded


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _fails(request: Request) -> Response:
    raise ZeroDivisionError("a secret")


async def _fails_late(request: Request) -> Response:
    async def stream() -> AsyncIterator[str]:
        yield "begun"
        raise ZeroDivisionError("a secret")

    return StreamingResponse(stream())


ROUTES = Router(
    [
        Route("/", _length, methods=["GET", "POST"]),
        Route("/fails", _fails),
        Route("/late", _fails_late),
    ]
)


def client(reports: list[str] | None = None, **settings: Any) -> TestClient:
    heard = [] if reports is None else reports
    app = guarded(ROUTES, report=heard.append, **settings)
    return TestClient(app, "http://127.0.0.1:9550", raise_server_exceptions=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:9550",
        "localhost.:9550",
        "127.0.0.1:9550",
        "192.0.2.7",
        "[::1]:9550",
        "Encoder.Example:80",
    ],
)
def test_the_names_of_this_machine_are_served(host: str) -> None:
    answer = client(hosts=["encoder.example"]).get("/", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example",
        "rebound.example:9550",
        "localhost.rebound.example",
        "127.0.0.1.rebound.example:9550",
        "encoder.example.rebound.example",
        "",
        "[::1",
        "2130706433.example",
    ],
)
def test_a_name_that_another_may_own_is_refused(host: str) -> None:
    answer = client(hosts=["encoder.example"]).get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:9550"}, 200),
        ({"Origin": "https://127.0.0.1:9550", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": "http://localhost:9550"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_others_may_not_ask(method: str, headers: dict[str, str], status: int) -> None:
    answer = client().request(method, "/", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 401),
        ("Bearer s3cre", 401),
        ("Bearer s3cret2", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        (b"Bearer s3cr\xe9t", 401),
        (None, 401),
    ],
)
def test_a_token_is_asked_for(given: str | bytes | None, status: int) -> None:
    headers = {} if given is None else {"Authorization": given}
    answer = client(token="s3cret").get("/", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="visible ASCII"):
        client(token=token)


def test_a_body_is_limited() -> None:
    limited = client(max_body_bytes=100)
    assert limited.post("/", content=b"a" * 100).text == "100"
    assert limited.post("/", content=iter([b"a" * 60, b"b" * 40])).text == "100"
    for body in (b"a" * 101, b"a" * (MAX_DISCARDED_BYTES + 1), iter([b"a" * 60, b"b" * 41])):
        answer = limited.post("/", content=body)
        assert answer.status_code == 413
        assert answer.json() == {"detail": "a request may have 100 bytes"}


def test_the_rest_of_an_endless_body_is_not_read() -> None:
    """Else it would not end: what is sent is without end."""
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 65536
        return {"type": "http.request", "body": bytes(65536), "more_body": True}

    async def ask() -> None:
        await BodyLimit(ROUTES, 100, 60)({"type": "http", "headers": []}, receive, _nowhere)

    with pytest.raises(HTTPException, match="413"):
        asyncio.run(ask())
    assert read <= MAX_DISCARDED_BYTES + 65536


def test_a_body_that_does_not_come_is_answered() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> None:
        await BodyLimit(ROUTES, 100, 0.1)({"type": "http", "headers": []}, receive, _nowhere)

    with pytest.raises(HTTPException, match="408"):
        asyncio.run(ask())


def test_a_client_that_leaves_before_its_body_is_here_is_let_go() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def ask() -> None:
        await BodyLimit(ROUTES, 100, 60)({"type": "http", "headers": []}, receive, _nowhere)

    asyncio.run(ask())
    assert not messages


async def _nowhere(message: Message) -> None:
    raise AssertionError(message)


def test_errors_are_answered_in_json() -> None:
    reports: list[str] = []
    asked = client(reports)
    assert asked.get("/nothing").json() == {"detail": "Not Found"}
    answer = asked.delete("/")
    assert answer.status_code == 405 and "detail" in json.loads(answer.text)
    answer = asked.get("/fails")
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert reports == ["GET '/fails': ZeroDivisionError: a secret"]
    asked.get("/late")
    assert reports[1:] == ["GET '/late': ZeroDivisionError: a secret"]
