"""A conversation about motions: turns, what was thought and made in them, and a file of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.language.sampling import SamplingRules
from motionrt.runtime.language.token_cache import TokenCache
from motionrt.runtime.motiongpt_qwen.answer import read_codes_of_text
from motionrt.runtime.motiongpt_qwen.chat import Message, split_thought
from motionrt.runtime.motiongpt_qwen.pipeline import Answer, MotionGptQwenPipeline
from motionrt.runtime.motiongpt_qwen.templates import Filling, check_text, find_template
from motionrt.runtime.sampling.noise import MAX_SEED

FORMAT: Final = "motionrt-chat-1"
_LARGEST_FILE = 1 << 24
_Role = Literal["system", "user", "assistant"]


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: _Role
    content: str


class _Transcript(msgspec.Struct, forbid_unknown_fields=True):
    """What a file of a conversation holds."""

    format: Literal["motionrt-chat-1"]
    model: str
    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]
    messages: list[_Turn]


@dataclass(frozen=True)
class Turn:
    """One answer."""

    answer: Answer
    motion: Motion | None
    """None if the answer holds none."""


class Conversation:
    """Questions and answers, one after another. Not for several threads at once.

    The first question is worded by the template, those that follow stand as they are. What was said
    before stays in the model's memory, so that a turn costs what is new in it.
    """

    def __init__(
        self,
        pipeline: MotionGptQwenPipeline,
        *,
        seed: int,
        system: str | None = None,
        template: str | None = None,
    ) -> None:
        """Begin one.

        seed: of all draws; turn i draws from seed + i. system: what the model is told beforehand.
        template: a name of the bundle's or a text with ``<Caption_Placeholder>``. InputError if a
        text holds what the model reserves.
        """
        self.pipeline = pipeline
        self._cache: TokenCache | None = None
        self._template = find_template(template, "t2m", pipeline.templates)
        self.seed = checked_seed(seed)
        self.messages: list[Message] = []
        if system is not None:
            self.messages.append(Message("system", check_text(system)))
        self.thinking: bool | None = None
        """Whether the model may think first; None is the bundle's."""
        self.wants_motion = True
        """Every answer is a motion; otherwise a text that may hold one."""
        self.grammar = True
        self.num_frames: int | None = None
        """Of the motions; None lets the model end them."""
        self.max_new_tokens: int | None = None
        self.rules: SamplingRules | None = None
        """How tokens are drawn; None is the bundle's."""

    @property
    def num_turns(self) -> int:
        """How many questions were asked."""
        return sum(message.role == "user" for message in self.messages)

    def ask(self, text: str, heard: Callable[[str], None] | None = None) -> Turn:
        """Ask, and return the answer; if that fails or is cancelled, nothing was asked.

        heard is told of the answer as it is written. InputError if the text holds what the model
        reserves, or the conversation has become too long.
        """
        content = check_text(text.strip())
        if not content:
            raise InputError("an empty question")
        turn = self.num_turns
        if turn == 0:
            filling = Filling(
                content,
                length=self.num_frames or 0,
                frames_per_token=self.pipeline.code.frames_per_token,
                fps=self.pipeline.fps,
            )
            content = filling.into(self._template)
        asked = [*self.messages, Message("user", content)]
        if self._cache is None and not self.pipeline.asks_server:
            self._cache = self.pipeline.new_cache()
        answer = self.pipeline.answer(
            asked,
            thinking=self.thinking,
            wants_motion=self.wants_motion,
            grammar=self.grammar,
            num_frames=self.num_frames,
            seed=(self.seed + turn) % (MAX_SEED + 1),
            max_new_tokens=self.max_new_tokens,
            rules=self.rules,
            cache=self._cache,
            heard=heard,
        )
        self.messages = [*asked, Message("assistant", answer.content)]
        return Turn(answer, self._motion(answer.motion.codes, text))

    def undo(self) -> bool:
        """Take the last question and its answer back; False if there is none."""
        places = [i for i, message in enumerate(self.messages) if message.role == "user"]
        if not places:
            return False
        del self.messages[places[-1] :]
        return True

    def last_motion(self) -> Motion | None:
        """Return the motion of the last answer that has one, None if none has."""
        for place in range(len(self.messages) - 1, -1, -1):
            message = self.messages[place]
            if message.role == "assistant":
                _, rest = split_thought(message.content)
                if codes := read_codes_of_text(rest, self.pipeline.tokens).codes:
                    return self._motion(codes, self.messages[place - 1].content)
        return None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a file, which `resume` reads."""
        turns = [_Turn(message.role, message.content) for message in self.messages]  # type: ignore[arg-type]
        document = _Transcript(FORMAT, self.pipeline.manifest.name, self.seed, turns)
        content = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)

    @classmethod
    def resume(
        cls,
        pipeline: MotionGptQwenPipeline,
        path: str | os.PathLike[str],
        template: str | None = None,
    ) -> Conversation:
        """Go on with a conversation in a file; InputError if it is none."""
        place = Path(path)
        try:
            if place.stat().st_size > _LARGEST_FILE:
                raise InputError(f"{path}: larger than any conversation")
            found = msgspec.json.decode(place.read_bytes(), type=_Transcript)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: no conversation of motionrt chat ({error})") from None
        roles = [turn.role for turn in found.messages if turn.role != "system"]
        if roles != ["user", "assistant"] * (len(roles) // 2):
            raise InputError(f"{path}: questions and answers do not take turns in it")
        made = cls(pipeline, seed=found.seed, template=template)
        made.messages = [Message(turn.role, turn.content) for turn in found.messages]
        return made

    def _motion(self, codes: tuple[int, ...], asked: str) -> Motion | None:
        if not codes:
            return None
        pipeline = self.pipeline
        info = {
            "prompt": asked,
            "seed": self.seed,
            "model": pipeline.manifest.name,
            "family": pipeline.manifest.family,
            "backend": pipeline.backend.name,
            "codes": list(codes),
            "turn": self.num_turns,
        }
        return pipeline.motion_of(codes, info)


def checked_seed(seed: int) -> int:
    """Return a seed; InputError if it is none."""
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed {seed}: must be from 0 to {MAX_SEED}")
    return seed
