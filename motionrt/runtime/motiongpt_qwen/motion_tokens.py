"""Motions as words: the strings of a codebook's tokens, and their ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"<motion_id_\d+>")


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


def motion_token(number: int) -> str:
    """Return the string of a motion token."""
    return f"<motion_id_{number}>"


def holds_motion_token(text: str) -> str | None:
    """Return the first motion token that a text holds, None if it holds none."""
    found = _TOKEN.search(text)
    return found.group() if found else None
