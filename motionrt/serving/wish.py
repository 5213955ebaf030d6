"""What may be asked of a stream while it plays, as JSON: by a page, or a line of a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from motionrt.runtime.errors import InputError, one_line


class Steered(Protocol):
    """What grants wishes: a session of a pipeline's ``stream``."""

    def prompt(self, text: str) -> None:
        """Follow another prompt."""

    def goal(
        self, place: Sequence[float], seconds: float, heading_rad: float | None = None
    ) -> None:
        """Be at a place in so many seconds."""

    def velocity(self, wanted: Sequence[float] | None) -> None:
        """Go with a velocity."""

    def clear(self) -> None:
        """Let go of goals and velocity."""


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for; what is left out stays as it is."""

    prompt: str | None = None
    goal: tuple[float, float] | None = None
    """x, z on the ground, in metres."""
    seconds: float = 3.0
    """Until the goal."""
    heading_rad: float | None = None
    """Where the body faces there."""
    velocity: tuple[float, float] | msgspec.UnsetType | None = msgspec.UNSET
    """x, z in metres a second; null lets go of it."""
    clear: bool = False
    """Goals and velocity are let go of, before what else is asked for."""

    @staticmethod
    def read(text: bytes | str) -> Wish:
        """Read a JSON object; InputError, of one line, if it is no wish."""
        try:
            return msgspec.json.decode(text, type=Wish)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise InputError(one_line(str(error))) from None

    def grant(self, stream: Steered) -> None:
        """Ask a stream for it."""
        if self.clear:
            stream.clear()
        if self.prompt is not None:
            stream.prompt(self.prompt)
        if self.goal is not None:
            stream.goal(self.goal, self.seconds, self.heading_rad)
        if self.velocity is not msgspec.UNSET:
            stream.velocity(self.velocity)
