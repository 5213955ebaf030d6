"""Could a body have moved so? Figures of a motion against limits that no recording passes.

The limits are generous: what is outside is broken, what is inside may still be wrong. They were
set on 462 recorded and hand-made clips and from what athletes do; docs/quality.md has the figures,
`benchmarks/judge.py` takes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.metrics import known_contacts
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.stature import standing_height

Array = NDArray[np.float64]

HUMAN_M = 1.71
"""The body that the limits below are of; those in metres grow with a body's height."""
MAX_ROOT_SPEED_MPS = 12.0
"""A sprinter's highest speed; the fastest clip, a dive roll, has 7.9."""
MAX_JOINT_SPEED_MPS = 25.0
"""The foot of a hard kick; recordings have at most 11.5, a hand-made sword's blow 20.9."""
SPEED_SECONDS = 0.1
"""Speeds are means over this time: single frames of recordings are noisy."""
MAX_HEIGHT_M = 2.0
"""Of the lowest joint above the floor; a climber's is 1.6, a jumper's below 1."""
MAX_DEPTH_M = 0.10
"""Of a joint under the floor; recordings come to 0.085."""
NEAR_FLOOR_M = 0.12
"""A joint below this may carry the body."""
SLIDING_MPS = 0.4
SLIDING_SECONDS = 0.6
"""A body slides while everything near the floor is faster than this, for at least so long: the
slowest part of a body that steps, rolls or crawls is still again within half a second."""
MAX_BODY_SLIDE_M = 1.2
"""What a body may slide at a stretch; what slides for less time counts as nothing. A captured hop
has 1.15."""
MAX_FOOT_SLIDE_M = 0.30
"""From where a foot came down while it is said to stand."""
MAX_JITTER_MPS3 = 1500.0
JITTER_FPS, JITTER_POWER = 20.0, 1.7
"""Mean jerk of all joints over the worst second, at 20 frames a second; 99.5 % of clips are below
800, the worst has 1404. It grows with the frame rate, by its power 1.7 from 20 to 30 in the
clips."""
JITTER_SECONDS = 1.0
MOST_TOLD = 3
"""A warning names so many figures; ``outside`` has all."""


@dataclass(frozen=True)
class Figure:
    """One measure of a motion, at its worst."""

    name: str
    value: float
    limit: float
    joint: str | None
    """Which joint is worst; None where it is of the whole body."""
    first_frame: int
    last_frame: int
    """The stretch around the worst moment in which the limit is passed; or that moment."""

    @property
    def outside(self) -> bool:
        """Whether the limit is passed."""
        return self.value > self.limit


@dataclass(frozen=True)
class Quality:
    """The figures of a motion; those that it is too short or too unknown for are left out."""

    figures: tuple[Figure, ...]
    fps: float

    @property
    def outside(self) -> tuple[Figure, ...]:
        """The figures whose limit is passed."""
        return tuple(figure for figure in self.figures if figure.outside)

    def to_json(self) -> dict[str, Any]:
        """Give the values by name, and with their limits and places those that are ``outside``.

        Rounded to a tenth of a millimetre or what is like it.
        """
        values: dict[str, Any] = {figure.name: round(figure.value, 4) for figure in self.figures}
        outside = [
            {**asdict(figure), "value": round(figure.value, 4), "limit": round(figure.limit, 4)}
            for figure in self.outside
        ]
        return {**values, "outside": outside}

    def warning(self) -> str | None:
        """Say in one line what is farthest outside, how far and where; None if nothing is."""
        found = sorted(self.outside, key=lambda figure: -figure.value / figure.limit)
        if not found:
            return None
        told = "; ".join(self.told(figure) for figure in found[:MOST_TOLD])
        more = len(found) - MOST_TOLD
        return f"no body moves like this: {told}" + (f"; and {more} more" if more > 0 else "")

    def told(self, figure: Figure) -> str:
        """Say what a figure is, against its limit, and where it was measured."""
        first, last = figure.first_frame, figure.last_frame
        start, stop = first / self.fps, last / self.fps
        where = f"at {start:.2f} s (frame {first})"
        if first != last:
            where = f"from {start:.2f} to {stop:.2f} s (frames {first} to {last})"
        what = _TOLD[figure.name].format(
            joint=figure.joint, value=_number(figure.value), limit=_number(figure.limit)
        )
        return f"{what} {where}"


_TOLD = {
    "root_speed_mps": "{joint} moves at {value} m/s (at most {limit})",
    "joint_speed_mps": "{joint} moves at {value} m/s (at most {limit})",
    "height_m": "the whole body is {value} m above the floor (at most {limit})",
    "depth_m": "{joint} is {value} m under the floor (at most {limit})",
    "body_slide_m": "the body slides {value} m over the floor (at most {limit})",
    "foot_slide_m": "{joint} stands and slides {value} m (at most {limit})",
    "jitter_mps3": "it trembles, {value} m/s³ of jerk (at most {limit})",
}


