"""A language model that another process serves, by OpenAI's interface: vLLM, SGLang and others.

Nothing that a server answers is trusted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.motiongpt_qwen.chat import Message
from motionrt.runtime.text.server_address import checked_address, is_loopback

if TYPE_CHECKING:
    from motionrt.runtime.text.exchange import Exchange

TOKEN_VARIABLE = "MOTIONRT_LM_TOKEN"
MAX_ANSWER_BYTES = 1 << 22
MAX_LINE_BYTES = 1 << 18
_MOST_LISTED = 1000
_API = "v1/"


class LanguageServer:
    """Asks a server for the next turn of a conversation."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        model: str | None = None,
        connect_seconds: float = 10.0,
        answer_seconds: float = 600.0,
    ) -> None:
        """Take the server's address; ``/v1`` is put behind it if it has no path. Nothing is asked.

        model: its name there; None takes the first that is listed. connect_seconds: for the list,
        in all; answer_seconds: for an answer, in all. InputError if url or token is none.
        """
        address = checked_address(url, "language model")
        self.url = address if urlsplit(address).path.strip("/") else address + _API
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise InputError("the token must be visible ASCII characters, without spaces")
        self._token = token
        self._model = model
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds

    def ask(
        self,
        messages: Sequence[Message],
        thinking: bool,
        seed: int,
        max_tokens: int,
        rules: SamplingRules,
        heard: Callable[[str], None] | None = None,
    ) -> tuple[str, str]:
        """Return what the server answers: its content, and its thoughts where it tells them apart.

        heard: told of the text as it comes; an exception it raises ends the answer. BackendError if
        the server is not there, answers nonsense or reports a failure.
        """
        # Here, because it takes a third of the time in which the command line starts.
        from motionrt.runtime.text.exchange import Exchange, ServerKind

        kind = ServerKind(
            "a server with OpenAI's interface",
            f"set {TOKEN_VARIABLE}",
            "start one, for example: vllm serve DIR",
        )
        proxies = not is_loopback(self.url)
        with Exchange(self.url, self._token, proxies, kind) as exchange:
            if self._model is None:
                self._model = self._first_model(exchange)
            body = self._request(messages, thinking, seed, max_tokens, rules, heard is not None)
            if heard is None:
                answer = self._parse(
                    exchange.read("chat/completions", body, self._answer_seconds, MAX_ANSWER_BYTES)
                )
                return self._texts(answer, "message")
            return self._listen(exchange, body, heard)

    def _request(
        self,
        messages: Sequence[Message],
        thinking: bool,
        seed: int,
        max_tokens: int,
        rules: SamplingRules,
        stream: bool,
    ) -> bytes:
        document: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": max_tokens,
            "temperature": rules.temperature,
            "top_p": rules.top_p,
            "seed": seed,
            "stream": stream,
            "chat_template_kwargs": {"enable_thinking": thinking},
        }
        if rules.top_k:
            document["top_k"] = rules.top_k
        if rules.repetition_penalty != 1:
            document["repetition_penalty"] = rules.repetition_penalty
        return json.dumps(document).encode()

    def _first_model(self, exchange: Exchange) -> str:
        listed = self._parse(
            exchange.read("models", None, self._connect_seconds, MAX_ANSWER_BYTES)
        ).get("data")
        if isinstance(listed, list) and 0 < len(listed) <= _MOST_LISTED:
            first = listed[0]
            if isinstance(first, dict) and isinstance(first.get("id"), str):
                name: str = first["id"]
                return name
        raise BackendError(f"{self.url}: lists no model; name one with --lm-model")

    def _listen(
        self, exchange: Exchange, body: bytes, heard: Callable[[str], None]
    ) -> tuple[str, str]:
        content, thought = "", ""
        with exchange.stream(
            "chat/completions", body, self._answer_seconds, MAX_ANSWER_BYTES
        ) as chunks:
            for line in self._lines(chunks):
                data = line.removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                event = self._parse(data)
                if not event.get("choices"):
                    if event.get("error"):
                        raise BackendError(f"{self.url}: broke off; {event['error']}")
                    continue  # figures of use, at the end
                said, thinks = self._texts(event, "delta")
                content, thought = content + said, thought + thinks
                if piece := thinks + said:
                    heard(piece)
        if not content and not thought:
            raise BackendError(f"{self.url}: answered nothing")
        return content, thought

    def _lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise BackendError(f"{self.url}: sends lines without end")
            yield from lines
        yield rest

    def _texts(self, answer: Mapping[str, Any], key: str) -> tuple[str, str]:
        """Return content and thoughts of an answer's first choice."""
        choices = answer.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        message = first.get(key) if isinstance(first, dict) else None
        if not isinstance(message, dict):
            raise BackendError(f"{self.url}: answered without a message")
        # vLLM and SGLang call thoughts so, where they tell them apart.
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        content = message.get("content") or ""
        if not isinstance(content, str) or not isinstance(thought, str):
            raise BackendError(f"{self.url}: answered with something that is no text")
        return content, thought

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            answer = msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise BackendError(f"{self.url}: its answer makes no sense")
        return answer


def token_from_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that a language model's server asks for, if there is one."""
    return environment.get(TOKEN_VARIABLE) or None
