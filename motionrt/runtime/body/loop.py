"""Loops: cut a motion where it comes back to a pose, and close the seam.

A seam is two frames that are to be one: the pose, seen from where the body stands and faces, and
its velocity must be the same in both. What they differ by is given to the frames between, little by
little, so that no frame moves far and nothing jumps.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.quality import body_scale
from motionrt.runtime.body.root_motion import headings, loop_step
from motionrt.runtime.body.rotation import rotation_about_y, rotation_matrices, rotation_vectors
from motionrt.runtime.body.seen_pose import (
    about_y,
    flow,
    seen_joints,
    seen_poses,
    seen_rotations,
    slope,
    spin,
)
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

SHORTEST_SECONDS = 0.5
"""No stride is shorter: a sprinter makes two steps in half a second."""
LIKE_THE_BEST_M = 0.002
"""Of cycles that close about as well as the best, the longest is taken: it repeats less often."""
MAX_SEAM_M = 0.20
"""A joint that is farther off at the seam of a body of 1.71 m is no cycle; walks have 0.05."""
STRAIGHT_RAD = math.radians(20)
"""A heading that differs by less from round to round is an error of the seam, not a turn."""
NO_JUMP_MPS = 0.05
MOST_TRIED, MOST_ROUNDS = 12, 4
"""A round can be cut at many moments of its stride; the first of these that leaves no jump is. If
none does, rounds of the next best lengths are tried."""
_EASE_SECONDS = 0.2
_BLOCK = 2_000_000
"""Numbers that are compared at once."""


@dataclass(frozen=True)
class Seam:
    """How far two frames are from being one, as seen from where the body stands and faces."""

    position_mm: float
    """Of the joint that is farthest off."""
    rotation_deg: float
    """Of the joint that is turned most, relative to its parent."""
    velocity_mps: float
    """How far a joint's velocity jumps beyond what it changes between two frames of the cycle."""

    def __str__(self) -> str:
        """Say it in a few words."""
        return (
            f"{self.position_mm:.1f} mm, {self.rotation_deg:.1f} degrees, "
            f"{self.velocity_mps:.2f} m/s"
        )


@dataclass(frozen=True)
class Loop:
    """A motion that can be played round and round, and what was done for it."""

    motion: Motion
    """Its last frame is its first, a round later: play (num_frames - 1) / fps seconds a round."""
    first_frame: int
    last_frame: int
    """Of the source; they became one."""
    before: Seam
    after: Seam
    moved_mm: float
    """How far a joint was moved at most to close the seam."""

    def told(self) -> str:
        """Say in one line where it was cut, and how well it closes."""
        seconds = (self.last_frame - self.first_frame) / self.motion.fps
        return (
            f"loop of {seconds:.2f} s (frames {self.first_frame} to {self.last_frame}): the seam "
            f"was off by {self.before}, is by {self.after}; joints moved {self.moved_mm:.1f} mm "
            "at most"
        )


def looped(motion: Motion, *, max_seconds: float | None = None) -> Loop:
    """Cut a motion to its best cycle and close it.

    The cycle is the pair of frames, half a second apart or more, whose poses and velocities are
    nearest as seen from where the body stands; of those that are nearly as good, the longest, of
    max_seconds at most. InputError if no two frames are near enough.
    """
    farthest = 1000 * MAX_SEAM_M * body_scale(motion.skeleton)
    best: Loop | None = None
    for first, last in _cycles(motion, max_seconds):
        before = seam(motion, first, last)
        if before.position_mm > farthest:
            if best is not None:
                continue
            raise InputError(
                f"it comes back to no pose: frames {first} and {last} are nearest, and off by "
                f"{before}"
            )
        loop = closed(motion, first, last)
        after = seam(loop, 0, loop.num_frames - 1)
        if best is None or after.velocity_mps < best.after.velocity_mps:
            best = Loop(loop, first, last, before, after, _moved(motion, loop, first, last))
        if best.after.velocity_mps < NO_JUMP_MPS:
            break
    assert best is not None  # there is at least one cycle
    return best


def best_cycle(motion: Motion, *, max_seconds: float | None = None) -> tuple[int, int]:
    """Find the two frames that make the best seam, the last one after the first.

    Time grows with frames times frames of the longest cycle. InputError if the motion is shorter
    than the shortest cycle.
    """
    return _cycles(motion, max_seconds)[0]


