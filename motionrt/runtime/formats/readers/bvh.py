"""Read a motion from BVH text."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import euler_to_matrix
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names

CENTIMETRES = 100.0
"""Units per metre, unless the caller says otherwise."""

_MAX_JOINTS = 10_000
_STRETCH_TOLERANCE_M = 1e-3


@dataclass
class _Joint:
    name: str
    parent: int
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()
    first_column: int = 0


def read_bvh(path: str | os.PathLike[str], *, scale: float = CENTIMETRES) -> Motion:
    """Read BVH; scale is its units per metre (100 is centimetres, 1 is metres).

    A file on one of motionrt's skeletons, under its own or an engine's joint names and in any of
    its rest poses, comes back on that skeleton; any other on a skeleton of its own. Position
    channels replace the offset, as in Blender; a root that only carries the hips is merged into
    them; End Sites are dropped. InputError in one line if it is no BVH.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}, it must be above zero (units per metre)")
    try:
        text = Path(path).read_text("utf-8", errors="replace")
        joints, frames, fps, values = _parse(text)
        return _motion(joints, frames, fps, values, scale)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _parse(text: str) -> tuple[list[_Joint], int, float, NDArray[np.float64]]:
    lines = text.splitlines()
    joints, row = _parse_hierarchy(lines)
    num_columns = sum(len(joint.channels) for joint in joints)
    frames, fps, row = _parse_timing(lines, row)
    tokens = " ".join(lines[row:]).split()
    wanted = frames * num_columns
    if len(tokens) != wanted:
        raise InputError(
            f"{frames} frames of {num_columns} channels are {wanted} numbers, "
            f"there are {len(tokens)}: truncated or damaged"
        )
    try:
        values = np.array(list(map(float, tokens)), np.float64).reshape(frames, num_columns)
    except ValueError as error:
        raise InputError(f"in the frames: {error}") from error
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise InputError(f"frame {bad[0][0]}: a number is not finite")
    return joints, frames, fps, values


def _parse_hierarchy(lines: list[str]) -> tuple[list[_Joint], int]:
    """Read up to the line MOTION; returns the joints and the line after it."""
    joints: list[_Joint] = []
    open_blocks: list[int] = []  # joint indices, -1 for an End Site
    pending: int | None = None
    columns = 0
    seen_hierarchy = False
    for number, line in enumerate(lines, start=1):
        words = line.replace("{", " { ").replace("}", " } ").split()
        while words:
            word = words.pop(0)
            keyword = word.upper()
            if not seen_hierarchy:
                if keyword.lstrip("\ufeff") != "HIERARCHY":
                    raise InputError("does not begin with HIERARCHY: no BVH")
                seen_hierarchy = True
            elif keyword in ("ROOT", "JOINT"):
                name, words = _until_brace(words)
                if (keyword == "ROOT") == bool(joints):
                    raise InputError(f"line {number}: {keyword} is not expected here")
                parent = open_blocks[-1] if open_blocks else -1
                if parent < 0 and joints:
                    raise InputError(f"line {number}: a joint outside of the root")
                if len(joints) >= _MAX_JOINTS:
                    raise InputError(f"line {number}: more than {_MAX_JOINTS} joints")
                joints.append(_Joint(name or f"joint{len(joints)}", parent))
                pending = len(joints) - 1
            elif keyword == "END":
                _, words = _until_brace(words)
                pending = -1
            elif word == "{":
                if pending is None:
                    raise InputError(f"line {number}: {{ without a joint")
                open_blocks.append(pending)
                pending = None
            elif word == "}":
                if not open_blocks:
                    raise InputError(f"line {number}: }} without a joint")
                open_blocks.pop()
            elif keyword == "OFFSET" and open_blocks:
                offset = _floats(words[:3], 3, number, "OFFSET")
                words = words[3:]
                if open_blocks[-1] >= 0:
                    joints[open_blocks[-1]].offset = offset
            elif keyword == "CHANNELS" and open_blocks and open_blocks[-1] >= 0:
                joint = joints[open_blocks[-1]]
                joint.channels, words = _parse_channels(words, number)
                joint.first_column = columns
                columns += len(joint.channels)
            elif keyword == "MOTION" and joints and not open_blocks:
                return joints, number
            else:
                raise InputError(f"line {number}: {word[:40]!r} is not expected here")
    if not seen_hierarchy:
        raise InputError("is empty, no BVH")
    raise InputError("ends before MOTION: truncated")


def _until_brace(words: list[str]) -> tuple[str, list[str]]:
    end = words.index("{") if "{" in words else len(words)
    return " ".join(words[:end]), words[end:]


def _parse_channels(words: list[str], number: int) -> tuple[tuple[str, ...], list[str]]:
    count = int(words[0]) if words and words[0].isdecimal() and len(words[0]) < 3 else -1
    names = tuple(word.capitalize() for word in words[1 : 1 + count])
    allowed = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
    if count < 0 or len(names) != count or set(names) - allowed or len(set(names)) != count:
        raise InputError(f"line {number}: CHANNELS {' '.join(words)[:60]!r} is not understood")
    return names, words[1 + count :]


