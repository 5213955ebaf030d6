"""Conversations as the text that Qwen3 reads: ChatML, with thoughts between markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from motionrt.runtime.errors import InputError

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"
THINK, UNTHINK = "<think>", "</think>"
NO_THOUGHT = f"{THINK}\n\n{UNTHINK}\n\n"
"""A closed block: who reads it answers without thinking."""
MARKERS = (TURN_START, TURN_END, END_OF_TEXT, THINK, UNTHINK)
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: str
    """One of ``ROLES``."""
    content: str
    """Of an assistant perhaps with its thoughts in front, between the markers."""
    reasoning: str | None = None
    """An assistant's thoughts, if they do not stand in the content."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"role {self.role!r} is unknown; choose {', '.join(ROLES)}")


def split_thought(content: str) -> tuple[str, str]:
    """Return an assistant's thoughts and its answer, apart."""
    if UNTHINK not in content:
        return "", content
    before, _, _ = content.partition(UNTHINK)
    thought = before.rstrip("\n").split(THINK)[-1].lstrip("\n")
    return thought, content.rpartition(UNTHINK)[2].lstrip("\n")


def render(messages: Sequence[Message], thinking: bool | None = None, *, asks: bool = True) -> str:
    """Write a conversation as the model reads it.

    Thoughts of turns before the last question are left out. asks: the assistant is next. thinking
    False closes its thoughts beforehand; True and None leave them to the model, which opens a block
    itself if it wants one. Source: the chat template of Qwen3's tokenizer.
    """
    asked = [i for i, message in enumerate(messages) if message.role == "user"]
    last_question = asked[-1] if asked else len(messages) - 1
    text = ""
    for index, message in enumerate(messages):
        content = message.content
        if message.role == "assistant":
            thought = message.reasoning
            if thought is None:
                thought, content = split_thought(content)
            is_last = index == len(messages) - 1
            if index > last_question and (is_last or thought):
                content = thought_block(thought) + content.lstrip("\n")
        text += f"{TURN_START}{message.role}\n{content}{TURN_END}\n"
    if not asks:
        return text
    return f"{text}{TURN_START}assistant\n" + (NO_THOUGHT if thinking is False else "")


def thought_block(thought: str) -> str:
    """Return thoughts between their markers, closed, as an answer follows them."""
    plain = thought.strip("\n")
    return f"{THINK}\n{plain}\n{UNTHINK}\n\n"
