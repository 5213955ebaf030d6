"""Finishing: what is done to a motion before it goes into a game or a scene, in one order."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from motionrt.runtime.body.clip_ends import POSE_SECONDS, POSES, from_pose, to_pose, trimmed
from motionrt.runtime.body.facings import FACINGS
from motionrt.runtime.body.hand_poses import HAND_POSES
from motionrt.runtime.body.hands import with_hands
from motionrt.runtime.body.loop import figures as loop_figures
from motionrt.runtime.body.loop import looped
from motionrt.runtime.body.mirror import mirrored
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import at_speed, resample
from motionrt.runtime.body.root_motion import SMOOTH_SECONDS, in_place, placed
from motionrt.runtime.errors import InputError

STARTS = ("origin",)


@dataclass(frozen=True)
class Finishing:
    """What is to be done; the fields stand in the order in which it is done.

    InputError if two of them contradict each other.
    """

    trim: bool = False
    """Cut the ends off that are mid-stride (`clip_ends.trimmed`)."""
    mirror: bool = False
    """Swap left and right (`mirror.mirrored`)."""
    speed: float | None = None
    """Play it so many times as fast (`resample.at_speed`)."""
    fps: float | None = None
    """Frame rate; None keeps the motion's."""
    loop: bool = False
    """Cut it to its best cycle and close the seam (`loop.looped`)."""
    loop_seconds: float | None = None
    """The longest round that is taken; None for any."""
    from_pose: str | None = None
    """Lead in from a pose (`clip_ends.from_pose`)."""
    to_pose: str | None = None
    """Lead out to a pose."""
    pose_seconds: float = POSE_SECONDS
    """How long leading in and out take."""
    start_at: str | None = None
    """"origin": its path starts there (`root_motion.placed`)."""
    face: str | None = None
    """Where its path starts along: +z, -z, +x or -x."""
    hands: str | None = None
    """Put the fingers into a pose (`hands.with_hands`)."""
    in_place: bool = False
    """Take the path over the floor away (`root_motion.in_place`): it faces +z or ``face``."""
    root_smoothing: float = SMOOTH_SECONDS
    """How far in_place smooths the path that it takes away, in seconds; 0: no sway stays."""

    def __post_init__(self) -> None:
        if self.loop and (self.from_pose or self.to_pose):
            raise InputError("a loop has no ends that could be led to a pose")
        if self.loop_seconds is not None and not self.loop:
            raise InputError("the longest round is given, but no loop is asked for")
        for name, value, known in [
            ("from_pose", self.from_pose, POSES),
            ("to_pose", self.to_pose, POSES),
            ("start_at", self.start_at, STARTS),
            ("face", self.face, tuple(FACINGS)),
            ("hands", self.hands, tuple(HAND_POSES)),
        ]:
            if value is not None and value not in known:
                raise InputError(f"{name} is {value!r}; there are {', '.join(known)}")

    @property
    def does_something(self) -> bool:
        """Whether a motion would not stay as it is."""
        return any(getattr(self, item.name) != item.default for item in fields(self))

    def apply(self, motion: Motion) -> Finished:
        """Do it all; the motion that is given stays as it is."""
        told: list[str] = []
        figures: dict[str, Any] = {}
        if self.trim:
            frames = motion.num_frames
            motion = trimmed(motion)
            told.append(f"trimmed to {motion.num_frames} of {frames} frames")
        if self.mirror:
            motion = mirrored(motion)
        if self.speed is not None:
            motion = at_speed(motion, self.speed)
        if self.fps is not None:
            motion = resample(motion, self.fps)
        if self.loop:
            loop = looped(motion, max_seconds=self.loop_seconds)
            motion = loop.motion
            told.append(loop.told())
            figures["loop"] = loop_figures(loop)
        if self.from_pose is not None:
            motion = from_pose(motion, self.from_pose, self.pose_seconds)
        if self.to_pose is not None:
            motion = to_pose(motion, self.to_pose, self.pose_seconds)
        if self.hands is not None:
            motion = with_hands(motion, self.hands)
        face = None if self.face is None else FACINGS[self.face]
        if self.in_place:
            motion = in_place(motion, face or 0.0, self.root_smoothing)
        elif self.start_at is not None or face is not None:
            motion = placed(motion, at_origin=self.start_at is not None, face=face)
        return Finished(motion, tuple(told), figures)


@dataclass(frozen=True)
class Finished:
    """A motion, and what is to be said of how it was finished."""

    motion: Motion
    told: tuple[str, ...]
    """Lines for a person."""
    figures: dict[str, Any]
    """The same as numbers, for JSON."""


def finish(motion: Motion, **settings: Any) -> Motion:
    """Finish a motion; settings are the fields of `Finishing`.

    ::

        walk = finish(motion, loop=True, start_at="origin", face="+z", in_place=True)

    InputError if a setting is unknown or cannot be done with this motion.
    """
    known = [item.name for item in fields(Finishing)]
    for name in settings:
        if name not in known:
            raise InputError(f"finish has no setting {name!r}; there are {', '.join(known)}")
    return Finishing(**settings).apply(motion).motion
