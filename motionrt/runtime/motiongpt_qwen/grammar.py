"""What may follow in an answer, so that a motion in it can be read and ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.language.sampling import Choice
from motionrt.runtime.motiongpt_qwen.motion_tokens import MotionTokens

_MOST_BLANKS = 2
"""Line breaks between thoughts and motion."""


@dataclass(frozen=True)
class Vocabulary:
    """Ids that a grammar tells apart."""

    first_motion_id: int
    tokens: MotionTokens
    think_start: int
    think_end: int
    end_ids: tuple[int, ...]
    special: tuple[int, ...] = ()
    """Ids that mark turns and texts, beside those that end an answer."""
    blanks: tuple[int, ...] = ()
    """Line breaks that may stand between thoughts and motion."""

    @property
    def start(self) -> int:
        """Id of the token that begins a motion."""
        return self.first_motion_id + self.tokens.start

    @property
    def end(self) -> int:
        """Id of the token that ends a motion."""
        return self.first_motion_id + self.tokens.end


class MotionGrammar:
    """Rules one answer: a `language.decoding.Grammar`.

    Inside a motion only codes and its end follow; codes and end stand nowhere else; thoughts hold
    no motion. A motion has from least to most codes. Of max_tokens tokens so many are kept back as
    a motion needs, so that it always ends, and thoughts are closed in time.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        max_tokens: int,
        *,
        least: int = 1,
        most: int | None = None,
        wants_motion: bool = True,
        may_think: bool = True,
    ) -> None:
        """Begin an answer.

        wants_motion: the answer is a motion, perhaps after thoughts, and nothing else; it is done
        with the motion's end. Otherwise it is a text that may hold one motion.
        """
        self._words = vocabulary
        self._left = max_tokens
        self._least = least
        self._most = max(least, max_tokens - 2) if most is None else most
        self._wants_motion = wants_motion
        self._may_think = may_think
        self._state = "open"
        self._codes = 0
        self._blanks = 0
        first, count = vocabulary.first_motion_id, vocabulary.tokens.num_codes
        motion = np.arange(first, first + count + 3)
        self._codes_only = motion[:count]
        self._codes_or_end = np.append(motion[:count], vocabulary.end)
        special = [*vocabulary.special, vocabulary.think_start]
        thinking = [*special, *vocabulary.end_ids]
        self._no_thoughts = np.concatenate((motion, np.array(thinking, np.int64)))
        in_text = motion[motion != vocabulary.start]
        self._in_text = np.concatenate(
            (in_text, np.array([*vocabulary.special, vocabulary.think_end], np.int64))
        )

    @property
    def inside(self) -> bool:
        """Whether only motion tokens can follow, or nothing."""
        return self._state in ("inside", "done")

    def choice(self) -> Choice:
        """Say what the next token may be."""
        words = self._words
        if self._state == "inside":
            return self._in_motion()
        if self._state == "thinking":
            if self._left <= self._kept_back + 1:
                return _only(words.think_end)
            return Choice(banned=self._no_thoughts)
        if self._wants_motion:
            spare = self._left > self._kept_back
            if self._state == "open" and self._may_think and self._left > self._kept_back + 2:
                return _only(words.start, words.think_start)
            if self._state == "thought" and spare and self._blanks < _MOST_BLANKS:
                return _only(words.start, *words.blanks)
            return _only(words.start)
        banned = list(self._in_text)
        if self._state != "open" or not self._may_think or self._left <= self._kept_back + 2:
            banned.append(words.think_start)
        if self._state == "after" or self._left < self._kept_back:
            banned.append(words.start)
        return Choice(banned=np.array(banned, np.int64))

    def accept(self, token: int) -> bool:
        """Take the token that was chosen; True if the motion that is wanted has ended."""
        words = self._words
        self._left -= 1
        if self._state == "inside":
            if token == words.end:
                self._state = "done" if self._wants_motion else "after"
            else:
                self._codes += 1
        elif self._state == "thinking":
            self._state = "thought" if token == words.think_end else "thinking"
        elif token == words.start:
            self._state = "inside"
        elif token == words.think_start:
            self._state = "thinking"
        else:
            self._blanks += 1
            self._state = "text" if self._state == "open" else self._state
        return self._state == "done"

    @property
    def _kept_back(self) -> int:
        """Tokens that a motion needs: start, codes, end."""
        return (self._most if self._wants_motion else self._least) + 2

    def _in_motion(self) -> Choice:
        if self._codes >= self._most or self._left <= 1:
            return _only(self._words.end)
        if self._codes < self._least and self._left > self._least - self._codes:
            return Choice(allowed=self._codes_only)
        return Choice(allowed=self._codes_or_end)


def _only(*ids: int) -> Choice:
    found: NDArray[np.int64] = np.unique(np.array(ids, np.int64))
    return Choice(allowed=found)
