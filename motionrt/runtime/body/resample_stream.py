"""A faster frame rate for a motion that comes piece by piece, as a robot's controller asks for it.

The curves are those of `resample`: cubic splines with a continuous second derivative. That of a
whole motion depends on all its frames, but on distant ones hardly: a frame k frames away counts
0.27^k. What lies further than a few frames is left out, so that a moment is settled as soon as
these few frames behind it are known.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joining import joined
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import along, cubic, resample
from motionrt.runtime.body.rotation import Floats
from motionrt.runtime.errors import InputError

DELAY_FRAMES = 4
"""Frames of the slower motion that are known behind a moment before it is settled: 0.16 s at 25 a
second. Second differences then count up to 3 frames away; a limb that speeds up with 20 m/s^2 is
0.03 mm off the curve through all frames, with 6 frames 0.002 mm."""
LEAST_DELAY_FRAMES = 2
_POLE = math.sqrt(3) - 2
"""m[i-1] + 4 m[i] + m[i+1] = 6 d[i] is solved by m[i] = sqrt(3) sum of _POLE^|k| d[i+k]."""
_MOST_NEW_FRAMES = 1_000_000


class Resampler:
    """Gives a motion that comes in pieces more frames a second, the same however it is cut.

    Frame i is the motion i / fps seconds after its first frame. A moment that has a frame gets that
    frame itself.
    """

    def __init__(self, fps: float, delay_frames: int = DELAY_FRAMES) -> None:
        """Make frames for a rate; delay_frames of the given motion are known behind each.

        InputError if the rate is no number above zero or the delay is below 2.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise InputError(f"fps is {fps}, it must be a number above zero")
        if delay_frames < LEAST_DELAY_FRAMES:
            raise InputError(
                f"a delay of {delay_frames} frames: at least {LEAST_DELAY_FRAMES} must be known"
            )
        self.fps, self.delay_frames = float(fps), delay_frames
        self._held: Motion | None = None
        self._first = 0
        """Number of the first frame that is held."""
        self._made = 0

    def push(self, motion: Motion) -> Motion | None:
        """Take the frames that follow; return what is settled now, None if nothing is.

        InputError if they are on another skeleton or of another rate than those before, or of a
        higher one than what is made.
        """
        held = self._held
        if motion.fps > self.fps:
            raise InputError(
                f"{self.fps:g} fps of a stream of {motion.fps:g}: only more frames a second can be "
                "made while it goes on"
            )
        if held is not None:
            if held.skeleton.joint_names != motion.skeleton.joint_names or held.fps != motion.fps:
                raise InputError("the frames do not go on from those before: other joints or rate")
            if held.to_arrays().keys() != motion.to_arrays().keys():
                raise InputError("the frames do not go on from those before: other arrays")
            motion = joined(held, motion)
        self._held = motion
        settled = self._first + motion.num_frames - 1 - self.delay_frames
        made = self._until(settled)
        # The spline at what comes next looks back as far as ahead.
        next_frame = math.floor(self._made * motion.fps / self.fps)
        unused = min(next_frame - self.delay_frames - 1, settled) - self._first
        if unused > 0:
            self._held = motion.crop(unused)
            self._first += unused
        return made

    def finish(self) -> Motion | None:
        """Return what is left up to the last frame; the next piece begins a new motion."""
        held, first = self._held, self._first
        made = None
        if held is not None:
            last = first + held.num_frames - 1
            if not self._made:
                made = resample(held, self.fps)
            else:
                made = self._until(last)
        self._held, self._first, self._made = None, 0, 0
        return made

    def _until(self, last: int) -> Motion | None:
        """Make the frames up to a frame of the given motion, of which all behind is known."""
        motion = self._held
        assert motion is not None
        ratio = motion.fps / self.fps
        stop = math.floor(last / ratio + 1e-6) + 1
        if stop <= self._made:
            return None
        if stop - self._made > _MOST_NEW_FRAMES:
            raise InputError(
                f"{self.fps:g} fps would make {stop - self._made} frames at once, more than "
                f"{_MOST_NEW_FRAMES}; give it shorter pieces"
            )
        moments = np.minimum(np.arange(self._made, stop) * ratio, last) - self._first
        met = np.abs(moments - np.round(moments)) < 1e-6
        reach = self.delay_frames - 1

        def curve(values: Floats) -> NDArray[np.float64]:
            exact = values.astype(np.float64)
            return cubic(exact, _near_bends(exact, reach), moments)

        made = along(motion, moments, met, curve, self.fps, dict(motion.info))
        made.info["first_frame"] = self._made
        self._made = stop
        return made


def _near_bends(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Second derivatives of the spline through values (T, ...), from differences near by.

    They are zero at the first and last frame ("natural"), where a stream has nothing to look back
    at; behind both, differences go on turned by half a turn.
    """
    padding = [(1, 1)] + [(0, 0)] * (values.ndim - 1)
    differences = np.pad(np.diff(values, n=2, axis=0), padding)
    padding[0] = (reach, reach)
    wide = np.pad(differences, padding, mode="reflect", reflect_type="odd")
    bend = np.zeros_like(values)
    for k in range(-reach, reach + 1):
        start = reach + k
        bend += math.sqrt(3) * _POLE ** abs(k) * wide[start : start + len(values)]
    return bend
