"""A language model that another process serves, by OpenAI's interface: vLLM, SGLang and others.

Nothing that a server answers is trusted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from motionrt.runtime.errors import InputError
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.motiongpt_qwen.chat import Message
from motionrt.runtime.motiongpt_qwen.server_answer import AnswerReader
from motionrt.runtime.text.server_address import checked_address, is_loopback

TOKEN_VARIABLE = "MOTIONRT_LM_TOKEN"
MAX_ANSWER_BYTES = 1 << 22
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
        self._reader = AnswerReader(self.url)
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
                listed = exchange.read("models", None, self._connect_seconds, MAX_ANSWER_BYTES)
                self._model = self._reader.first_model(listed)
            body = self._request(messages, thinking, seed, max_tokens, rules, heard is not None)
            asked = ("chat/completions", body, self._answer_seconds, MAX_ANSWER_BYTES)
            if heard is None:
                return self._reader.whole(exchange.read(*asked))
            with exchange.stream(*asked) as chunks:
                return self._reader.streamed(chunks, heard)

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
            "top_k": rules.top_k or -1,
            "seed": seed,
            "stream": stream,
            "chat_template_kwargs": {"enable_thinking": thinking},
        }
        if rules.repetition_penalty != 1:
            document["repetition_penalty"] = rules.repetition_penalty
        return json.dumps(document).encode()


def token_from_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that a language model's server asks for, if there is one."""
    return environment.get(TOKEN_VARIABLE) or None
