"""Captioned motion clips: read, mirrored, lengthened, resampled.

A data folder holds ``train.npz``, ``val.npz`` and ``meta.json`` (the layout is described in its
README): local rotations as int16 quaternions, root positions, one record per clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.rotation import (
    multiply_quaternions,
    quaternion_about_y,
    quaternion_to_matrix,
    rotation_about_y,
    slerp,
    unit,
)
from motionrt.runtime.body.skeleton import Skeleton, load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.arrays import read_arrays

Array = NDArray[np.float32]

QUATERNION_SCALE = 32767.0
SEAM_FRAMES = 4
"""Frames over which a lengthened clip is blended from one gait cycle into the next."""
MAX_SEAM_M = 0.07
"""A gait cycle is repeated only if its ends differ by less than this, on average over joints."""
PIVOT_SPEED_MPS = 0.25
"""A foot much slower than this stands, and a bent walk turns about it."""
FLIGHT_WEIGHT = 1e-3
"""Weight of the hips as a pivot: they count where no foot stands."""


_SIDE = re.compile(r"\b([Ll]eft|[Rr]ight)(?=\b|ward|hand)")
_OTHER_SIDE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}


@dataclass(frozen=True)
class Clip:
    """One clip on the 22-joint skeleton: rotations (T, J, 4) wxyz, root (T, 3), its words."""

    name: str
    folder: str
    fps: float
    rotations: Array
    root: Array
    tags: tuple[str, ...]
    captions: tuple[str, ...]
    variant: str
    mirrored: bool = False
    tempo: float = 1.0
    """Playback speed against the recording; 1 is as recorded."""
    bent: bool = False
    """Whether a straight walk was made to turn."""
    circle_frames: int = 0
    """Frames in which a bent walk comes round, 0 if it was not bent into circles."""

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.root)


class _Record(msgspec.Struct):
    """What is said of one clip."""

    id: str
    split: str
    index: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 2)]
    captions: tuple[str, ...]
    tags: tuple[str, ...]
    variant: str


class _Meta(msgspec.Struct):
    """What a data folder says of itself."""

    fps: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    names: tuple[str, ...]
    clips: list[_Record]


def read_clips(folder: Path, splits: Sequence[str] = ("train", "val")) -> Iterator[Clip]:
    """Read a data folder's clips in the order of its records; InputError if it is none."""
    try:
        meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=_Meta)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{folder}: no motion data folder (meta.json: {error})") from error
    skeleton = load_skeleton("cmu22")
    if meta.names != skeleton.joint_names:
        raise InputError(f"{folder}: joints are not those of skeleton {skeleton.name}")
    splits_read = {split: _read_split(folder / f"{split}.npz", skeleton) for split in splits}
    for record in meta.clips:
        if record.split not in splits_read:
            continue
        offsets, quaternions, root = splits_read[record.split]
        if record.index + 1 >= len(offsets):
            raise InputError(f"{folder}: clip {record.id} is not in {record.split}.npz")
        start, stop = offsets[record.index : record.index + 2]
        yield Clip(
            name=record.id,
            folder=folder.name,
            fps=meta.fps,
            rotations=unit(quaternions[start:stop].astype(np.float32) / QUATERNION_SCALE),
            root=root[start:stop].astype(np.float32),
            tags=record.tags,
            captions=record.captions,
            variant=record.variant,
        )


