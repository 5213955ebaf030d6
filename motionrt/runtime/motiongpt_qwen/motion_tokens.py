"""Motions as words: the strings of a codebook's tokens, and their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"<motion_id_([0-9]+)>")
_MOST_DIGITS = 9


@dataclass(frozen=True)
class MotionTokens:
    """The tokens of a codebook, and the three behind them: start, end and mask of a motion."""

    num_codes: int = 512

    @property
    def start(self) -> int:
        """Number of the token that begins a motion."""
        return self.num_codes

    @property
    def end(self) -> int:
        """Number of the token that ends a motion."""
        return self.num_codes + 1

    @property
    def mask(self) -> int:
        """Number of the token that stands for one that is left out."""
        return self.num_codes + 2

    def names(self) -> list[str]:
        """Return the strings of all tokens, in the order in which they join a vocabulary."""
        return [motion_token(number) for number in range(self.num_codes + 3)]

    def text(self, codes: Sequence[int], length: int | None = None) -> str:
        """Return a motion as text: start, at most length of the codes without separators, end."""
        kept = codes if length is None else codes[:length]
        return "".join(motion_token(number) for number in (self.start, *kept, self.end))

    def numbers(self, text: str) -> list[int | None]:
        """Return the motion tokens in a text by their numbers; None stands for other words."""
        found: list[int | None] = []
        place = 0
        for match in _TOKEN.finditer(text):
            if text[place : match.start()].strip():
                found.append(None)
            number = int(match.group(1)[:_MOST_DIGITS])
            found.append(number if number <= self.mask else None)
            place = match.end()
        return [*found, None] if text[place:].strip() else found

    def with_placeholder(self, text: str, placeholder: str) -> str:
        """Return a text with a placeholder for its first motion."""
        start, end = motion_token(self.start), motion_token(self.end)
        before, found, rest = text.partition(start)
        if not found:
            return text
        inside, found, behind = rest.partition(end)
        return before + placeholder + (behind if found else _TOKEN.sub("", inside))


def motion_token(number: int) -> str:
    """Return the string of a motion token."""
    return f"<motion_id_{number}>"


def holds_motion_token(text: str) -> str | None:
    """Return the first motion token that a text holds, None if it holds none."""
    found = _TOKEN.search(text)
    return found.group() if found else None
