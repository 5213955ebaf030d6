"""A stream at another program's rate: a robot's controller asks hundreds of times a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from motionrt.runtime.ardy.clock import Elapsed, in_time
from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample_stream import DELAY_FRAMES, Resampler
from motionrt.runtime.errors import InputError


class Source(Protocol):
    """What is resampled: a `Session`."""

    @property
    def fps(self) -> float:
        """Frames a second."""

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames."""

    def ahead(self, seconds: float | None = None) -> AbstractContextManager[None]:
        """Make frames ahead meanwhile."""


class ControlRate:
    """A session's frames, resampled smoothly to a higher rate while they are made.

    What is asked for is asked of the session. Frame i of the result is the session's motion
    i / fps seconds after the frame that it began with. It is given ``delay_seconds`` later than
    the session alone would, because so much of what follows must be known. Not safe to use from
    several threads at once.
    """

    def __init__(self, session: Source, fps: float, delay_frames: int = DELAY_FRAMES) -> None:
        """Go on from where a session stands; InputError for a rate below the session's."""
        if not fps >= session.fps:
            raise InputError(f"{fps} fps of a stream of {session.fps:g}: it must be that or more")
        self.session = session
        self._resampler = Resampler(fps, delay_frames)
        self._elapsed = Elapsed()
        self._ready: Motion | None = None
        self._fetched = 0
        self._given = 0

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self._resampler.fps

    @property
    def position(self) -> int:
        """The number of the next frame, counted at this rate from where it began."""
        return self._given

    @property
    def delay_seconds(self) -> float:
        """By how much frames come later than the session's own."""
        return self._resampler.delay_frames / self.session.fps

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames, at least one; waits until they are made."""
        if num_frames < 1:
            raise InputError(f"{num_frames} frames: at least one can be fetched")
        stop = self._given + num_frames
        moment = (stop - 1) * self.session.fps / self.fps
        missing = math.ceil(moment - 1e-6) + self._resampler.delay_frames + 1 - self._fetched
        if missing > 0:
            made = self._resampler.push(self.session.take(missing))
            self._fetched += missing
            if made is not None:
                self._ready = made if self._ready is None else joined(self._ready, made)
        ready = self._ready
        assert ready is not None
        chunk = ready.crop(0, num_frames)
        self._ready = ready.crop(num_frames) if ready.num_frames > num_frames else None
        chunk.info["first_frame"] = self._given
        self._given = stop
        return chunk

    def advance(self, seconds: float) -> Motion | None:
        """Let time go by and return the frames that fall due in it; None if there is none."""
        due = self._elapsed.frames(seconds, self.fps)
        return self.take(due) if due else None

    def play(
        self,
        chunk_seconds: float = 0.01,
        ahead_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Iterator[Motion]:
        """Yield chunks as they fall due, for ever, as `Session.play` does."""
        with self.session.ahead(ahead_seconds):
            yield from in_time(self.take, chunk_seconds, self.fps, clock, sleep)