def _cycles(motion: Motion, max_seconds: float | None) -> list[tuple[int, int]]:
    """The best cycle, others of its length that close as well, then those of other lengths."""
    frames = motion.num_frames
    shortest = max(math.ceil(SHORTEST_SECONDS * motion.fps), 4)
    longest = frames - 1
    if max_seconds is not None:
        if not (math.isfinite(max_seconds) and max_seconds > 0):
            raise InputError(f"a loop of {max_seconds} seconds: it must be above zero")
        longest = min(longest, math.floor(max_seconds * motion.fps + 1e-6))
    if longest < shortest:
        told = f"{motion.num_frames} frames" if max_seconds is None else f"{max_seconds:g} seconds"
        raise InputError(f"{told}: a loop needs {shortest + 1} frames or more")
    poses = seen_poses(motion)
    costs = [_distances(poses[:-lag], poses[lag:]) for lag in range(shortest, longest + 1)]
    least = np.array([cost.min() for cost in costs])
    alike = LIKE_THE_BEST_M * body_scale(motion.skeleton)
    best = int(np.flatnonzero(least <= least.min() + alike)[-1])
    while best > 0 and least[best - 1] < least[best]:  # of one valley the deepest
        best -= 1
    inner = np.pad(least, 1, constant_values=np.inf)
    valleys = np.flatnonzero((least <= inner[:-2]) & (least <= inner[2:]))
    others = [lag for lag in valleys[np.argsort(least[valleys], kind="stable")] if lag != best]
    cycles = []
    for lag in [best, *others[: MOST_ROUNDS - 1]]:
        firsts = np.argsort(costs[lag], kind="stable")[:MOST_TRIED]
        firsts = firsts[costs[lag][firsts] <= least[lag] + 2 * alike]
        cycles += [(int(first), int(first) + shortest + int(lag)) for first in firsts]
    return cycles


def seam(motion: Motion, first: int, last: int) -> Seam:
    """Measure how far two frames are from being one.

    Velocities are those before the last and after the first, which is what is played. Feet that
    strike the floor change theirs in one frame; only what is more than that is a jump.
    """
    joints = seen_joints(motion)
    apart = np.linalg.norm(joints[last] - joints[first], axis=-1)
    local = seen_rotations(motion)
    turn = np.swapaxes(local[first], -1, -2) @ local[last]
    angles = np.linalg.norm(rotation_vectors(turn), axis=-1)
    # Where the body comes from at the last frame against where it goes to from the first.
    places = motion.posed_joints.astype(np.float64)
    angle = headings(motion)
    ahead = (places[first + 1] - places[first]) @ rotation_about_y(angle[first])
    behind = (places[last] - places[last - 1]) @ rotation_about_y(angle[last])
    jump = np.linalg.norm(ahead - behind, axis=-1) - _usual_change(places, first, last)
    return Seam(
        1000 * float(apart.max()),
        math.degrees(float(angles.max())),
        motion.fps * max(float(jump.max()), 0.0),
    )


def closed(motion: Motion, first: int, last: int) -> Motion:
    """Cut a motion to frames first to last and make the last one the first again.

    Positions, rotations and velocities meet; a heading that differs by less than 20 degrees from
    round to round is made the same, a larger one is a turn and stays. `Motion.info["loop"]` says
    what one round moves the body by. InputError if there are less than four frames between.
    """
    if not 0 <= first < last < motion.num_frames or last - first < 4:
        raise InputError(f"frames {first} to {last} are no cycle of {motion.num_frames} frames")
    frames = last - first
    fps = motion.fps
    cut = slice(first, last + 1)
    heading = headings(motion)
    places = motion.root_positions.astype(np.float64)
    # How root and rotations differ at the seam, as seen from the body; then their velocities.
    rotations = seen_rotations(motion)
    error = rotation_vectors(np.swapaxes(rotations[first], -1, -2) @ rotations[last])
    twist = spin(rotations, last) - spin(rotations, first)
    lift = places[last, 1] - places[first, 1]
    before, after = (flow(places, heading, frame) for frame in (first, last))
    turn_rate = [slope(heading, frame) for frame in (first, last)]

    time = np.arange(frames + 1) / frames
    ramp = 0.5 - time * time * (3 - 2 * time)  # from half the error to minus half of it
    ease = min(_EASE_SECONDS * fps, frames / 2)
    bump = _bump(frames, ease)
    local = rotations[cut]
    local = local @ rotation_matrices(ramp[:, None, None] * error + bump[:, None, None] * twist)
    turned = heading[cut].copy()
    turn = turned[-1] - turned[0]
    path = places[cut].copy()
    if abs(turn) < STRAIGHT_RAD:
        # The whole path is bent back, so that the body goes on as it came.
        wanted = turned - turn * time
        steps = np.diff(path[:, ::2], axis=0)
        middle = (wanted[1:] + wanted[:-1] - turned[1:] - turned[:-1]) / 2
        path[1:, ::2] = path[0, ::2] + np.cumsum(about_y(steps, middle), axis=0)
        turned, turn = wanted, 0.0
        turn_rate = [rate - (heading[last] - heading[first]) / frames for rate in turn_rate]
    turned = turned + bump * (turn_rate[1] - turn_rate[0])
    path[:, 1] += ramp * lift
    gap = after - before
    path[:, 1] += bump * gap[1]
    path[:, ::2] += about_y(bump[:, None] * gap[::2], turned)
    step = about_y((path[-1] - path[0])[::2], -turned[0])
    info = {
        **motion.info,
        "loop": {"step_m": step.tolist(), "turn_deg": math.degrees(turn)},
    }
    contacts = motion.foot_contacts
    if contacts is not None:
        contacts = contacts[cut].copy()
        contacts[-1] = contacts[0]
    local[:, 0] = rotation_about_y(turned) @ local[:, 0]
    return Motion.from_local(local, path, motion.skeleton, fps, foot_contacts=contacts, info=info)


