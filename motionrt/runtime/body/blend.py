"""Join two motions: where their poses are alike, one fades into the other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.resample import resample
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.rotation import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about_y,
    slerp,
)
from motionrt.runtime.body.seen_pose import about_y, seen_poses, seen_rotations
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

BLEND_SECONDS = 0.4
SEARCH_SECONDS = 1.5
"""How much of the first motion's end, and of the second's start, may be left away so that the feet
are in the same phase of their stride: more than one stride."""


def blended(first: Motion, second: Motion, seconds: float = BLEND_SECONDS) -> Motion:
    """Join two motions of one skeleton; the second goes on where the first is, facing as it does.

    Over so many seconds the one fades into the other, at the place within the first's last second
    and a half and the second's first one where their poses and velocities are most alike: two
    walks meet in the same phase of the stride. The second is brought to the first's frame rate.

    InputError if the skeletons differ or one is shorter than the fade.
    """
    if not first.skeleton.same_joints(second.skeleton):
        raise InputError(
            f"skeletons {first.skeleton.name} and {second.skeleton.name} differ; retarget one of "
            "the motions first"
        )
    second = resample(second, first.fps)
    count = round(seconds * first.fps) + 1 if math.isfinite(seconds) and seconds > 0 else 0
    if count < 2:
        raise InputError(f"a blend of {seconds} seconds: it must be longer than a frame")
    for motion in (first, second):
        if motion.num_frames < count + 1:
            raise InputError(
                f"a blend of {seconds:g} seconds needs motions that are longer; one of them has "
                f"{motion.seconds:.2f}"
            )
    start, begin = _alike(first, second, count)
    turns = [headings(motion) for motion in (first, second)]
    spans = (slice(start, start + count), slice(begin, begin + count))
    share = np.arange(count) / (count - 1)
    weight = share * share * (3 - 2 * share)

    poses = [
        matrix_to_quaternion(seen_rotations(motion)[span])
        for motion, span in zip((first, second), spans, strict=True)
    ]
    mixed = quaternion_to_matrix(slerp(poses[0], poses[1], weight[:, None]))
    # What the root goes and turns from frame to frame fades, too, so that no foot is dragged.
    roots = [motion.root_positions.astype(np.float64) for motion in (first, second)]
    middle = (weight[1:] + weight[:-1]) / 2
    steps, rates = [], []
    for root, turn, span in zip(roots, turns, spans, strict=True):
        along = (turn[span][1:] + turn[span][:-1]) / 2
        steps.append(about_y(np.diff(root[span][:, ::2], axis=0), -along))
        rates.append(np.diff(turn[span]))
    rate = rates[0] * (1 - middle) + rates[1] * middle
    heading = turns[0][start] + np.concatenate([[0.0], np.cumsum(rate)])
    along = (heading[1:] + heading[:-1]) / 2
    step = steps[0] * (1 - middle)[:, None] + steps[1] * middle[:, None]
    path = np.empty((count, 3))
    path[0, ::2] = roots[0][start, ::2]
    path[1:, ::2] = path[0, ::2] + np.cumsum(about_y(step, along), axis=0)
    path[:, 1] = roots[0][spans[0], 1] * (1 - weight) + roots[1][spans[1], 1] * weight

    # The rest of the second motion, moved as one to where the fade ends.
    last = begin + count - 1
    turn = heading[-1] - turns[1][last]
    rest = roots[1][last + 1 :].copy()
    rest[:, ::2] = path[-1, ::2] + about_y(rest[:, ::2] - roots[1][last, ::2], turn)
    after = second.local_rot_mats[last + 1 :].astype(np.float64)
    after[:, 0] = rotation_about_y(turn) @ after[:, 0]
    mixed[:, 0] = rotation_about_y(heading) @ mixed[:, 0]
    contacts = None
    if (
        first.foot_contacts is not None
        and second.foot_contacts is not None
        and first.foot_contacts.shape[1] == second.foot_contacts.shape[1]
    ):
        half = count // 2
        contacts = np.concatenate(
            [first.foot_contacts[: start + half], second.foot_contacts[begin + half :]]
        )
    info: dict[str, object] = {"blend": [first.info.get("prompts"), second.info.get("prompts")]}
    if first.info.get("in_place") is True and second.info.get("in_place") is True:
        info["in_place"] = True
    return Motion.from_local(
        np.concatenate([first.local_rot_mats[:start], mixed, after]),
        np.concatenate([roots[0][:start], path, rest]),
        first.skeleton,
        first.fps,
        foot_contacts=contacts,
        info=info,
    )


def _alike(first: Motion, second: Motion, count: int) -> tuple[int, int]:
    """Find where ``count`` frames of the first and of the second are most alike."""
    window = round(SEARCH_SECONDS * first.fps)
    one, two = seen_poses(first), seen_poses(second)
    latest = first.num_frames - count
    starts = np.arange(max(0, latest - window), latest + 1)
    begins = np.arange(0, min(window, second.num_frames - count) + 1)
    apart = np.empty((len(starts) + count - 1, len(begins) + count - 1))
    for row, frame in enumerate(range(starts[0], starts[-1] + count)):
        apart[row] = np.linalg.norm(two[: len(begins) + count - 1] - one[frame], axis=-1)
    total = sum(
        apart[offset : offset + len(starts), offset : offset + len(begins)]
        for offset in range(count)
    )
    best = int(np.argmin(total))
    row, column = divmod(best, len(begins))
    return int(starts[row]), int(begins[column])
