"""What steers a stream, by the frame from which it holds.

A stream's frames follow from its seed and from these alone: when a window is made, and how far
ahead, changes nothing.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from motionrt.runtime.ardy.network import Embedding, Text
from motionrt.runtime.constraints.kinds import Constraint
from motionrt.runtime.errors import InputError


def on_ground(value: object, told: str) -> tuple[float, float]:
    """Return x and z; InputError, which begins with what is told, if it is no two numbers."""
    try:
        x, z = np.asarray(value, np.float64)
        found = float(x), float(z)
    except (TypeError, ValueError):
        found = math.nan, math.nan
    if not all(map(math.isfinite, found)):
        raise InputError(f"{told}, not {value!r}")
    return found


@dataclass(frozen=True)
class Controls:
    """What is asked of the frames that follow."""

    prompt: str
    text: Text
    """The prompt, embedded."""
    embedding: Embedding | None = None
    """Of the prompt, if a caller gave it."""
    constraints: tuple[Constraint, ...] = ()
    """Of absolute frames; goals are among them."""
    velocity: tuple[float, float] | None = None
    """Where the root shall go, x and z in metres a second; None leaves it to the prompt."""
    serial: int = 0
    """Tells controls apart that were asked for one after another."""

    def without_past(self, frame: int) -> Controls:
        """Let go of constraints all of whose frames are before one."""
        left = tuple(
            item
            for item in self.constraints
            if len(item.frame_indices) and item.frame_indices.max() >= frame
        )
        return self if len(left) == len(self.constraints) else replace(self, constraints=left)


class Timeline:
    """Controls by the frame from which they hold, and frames at which is planned anew."""

    def __init__(self, controls: Controls) -> None:
        """Let controls hold from the start."""
        self._frames = [0]
        self._controls = [controls]
        self._cuts: list[int] = []

    @staticmethod
    def of(entries: Sequence[tuple[int, Controls]], cuts: Sequence[int]) -> Timeline:
        """Make a timeline of `entries` and `cuts`."""
        timeline = Timeline(entries[0][1])
        timeline._frames[0] = entries[0][0]
        for frame, controls in entries[1:]:
            timeline.change(frame, controls)
        timeline._cuts = sorted(set(cuts))
        return timeline

    @property
    def entries(self) -> list[tuple[int, Controls]]:
        """Frames and the controls that hold from there."""
        return list(zip(self._frames, self._controls, strict=True))

    @property
    def cuts(self) -> Sequence[int]:
        """Frames at which is planned anew, rising."""
        return tuple(self._cuts)

    @property
    def last(self) -> Controls:
        """What was asked for last."""
        return self._controls[-1]

    def at(self, frame: int) -> Controls:
        """Return what holds at a frame."""
        return self._controls[bisect.bisect_right(self._frames, frame) - 1]

    def change(self, frame: int, controls: Controls) -> int:
        """Let controls hold from a frame on, or from that of the last change if that is later.

        Returns which it is.
        """
        if frame <= self._frames[-1]:
            self._controls[-1] = controls
        else:
            self._frames.append(frame)
            self._controls.append(controls)
        return self._frames[-1]

    def cut(self, frame: int) -> None:
        """Plan anew from a frame on."""
        if frame not in self._cuts:
            bisect.insort(self._cuts, frame)

    def until(self, frame: int) -> int | None:
        """Return the first frame after one that is not to be planned with it."""
        after = bisect.bisect_right(self._frames, frame)
        found = [*self._frames[after : after + 1]]
        after = bisect.bisect_right(self._cuts, frame)
        found += self._cuts[after : after + 1]
        return min(found, default=None)

    def forget(self, before: int) -> None:
        """Let go of what holds for frames before one alone."""
        kept = max(0, bisect.bisect_right(self._frames, before) - 1)
        del self._frames[:kept], self._controls[:kept]
        del self._cuts[: bisect.bisect_left(self._cuts, before)]
        self._controls[0] = self._controls[0].without_past(before)