def _read_split(
    path: Path, skeleton: Skeleton
) -> tuple[NDArray[Any], NDArray[np.int16], NDArray[np.float32]]:
    """Return where clips begin, the quaternions (T, J, 4) of all, and their roots (T, 3)."""
    arrays = read_arrays(path)
    missing = [name for name in ("offsets", "quat", "root") if name not in arrays]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing; no motion data")
    offsets, quaternions, root = arrays["offsets"], arrays["quat"], arrays["root"]
    frames = len(root) if root.ndim else 0
    if quaternions.dtype != np.int16 or quaternions.shape != (frames, skeleton.num_joints, 4):
        raise InputError(
            f"{path}: quat is {quaternions.dtype} {list(quaternions.shape)}, should be int16 "
            f"{[frames, skeleton.num_joints, 4]}"
        )
    if root.dtype != np.float32 or root.shape != (frames, 3) or not (np.abs(root) < 1e4).all():
        raise InputError(f"{path}: root is no float32 {[frames, 3]} of metres")
    if not quaternions.any(-1).all():
        raise InputError(f"{path}: quat holds zeros, which are no rotations")
    whole = offsets.ndim == 1 and offsets.dtype.kind in "iu"
    if not whole or not ((offsets >= 0) & (offsets <= frames)).all():
        raise InputError(f"{path}: offsets are not places among {frames} frames")
    if (offsets[1:] < offsets[:-1]).any():
        raise InputError(f"{path}: offsets do not rise")
    return offsets, quaternions, root


def swap_sides(text: str) -> str:
    """Exchange the words left and right, also in leftward, left-handed and the like."""
    return _SIDE.sub(lambda match: _OTHER_SIDE[match.group()], text)


def mirror(clip: Clip, skeleton: Skeleton) -> Clip:
    """Exchange left and right in a clip's motion and in its words."""
    partner = {
        name: name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")
        for name in skeleton.joint_names
    }
    order = [skeleton.index(partner[name]) for name in skeleton.joint_names]
    return replace(
        clip,
        rotations=clip.rotations[:, order] * np.array([1, 1, -1, -1], np.float32),
        root=clip.root * np.array([-1, 1, 1], np.float32),
        captions=tuple(swap_sides(text) for text in clip.captions),
        mirrored=not clip.mirrored,
    )


def resample(clip: Clip, fps: float, tempo: float = 1.0) -> Clip:
    """Resample to another rate; a tempo above 1 also plays the clip that much faster."""
    step = clip.fps * tempo / fps
    times = np.arange(0, clip.num_frames - 1 + 1e-4, step)
    before = np.minimum(times.astype(np.int64), clip.num_frames - 2)
    fraction = (times - before).astype(np.float32)
    rotations = slerp(clip.rotations[before], clip.rotations[before + 1], fraction[:, None])
    root = clip.root[before] + fraction[:, None] * (clip.root[before + 1] - clip.root[before])
    return replace(
        clip,
        fps=fps,
        rotations=np.asarray(rotations, np.float32),
        root=np.asarray(root, np.float32),
        tempo=clip.tempo * tempo,
    )


def headings(joints: Array, skeleton: Skeleton) -> Array:
    """Find the heading (T,) in radians from world joints (T, J, 3); unwrapped over time."""
    return np.unwrap(hip_heading(joints, skeleton)).astype(np.float32)


def hold_end(clip: Clip, num_frames: int) -> Clip:
    """Hold the last pose of a short clip until it has num_frames."""
    index = np.minimum(np.arange(max(num_frames, clip.num_frames)), clip.num_frames - 1)
    return replace(clip, rotations=clip.rotations[index], root=clip.root[index])