def played(motion: Motion, rounds: int) -> Motion:
    """Play a loop so many times, each round from where the one before ended.

    InputError if the motion is not said to be a loop.
    """
    told = loop_step(motion)
    if told is None or motion.num_frames < 2:
        raise InputError("the motion is no loop; finish it with loop=True first")
    step, turn = told
    heading = float(headings(motion)[0])
    root = motion.root_positions.astype(np.float64)
    local = motion.local_rot_mats.astype(np.float64)
    shift = np.zeros(3)
    shift[::2] = about_y(step, heading)
    places, turns = [root[:1]], [local[:1]]
    place, angle = root[0] * [1, 0, 1], 0.0
    for _ in range(rounds):
        about = np.asarray(rotation_about_y(angle))
        places.append((root[1:] - root[0] * [1, 0, 1]) @ about.T + place)
        turned = local[1:].copy()
        turned[:, 0] = about @ turned[:, 0]
        turns.append(turned)
        place = place + about @ shift
        angle += turn
    contacts = motion.foot_contacts
    if contacts is not None:
        contacts = np.concatenate([contacts[:1], *[contacts[1:]] * rounds])
    info = {key: value for key, value in motion.info.items() if key != "loop"}
    return Motion.from_local(
        np.concatenate(turns),
        np.concatenate(places),
        motion.skeleton,
        motion.fps,
        foot_contacts=contacts,
        info=info,
    )


def _distances(a: Array, b: Array) -> Array:
    """Distances (T,) of rows (T, D), a block at a time."""
    rows = max(1, _BLOCK // a.shape[1])
    parts = [
        np.linalg.norm(a[start : start + rows] - b[start : start + rows], axis=-1)
        for start in range(0, len(a), rows)
    ]
    result: Array = np.concatenate(parts)
    return result


def _usual_change(places: Array, first: int, last: int) -> Array:
    """How much a joint's step changes at most from one frame to the next inside a cycle, (J,)."""
    changes = np.diff(places[first : last + 1], n=2, axis=0)
    usual: Array = np.linalg.norm(changes, axis=-1).max(axis=0)
    return usual


def _bump(frames: int, ease: float) -> Array:
    """A curve (frames + 1,) that is zero at its ends, with slope 1/2 in the first frame and -1/2.

    It dies away within ``ease`` frames of either end: with it a velocity that is one too much at
    the last frame becomes the same at both.
    """
    time = np.arange(frames + 1)
    near = np.clip(time / ease, 0, 1)
    start = 0.5 * ease * near * (1 - near) ** 2
    # At the end the slope has to fall by half of the difference; seen backwards it is a rise.
    return np.asarray(start + start[::-1], np.float64)


def _moved(source: Motion, loop: Motion, first: int, last: int) -> float:
    """How far the closing moved a joint at most, as seen from the body, in millimetres."""
    apart = seen_joints(loop) - seen_joints(source)[first : last + 1]
    return 1000 * float(np.linalg.norm(apart, axis=-1).max())


def figures(loop: Loop) -> dict[str, Any]:
    """Give what `Loop.told` says as JSON's types."""
    return {
        "first_frame": loop.first_frame,
        "last_frame": loop.last_frame,
        "before": asdict(loop.before),
        "after": asdict(loop.after),
        "moved_mm": loop.moved_mm,
    }
