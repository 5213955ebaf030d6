"""Time as a stream counts it: frames that fall due, chunks that are given when they do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from numbers import Real
from typing import TYPE_CHECKING

from motionrt.runtime.errors import InputError

if TYPE_CHECKING:
    from motionrt.runtime.body.motion import Motion

_EARLY = 1e-6
"""Share of a frame that a sum of times may fall short by rounding."""
_MOST_SECONDS = 1e6


def check_seconds(seconds: float) -> None:
    """Raise InputError for a time that cannot be meant."""
    if not isinstance(seconds, Real):
        raise InputError(f"{seconds!r} is no number of seconds")
    if not 0 <= seconds <= _MOST_SECONDS:
        raise InputError(f"{seconds} s: must be from 0 to {_MOST_SECONDS:g}")


def in_time(
    take: Callable[[int], Motion],
    chunk_seconds: float,
    fps: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Motion]:
    """Yield chunks of a length as they fall due, for ever; take gives so many frames."""
    frames = max(1, round(chunk_seconds * fps))
    due = clock()
    while True:
        yield take(frames)
        due += frames / fps
        left = due - clock()
        if left > 0:
            sleep(left)
        else:
            due -= left  # late: go on from now, and do not hurry after what was missed


class Elapsed:
    """Counts the frames that fall due; what is left of one is remembered."""

    def __init__(self, rest: float = 0.0) -> None:
        """Begin with a part of a frame that has gone by."""
        self.rest = rest

    def frames(self, seconds: float, fps: float) -> int:
        """Let time go by and return the frames that fall due in it; InputError if it cannot be."""
        check_seconds(seconds)
        self.rest += seconds * fps
        due = math.floor(self.rest + _EARLY)
        self.rest -= due
        return due
