"""What a server with OpenAI's interface answers, read without trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from motionrt.runtime.errors import LONGEST_QUOTE, BackendError, one_line

MAX_LINE_BYTES = 1 << 18
_MOST_LISTED = 1000
_LONGEST_NAME = 1000


class AnswerReader:
    """Reads the answers of one server. Whatever makes no sense is a BackendError of one line."""

    def __init__(self, url: str) -> None:
        """Take the server's address, for messages."""
        self.url = url

    def first_model(self, answer: bytes) -> str:
        """Return the name of the first model in a list of them."""
        listed = self._parse(answer).get("data")
        if isinstance(listed, list) and 0 < len(listed) <= _MOST_LISTED:
            first = listed[0]
            name = first.get("id") if isinstance(first, dict) else None
            if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME:
                return name
        raise BackendError(f"{self.url}: lists no model; name one with --lm-model")

    def whole(self, answer: bytes) -> tuple[str, str]:
        """Return content and thoughts of a whole answer."""
        return self._texts(self._parse(answer), "message")

    def streamed(self, chunks: Iterable[bytes], heard: Callable[[str], None]) -> tuple[str, str]:
        """Return content and thoughts of an answer that comes event by event.

        heard is told of each piece of text.
        """
        contents, thoughts = [], []
        for line in self._lines(chunks):
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or data == b"[DONE]":
                continue
            event = self._parse(data)
            if not event.get("choices"):
                if (error := event.get("error")) is not None:
                    said = error.get("message") if isinstance(error, dict) else error
                    raise BackendError(f"{self.url}: broke off; {one_line(said, LONGEST_QUOTE)}")
                continue  # figures of use, at the end
            said, thinks = self._texts(event, "delta")
            contents.append(said)
            thoughts.append(thinks)
            if thinks or said:
                heard(thinks + said)
        content, thought = "".join(contents), "".join(thoughts)
        if not content and not thought:
            raise BackendError(f"{self.url}: answered nothing")
        return content, thought

    def _lines(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
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