def lengthen(
    clip: Clip, skeleton: Skeleton, num_frames: int, within: NDArray[np.bool_] | None = None
) -> Clip | None:
    """Repeat a gait cycle of a short clip until it has num_frames; None if it has no clean cycle.

    The two most alike moments, a cycle apart, are joined; root travel and turning are carried on.
    within (T,) is True for frames between which the cycle may lie; None takes all.
    """
    joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    heading = headings(joints, skeleton)
    length = clip.num_frames
    span = (int(0.5 * clip.fps), int(1.5 * clip.fps))
    ground = clip.root * np.array([1, 0, 1], np.float32)
    pose = _about_y(joints - ground[:, None], -heading)
    velocity = np.gradient(pose, axis=0) * clip.fps
    best = (np.inf, 0, 0)
    for period in range(span[0], span[1] + 1):
        count = length - SEAM_FRAMES - period
        if count < 1:
            break
        ends, starts = slice(period, period + count), slice(0, count)
        distance = np.linalg.norm(pose[ends] - pose[starts], axis=-1).mean(-1)
        distance_of_velocity = np.linalg.norm(velocity[ends] - velocity[starts], axis=-1).mean(-1)
        drift = np.abs(heading[ends] - heading[starts])
        cost = distance + 0.05 * distance_of_velocity + 0.1 * drift
        if within is not None:
            windows = np.lib.stride_tricks.sliding_window_view(within, period + 1)
            inside = np.asarray(windows.all(-1))[:count]
            cost = np.where(inside, cost, np.inf)
        i = int(np.argmin(cost))
        if distance[i] < MAX_SEAM_M and cost[i] < best[0]:
            best = (float(cost[i]), i, i + period)
    _, start, end = best
    if end == 0:
        return None
    # Per frame: pose without heading, and the step to the next frame seen from the heading.
    unturned = clip.rotations.copy()
    unturned[:, 0] = multiply_quaternions(quaternion_about_y(-heading), clip.rotations[:, 0])
    steps = np.diff(ground, axis=0, append=2 * ground[-1:] - ground[-2:-1])
    steps = _about_y(steps[:, None], -heading)[:, 0]
    turns = np.diff(heading, append=2 * heading[-1:] - heading[-2:-1])
    if abs(heading[end] - heading[start]) < 0.35:
        turns = turns.copy()
        turns[start:end] -= (heading[end] - heading[start]) / (end - start)
    order = list(range(end))
    while len(order) < num_frames:
        order += range(start, end)
    order += range(end, min(length, end + 2))
    index = np.array(order)
    rotations, heights = unturned[index], clip.root[index, 1]
    steps, turns = steps[index], turns[index]
    for seam in range(end, len(order) - SEAM_FRAMES, end - start):
        for k in range(SEAM_FRAMES):
            share = np.float32((k + 1) / (SEAM_FRAMES + 1))
            rotations[seam + k] = slerp(unturned[end + k], rotations[seam + k], share)
            heights[seam + k] = (1 - share) * clip.root[end + k, 1] + share * heights[seam + k]
    new_heading = heading[0] + np.concatenate([[0], np.cumsum(turns[:-1])]).astype(np.float32)
    travel = _about_y(steps[:, None], new_heading)[:, 0]
    root = ground[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(travel[:-1], axis=0)])
    root[:, 1] = heights
    rotations = rotations.copy()
    rotations[:, 0] = multiply_quaternions(quaternion_about_y(new_heading), rotations[:, 0])
    return replace(clip, rotations=rotations.astype(np.float32), root=root.astype(np.float32))


def bend(clip: Clip, skeleton: Skeleton, turn_rad: Array) -> Clip:
    """Make a walk turn: frame t faces turn_rad[t] (T,) further to the left than it did.

    Every step turns about the foot that stands, which so stands as well as before; about the hips
    where none does.
    """
    joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    feet = joints[:, list(skeleton.foot_joints)]
    speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * clip.fps
    places = np.concatenate([feet, clip.root[:, None]], axis=1)
    weights = np.pad(np.exp(-((speed / PIVOT_SPEED_MPS) ** 2)), ((0, 0), (0, 1)))
    weights[:, -1] = FLIGHT_WEIGHT
    weights /= weights.sum(1, keepdims=True)
    pivots = np.einsum("tn,tnd->td", weights, places)
    # What is at a pivot stays there from one frame's turn to the next one's.
    before = _about_y(pivots[1:, None], turn_rad[:-1])[:, 0]
    after = _about_y(pivots[1:, None], turn_rad[1:])[:, 0]
    shift = np.concatenate([np.zeros((1, 3)), np.cumsum(before - after, axis=0)])
    rotations = clip.rotations.copy()
    rotations[:, 0] = multiply_quaternions(quaternion_about_y(turn_rad), rotations[:, 0])
    root = _about_y(clip.root[:, None], turn_rad)[:, 0] + shift
    return replace(
        clip, rotations=rotations.astype(np.float32), root=root.astype(np.float32), bent=True
    )


def _about_y(vectors: Array, angle: Array) -> Array:
    """Turn vectors (T, N, 3) about the vertical by angle (T,)."""
    turned: Array = vectors @ np.swapaxes(rotation_about_y(angle), -1, -2)  # type: ignore[assignment]
    return turned
