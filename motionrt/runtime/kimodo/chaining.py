"""Long prompts in parts that a model was trained on, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.constraints.kinds import Constraint, Root2D, places_of
from motionrt.runtime.errors import InputError
from motionrt.runtime.kimodo.compat import DEFAULT_COMPAT, Compat
from motionrt.runtime.kimodo.segments import (
    NUM_TRANSITION_FRAMES,
    segment_lengths,
    transition_frames,
)

MAX_CHAINED_SECONDS = 600.0
"""A longer prompt is refused: one motion is held in memory as a whole."""


def part_lengths(
    num_frames: Sequence[int],
    longest: int,
    num_transition_frames: int = NUM_TRANSITION_FRAMES,
    compat: Compat = DEFAULT_COMPAT,
    num_previous: int = 0,
    transitions_included: bool = False,
) -> list[list[int]]:
    """Split prompts that are longer than the model was trained on into equal parts.

    Of each prompt the frames of its parts are returned. With its transition no part of a split
    prompt is longer than longest, if there is a way; a prompt that is not too long stays whole,
    counted with its transition if that is included. num_previous is the length of the clip that is
    continued.
    """
    parts: list[list[int]] = []
    before = num_previous
    for frames in num_frames:
        own = [frames]
        counted = frames
        if transitions_included and before:
            counted += transition_frames(before, num_transition_frames, compat)
        if counted > longest:
            own = _split(frames, longest, num_transition_frames, compat, before)
        parts.append(own)
        before = own[-1]
    return parts


def waypoints_between(
    constraints: Sequence[Constraint],
    ends: Sequence[int],
    start: tuple[int, NDArray[np.float32]],
    compat: Compat = DEFAULT_COMPAT,
) -> list[Constraint]:
    """Say where the root is at the ends of parts, so that each goes its share of the way.

    A part does not see the constraints of the next: without this the last one before a waypoint
    would have to go all the way. At each of ends (the last frames of parts) the root is on the
    straight line between the places that constraints give before and after it; start is the frame
    and the place (x, z) that the motion begins with. After the last of these it is free.
    """
    places = {start[0]: start[1], **dict(places_of(constraints, compat.root_takes_height))}
    known = sorted(places)
    held = [end for end in ends if known[0] < end < known[-1] and end not in places]
    if not held:
        return []
    path = np.array([places[frame] for frame in known], np.float64)
    line = np.stack([np.interp(held, known, path[:, axis]) for axis in (0, 1)], axis=-1)
    return [Root2D(held, line)]


def ends_of_parts(parts: Sequence[Sequence[int]], num_previous: int = 0) -> list[int]:
    """Return the last frame of every part that another part of the same prompt follows."""
    ends = []
    start = num_previous
    for own in parts:
        for frames in own[:-1]:
            start += frames
            ends.append(start - 1)
        start += own[-1]
    return ends


def _split(
    frames: int, longest: int, num_transition_frames: int, compat: Compat, before: int
) -> list[int]:
    fewest = -(-frames // longest)
    for count in range(fewest, frames + 1):
        own = _equal(frames, count)
        try:
            lengths = segment_lengths(own, num_transition_frames, compat, before)
        except InputError:  # parts have become shorter than their transitions
            break
        if max(lengths) <= longest:
            return own
    return _equal(frames, fewest)


def _equal(frames: int, count: int) -> list[int]:
    """Split into whole numbers that differ by one at most."""
    edges = [frames * index // count for index in range(count + 1)]
    return [stop - start for start, stop in pairwise(edges)]