def judge(motion: Motion) -> Quality:
    """Measure a motion against what a body of its size can do, the floor being at y = 0.

    Lengths in metres. root_speed_mps and joint_speed_mps over a tenth of a second; height_m of the
    lowest joint and depth_m of a joint under the floor; body_slide_m, how far the body goes while
    everything near the floor moves; foot_slide_m, how far a foot gets from where it came down, if
    the motion says when its feet stand; jitter_mps3, the mean jerk of the worst second. A motion
    that says that it is without its path (``info["in_place"]``) slides as it should: neither of the
    two slides is measured.
    """
    return Quality(tuple(_figures(motion)), motion.fps)


def body_scale(skeleton: Skeleton) -> float:
    """How large a body is against the one that the limits are of; 1 for what has no size."""
    height = standing_height(skeleton)
    if height is None:
        height = float(np.ptp(skeleton.rest_positions.astype(np.float64), axis=0).max())
        height /= _JOINTS_SPAN
    return height / HUMAN_M if height > 0 else 1.0


_JOINTS_SPAN = 0.895
"""From the lowest to the highest joint of a body, by its height: the head's joint is its base."""


def _figures(motion: Motion) -> Iterator[Figure]:
    places = motion.posed_joints.astype(np.float64)
    names, fps, scale = motion.skeleton.joint_names, motion.fps, body_scale(motion.skeleton)

    def figure(
        name: str, values: Array, limit: float, joints: NDArray[np.int64] | int | None, span: int
    ) -> Figure:
        """Take the largest of values (N,), of which each is of span + 1 frames."""
        at = int(values.argmax())
        joint = joints if joints is None or isinstance(joints, int) else int(joints[at])
        first, last = _stretch(values > limit, at)
        name_of_joint = None if joint is None else names[joint]
        return Figure(name, float(values[at]), limit, name_of_joint, first, last + span)

    frames = len(places)
    if frames > 1:
        span = min(max(1, round(SPEED_SECONDS * fps)), frames - 1)
        speeds = np.linalg.norm(places[span:] - places[:-span], axis=-1) * (fps / span)
        yield figure("root_speed_mps", speeds[:, 0], scale * MAX_ROOT_SPEED_MPS, 0, span)
        joints = speeds.argmax(axis=1)
        fastest = speeds[np.arange(len(speeds)), joints]
        yield figure("joint_speed_mps", fastest, scale * MAX_JOINT_SPEED_MPS, joints, span)
    heights = places[..., 1]
    joints = heights.argmin(axis=1)
    lowest = heights[np.arange(frames), joints]
    yield figure("height_m", lowest, scale * MAX_HEIGHT_M, None, 0)
    yield figure("depth_m", np.maximum(-lowest, 0), scale * MAX_DEPTH_M, joints, 0)
    slides = motion.info.get("in_place") is True
    if frames > 1 and not slides:
        yield _body_slide(places, fps, scale)
    if not slides and (standing := known_contacts(motion)) is not None:
        yield _foot_slide(*standing, places, names, scale)
    if frames > 3:
        jerk = np.linalg.norm(np.diff(places, n=3, axis=0), axis=-1).mean(axis=1) * fps**3
        span = min(len(jerk), max(1, round(JITTER_SECONDS * fps)))
        total = np.concatenate([[0.0], np.cumsum(jerk)])
        limit = scale * MAX_JITTER_MPS3 * (fps / JITTER_FPS) ** JITTER_POWER
        yield figure("jitter_mps3", (total[span:] - total[:-span]) / span, limit, None, span + 2)


def _body_slide(places: Array, fps: float, scale: float) -> Figure:
    """Find the longest way in which all that is near the floor moves over it."""
    speeds = np.linalg.norm(np.diff(places[..., ::2], axis=0), axis=-1) * fps
    near = np.maximum(places[1:, :, 1], places[:-1, :, 1]) < scale * NEAR_FLOOR_M
    slowest = np.where(near, speeds, np.inf).min(axis=1)
    sliding = near.any(axis=1) & (slowest > scale * SLIDING_MPS)
    worst, limit = 0.0, scale * MAX_BODY_SLIDE_M
    first, last = 0, 0
    for start, stop in _runs(sliding):
        way = float(slowest[start:stop].sum()) / fps
        if stop - start >= SLIDING_SECONDS * fps and way > worst:
            worst, first, last = way, start, stop
    return Figure("body_slide_m", worst, limit, None, first, last)


def _foot_slide(
    feet: list[int],
    contacts: NDArray[np.bool_],
    places: Array,
    names: tuple[str, ...],
    scale: float,
) -> Figure:
    """Find the foot that gets farthest from where it came down, while it is said to stand."""
    worst, limit = 0.0, scale * MAX_FOOT_SLIDE_M
    joint, first, last = feet[0], 0, 0
    for column, foot in enumerate(feet):
        ground = places[:, foot, ::2]
        for start, stop in _runs(contacts[:, column]):
            away = np.linalg.norm(ground[start:stop] - ground[start], axis=-1)
            if away.max() > worst:
                worst, joint, first, last = float(away.max()), foot, start, stop - 1
    return Figure("foot_slide_m", worst, limit, names[joint], first, last)


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Give where each run of True starts, and where it stops (excluded)."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _stretch(flags: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """Give the first and the last index of the run of True around one; that one if it is False."""
    for start, stop in _runs(flags):
        if start <= at < stop:
            return start, stop - 1
    return at, at


def _number(value: float) -> str:
    """Write a figure with three digits or so."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