def _parse_timing(lines: list[str], row: int) -> tuple[int, float, int]:
    found: dict[str, float] = {}
    while row < len(lines) and len(found) < 2:
        words = lines[row].replace(":", " ").split()
        row += 1
        if not words:
            continue
        name = " ".join(words[:-1]).lower()
        if name not in ("frames", "frame time"):
            raise InputError(
                f"line {row}: {lines[row - 1][:40]!r} in place of Frames or Frame Time"
            )
        found[name] = float(_floats(words[-1:], 1, row, name)[0])
    if len(found) < 2:
        raise InputError("ends before Frames and Frame Time: truncated")
    frames, frame_time = found["frames"], found["frame time"]
    if frames != int(frames) or not 1 <= frames < 1e9:
        raise InputError(f"Frames is {frames:g}, it must be a whole number above zero")
    if not 1e-6 <= frame_time <= 1e6:
        raise InputError(f"Frame Time is {frame_time:g} seconds, it must be above zero")
    fps = 1 / frame_time
    if abs(fps - round(fps)) < 5e-4 * fps:  # 0.033333 means 30
        fps = float(round(fps))
    return int(frames), fps, row


def _floats(words: list[str], count: int, number: int, what: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in words], np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"line {number}: {what} needs {count} finite numbers")
    return values


def _motion(
    joints: list[_Joint], frames: int, fps: float, values: NDArray[np.float64], scale: float
) -> Motion:
    rotations = _rotations(joints, frames, values)
    offsets = np.array([joint.offset for joint in joints]) / scale
    moving = {}
    for index, joint in enumerate(joints):
        track = _position_track(joint, values)
        if track is not None:
            moving[index] = track / scale
    parents = [joint.parent for joint in joints]
    names = [joint.name for joint in joints]
    root = moving.pop(0, np.tile(offsets[0], (frames, 1)))
    while _only_carries(parents, moving, rotations, root):
        # World of the child: the wrapper's turn and place applied to the child's own.
        root = root + np.einsum("tij,tj->ti", rotations[:, 0], moving.pop(1))
        rotations = np.concatenate([rotations[:, :1] @ rotations[:, 1:2], rotations[:, 2:]], axis=1)
        parents = [-1, *(parent - 1 for parent in parents[2:])]
        names, offsets = names[1:], offsets[1:]
        moving = {index - 1: track for index, track in moving.items()}
    for index, track in moving.items():
        centre = np.median(track, axis=0)
        if np.abs(track - centre).max() > _STRETCH_TOLERANCE_M:
            raise InputError(f"joint {names[index]} moves relative to its parent; bones are rigid")
        offsets[index] = centre
    offsets[0] = 0
    rest = offsets.copy()
    for index in range(1, len(names)):
        rest[index] += rest[parents[index]]
    unique = unique_names(names)
    skeleton = Skeleton(
        name="bvh",
        joint_names=unique,
        parents=np.array(parents),
        rest_positions=rest.astype(np.float32),
        **joint_groups(unique),
    )
    return on_known_skeleton(Motion.from_local(rotations, root, skeleton, fps))


def _rotations(
    joints: list[_Joint], frames: int, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Local rotations (T, J, 3, 3), computed together for joints with the same order of axes."""
    result = np.tile(np.eye(3), (frames, len(joints), 1, 1))
    by_order: dict[str, list[int]] = {}
    for index, joint in enumerate(joints):
        order = "".join(name[0] for name in joint.channels if name.endswith("rotation"))
        by_order.setdefault(order, []).append(index)
    for order, members in by_order.items():
        if not order:
            continue
        columns = [
            joints[index].first_column + column
            for index in members
            for column, name in enumerate(joints[index].channels)
            if name.endswith("rotation")
        ]
        angles = np.radians(values[:, columns]).reshape(frames, len(members), len(order))
        result[:, members] = euler_to_matrix(angles, order)
    return result


def _position_track(joint: _Joint, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    result: NDArray[np.float64] | None = None
    for column, name in enumerate(joint.channels):
        if name.endswith("position"):
            if result is None:
                result = np.tile(joint.offset, (len(values), 1))
            result[:, "XYZ".index(name[0])] = values[:, joint.first_column + column]
    return result


def _only_carries(
    parents: list[int],
    moving: dict[int, NDArray[np.float64]],
    rotations: NDArray[np.float64],
    root: NDArray[np.float64],
) -> bool:
    """Whether the root is a mere frame around joint 1, which has the motion."""
    if parents.count(0) != 1 or 1 not in moving:
        return False
    still = np.abs(root).max() < 1e-9 and np.abs(rotations[:, 0] - np.eye(3)).max() < 1e-9
    return bool(still or np.abs(np.ptp(moving[1], axis=0)).max() > _STRETCH_TOLERANCE_M)
