"""What a language model is told and answers: templates, transcripts, servers' answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzz.mutators.havoc import havoc_text
from fuzz.mutators.trees import json_mutator
from fuzz.target import Target
from fuzz.targets.bundles import fill_hollow

from motionrt.runtime.errors import BackendError, InputError
from motionrt.runtime.motiongpt_qwen.answer import parse_as_upstream, read_codes_of_text
from motionrt.runtime.motiongpt_qwen.chat import render, split_thought, thought_block
from motionrt.runtime.motiongpt_qwen.conversation import Conversation
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens
from motionrt.runtime.motiongpt_qwen.pipeline import MotionGptQwenPipeline
from motionrt.runtime.motiongpt_qwen.server_answer import AnswerReader
from motionrt.runtime.motiongpt_qwen.templates import (
    TEMPLATES,
    Filling,
    check_text,
    find_template,
)

_TOKENS = MotionTokens(512)
_MOTION = _TOKENS.text([1, 20, 300])
_THOUGHT = "<think>\nFirst the left foot.\n</think>\n\n"
_URL = "http://127.0.0.1:8000/v1/"


@lru_cache
def _pipeline() -> MotionGptQwenPipeline:
    """Open a bundle of which only the manifest is true: its words are enough."""
    with TemporaryDirectory() as folder:
        manifest = fill_hollow(Path(folder), "manifest-motiongpt-qwen")
        return MotionGptQwenPipeline.load(manifest.parent, backend="cpu")


def _prepare(folder: Path) -> Path:
    _pipeline()
    return folder / "transcript.json"


def read_transcript(path: Path) -> None:
    """Go on with a conversation as `chat --resume` does, as far as words go."""
    found = Conversation.resume(_pipeline(), path)
    for thinking in (True, False):
        assert render(found.messages, thinking).count("<|im_start|>") > len(found.messages)
    for message in found.messages:
        _TOKENS.with_placeholder(message.content, "[motion]")
        _, rest = split_thought(message.content)
        read_codes_of_text(rest, _TOKENS)
    copy = path.with_name("copy.json")
    found.save(copy)
    assert Conversation.resume(_pipeline(), copy).messages == found.messages
    while found.undo():
        pass
    assert all(message.role != "user" for message in found.messages)


def _transcripts() -> Iterable[bytes]:
    turns = [
        {"role": "system", "content": "You move."},
        {"role": "user", "content": "Generate motion: a walk"},
        {"role": "assistant", "content": f"{_THOUGHT}{_MOTION} Done."},
        {"role": "user", "content": "now faster"},
        {"role": "assistant", "content": _MOTION},
    ]
    document = {"format": "motionrt-chat-1", "model": "m", "seed": 7, "messages": turns}
    yield json.dumps(document).encode()
    yield json.dumps({**document, "messages": turns[1:3]}, indent=1).encode()


def read_template(path: Path) -> None:
    """Fill a template of the user's, the first line being the caption."""
    text = path.read_text("utf-8", "surrogateescape")
    caption, _, template = text.partition("\n")
    filling = Filling(
        check_text(caption), _MOTION, length=57, frames_per_token=4, quoted=len(text) % 2 == 0
    )
    failures = []
    for task in ("t2m", "m2t", "prediction", "in_between"):
        try:
            filled = filling.into(find_template(template, task, TEMPLATES))
        except InputError as error:
            failures.append(error)
        else:
            assert filled or not template
    if len(failures) == 4:
        raise failures[0]


def read_answer(path: Path) -> None:
    """Read what a model wrote, both ways."""
    text = path.read_text("utf-8", "replace")
    thought, rest = split_thought(text)
    again, answer = split_thought(thought_block(thought) + rest)
    assert again == thought.strip("\n") or "<think>" in thought
    assert answer == rest.lstrip("\n") or "</think>" in rest
    found = read_codes_of_text(rest, _TOKENS)
    assert all(0 <= code < _TOKENS.num_codes for code in found.codes)
    assert all(note.isprintable() for note in found.notes)
    _TOKENS.with_placeholder(rest, "[motion]")
    parse_as_upstream(text, _TOKENS)


def read_server(path: Path) -> None:
    """Read an answer as the client does: a list of models, a whole answer, one by events."""
    content = path.read_bytes()
    reader = AnswerReader(_URL)
    heard: list[str] = []
    failures = []
    size = 1 + len(content) % 97
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    for read in (
        lambda: reader.first_model(content),
        lambda: reader.whole(content),
        lambda: reader.streamed(pieces, heard.append),
    ):
        try:
            read()
        except BackendError as error:
            failures.append(error)
    assert sum(map(len, heard)) <= len(content)
    if len(failures) == 3:
        raise failures[0]


def mutate_server(rng: Random, data: bytes) -> bytes:
    """Change an answer: its text, or the JSON of one of its lines."""
    if rng.random() < 0.3:
        return havoc_text(rng, data)
    lines = data.split(b"\n")
    places = [place for place, line in enumerate(lines) if b"{" in line]
    if not places:
        return havoc_text(rng, data)
    place = rng.choice(places)
    head, brace, rest = lines[place].partition(b"{")
    lines[place] = head + json_mutator()(rng, brace + rest)
    return b"\n".join(lines)


def _answers() -> Iterable[bytes]:
    message = {"role": "assistant", "content": f"{_THOUGHT}{_MOTION}"}
    yield json.dumps({"choices": [{"message": message}], "usage": {"total_tokens": 9}}).encode()
    apart = {"content": _MOTION, "reasoning_content": "First the left foot."}
    yield json.dumps({"choices": [{"message": apart}]}).encode()
    yield json.dumps({"data": [{"id": "motion", "object": "model"}, {"id": "b"}]}).encode()
    deltas = [{"role": "assistant"}, {"reasoning": "Left."}, {"content": _MOTION}, {}]
    events = [json.dumps({"choices": [{"delta": delta}]}) for delta in deltas]
    events += [json.dumps({"choices": [], "usage": {}}), "[DONE]"]
    yield "".join(f"data: {event}\n\n" for event in events).encode()
    yield b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'


TARGETS = (
    Target(
        "transcript",
        read_transcript,
        json_mutator(),
        _transcripts,
        "transcript.json",
        _prepare,
    ),
    Target(
        "template",
        read_template,
        havoc_text,
        lambda: [f"a walk\n{text} <Second_Placeholder>".encode() for text in TEMPLATES.values()],
    ),
    Target(
        "motion-answer",
        read_answer,
        havoc_text,
        lambda: [f"{_THOUGHT}So: {_MOTION} and {_MOTION}".encode(), _MOTION[:-3].encode()],
    ),
    Target("language-server", read_server, mutate_server, _answers),
)
