"""Read a motion from BVH text."""

from __future__ import annotations

import math
import os
import string
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import euler_to_matrix
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.formats.budget import most_poses
from motionrt.runtime.formats.carried import carried_body
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names
from motionrt.runtime.formats.units import guess_scale

CENTIMETRES = 100.0
"""Units per metre, unless the caller says otherwise."""

_ONE_FRAME_FPS = 30.0
"""Frame rate of a single frame whose file states none, as MakeHuman's poses do."""

_MAX_JOINTS = 10_000
_BEHIND_THE_END = string.whitespace + "\x1a\x00"
"""What is no part of a text: DOS ends it by \\x1a, some copies fill it up with zeros."""


@dataclass
class _Joint:
    name: str
    parent: int
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()
    first_column: int = 0


def read_bvh(
    path: str | os.PathLike[str], *, scale: float | Literal["guess"] = CENTIMETRES
) -> Motion:
    """Read BVH; scale is its units per metre (100 is centimetres, 1 is metres).

    "guess" chooses the units that make a body of human size (`formats.units`) and notes which. A
    file on one of motionrt's skeletons, under its own or an engine's joint names and in any of its
    rest poses, comes back on that skeleton; any other on a skeleton of its own. Position channels
    replace the offset, as in Blender; what only carries the body is merged into its root, helpers
    are left away (`formats.carried`); End Sites are dropped. If the header states another number
    of frames than there are whole rows, the rows are read, with a note. InputError in one line if
    it is no BVH.
    """
    if scale != "guess" and not (
        isinstance(scale, int | float) and math.isfinite(scale) and scale > 0
    ):
        raise InputError(f"scale is {scale}, it must be above zero (units per metre) or 'guess'")
    try:
        notes: list[str] = []
        joints, fps, values = _parse(_text(Path(path).read_bytes()), notes)
        motion = _motion(joints, fps, values, scale, notes)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    motion.notes.extend(notes)
    return motion


def _text(data: bytes) -> str:
    r"""Decode UTF-8 or UTF-16, or Latin-1 where it is neither; lines end in \n alone."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    elif 0 in data[:2]:  # the first character is a letter or a space: the zero is its other half
        text = data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    text = text.lstrip("\ufeff").rstrip(_BEHIND_THE_END)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(text: str, notes: list[str]) -> tuple[list[_Joint], float, NDArray[np.float64]]:
    lines = text.split("\n")
    joints, row = _parse_hierarchy(lines)
    num_columns = sum(len(joint.channels) for joint in joints)
    if num_columns == 0:
        raise InputError("no joint has channels, nothing can move")
    stated, frame_time, row = _parse_timing(lines, row)
    numbers, line_ends = _parse_numbers(lines[row:])
    frames = len(numbers) // num_columns
    if frames != stated or len(numbers) % num_columns:
        if not frames or not _whole_rows(len(numbers), num_columns, line_ends):
            raise InputError(
                f"{stated} frames of {num_columns} channels are {stated * num_columns} numbers, "
                f"there are {len(numbers)}: truncated or damaged"
            )
        notes.append(f"the header states {stated} frames, there are {frames}; all are read")
    if frames * len(joints) > most_poses(len(text)):
        raise InputError(
            f"{len(joints)} joints with {num_columns} channels in all: too many that never move "
            f"for {frames} frames"
        )
    if not frames:
        raise InputError("it has no frames")
    values = numbers.reshape(frames, num_columns)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise InputError(f"frame {bad[0][0]}: a number is not finite")
    if 1e-6 <= frame_time <= 1e6:
        fps = 1 / frame_time
        if abs(fps - round(fps)) < 5e-4 * fps:  # 0.033333 means 30
            fps = float(round(fps))
    elif frames == 1:
        fps = _ONE_FRAME_FPS
        notes.append(f"Frame Time is {frame_time:g}; the one frame is taken at {fps:g} fps")
    else:
        raise InputError(f"Frame Time is {frame_time:g} seconds, it must be above zero")
    return joints, fps, values


def _parse_hierarchy(lines: list[str]) -> tuple[list[_Joint], int]:
    """Read up to the line MOTION; returns the joints and the line after it."""
    joints: list[_Joint] = []
    open_blocks: list[int] = []  # joint indices, -1 for an End Site
    pending: int | None = None
    columns = 0
    seen_hierarchy = False
    for number, line in enumerate(lines, start=1):
        words = line.replace("{", " { ").replace("}", " } ").split()
        place = 0  # all may be one line: words are stepped over, never copied
        while place < len(words):
            word = words[place]
            keyword = word.upper()
            place += 1
            if not seen_hierarchy:
                if keyword != "HIERARCHY":
                    raise InputError("does not begin with HIERARCHY: no BVH")
                seen_hierarchy = True
            elif keyword in ("ROOT", "JOINT"):
                start, place = place, _brace(words, place)
                if (keyword == "ROOT") == bool(joints):
                    raise InputError(f"line {number}: {keyword} is not expected here")
                parent = open_blocks[-1] if open_blocks else -1
                if parent < 0 and joints:
                    raise InputError(f"line {number}: a joint outside of the root")
                if len(joints) >= _MAX_JOINTS:
                    raise InputError(f"line {number}: more than {_MAX_JOINTS} joints")
                name = one_line(" ".join(words[start:place]))
                joints.append(_Joint(name or f"joint{len(joints)}", parent))
                pending = len(joints) - 1
            elif keyword == "END":
                place = _brace(words, place)
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
                offset = _floats(words[place : place + 3], 3, number, "OFFSET")
                place += 3
                if open_blocks[-1] >= 0:
                    joints[open_blocks[-1]].offset = offset
            elif keyword == "CHANNELS" and open_blocks and open_blocks[-1] >= 0:
                joint = joints[open_blocks[-1]]
                if joint.channels:
                    raise InputError(f"line {number}: joint {joint.name[:40]} has CHANNELS twice")
                joint.channels = _parse_channels(words[place : place + 100], number)
                joint.first_column = columns
                columns += len(joint.channels)
                place += 1 + len(joint.channels)
            elif keyword == "MOTION" and joints and not open_blocks:
                return joints, number
            else:
                raise InputError(f"line {number}: {word[:40]!r} is not expected here")
    if not seen_hierarchy:
        raise InputError("is empty, no BVH")
    raise InputError("ends before MOTION: truncated")


def _brace(words: list[str], start: int) -> int:
    """Index of the next ``{``, or behind the last word."""
    try:
        return words.index("{", start)
    except ValueError:
        return len(words)


def _parse_channels(words: list[str], number: int) -> tuple[str, ...]:
    count = int(words[0]) if words and words[0].isdecimal() and len(words[0]) < 3 else -1
    names = tuple(word.capitalize() for word in words[1 : 1 + count])
    allowed = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
    if count < 0 or len(names) != count or set(names) - allowed or len(set(names)) != count:
        raise InputError(f"line {number}: CHANNELS {' '.join(words)[:60]!r} is not understood")
    return names


def _parse_timing(lines: list[str], row: int) -> tuple[int, float, int]:
    """Read Frames and Frame Time; returns them and the line after them."""
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
    frames = found["frames"]
    if frames != int(frames) or not 0 <= frames < 1e9:
        raise InputError(f"Frames is {frames:g}, it must be a whole number above zero")
    return int(frames), found["frame time"], row


def _parse_numbers(lines: list[str]) -> tuple[NDArray[np.float64], list[int]]:
    """Read the rows: all their numbers, and how many there are up to the end of each line."""
    numbers = array("d")
    ends = []
    for line in lines:
        words = line.split()
        if not words:
            continue
        try:
            numbers.extend(map(float, words))
        except ValueError as error:
            raise InputError(f"in the frames: {str(error)[:80]}") from error
        ends.append(len(numbers))
    return np.frombuffer(numbers, np.float64) if numbers else np.zeros(0), ends


def _whole_rows(count: int, num_columns: int, line_ends: Sequence[int]) -> bool:
    """Whether the numbers are whole rows: a line has some of them, or some lines have one."""
    if count % num_columns:
        return False
    ends = np.asarray(line_ends)
    rows = np.arange(num_columns, count + 1, num_columns)
    return bool((ends % num_columns == 0).all() or np.isin(rows, ends).all())


def _floats(words: list[str], count: int, number: int, what: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in words], np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"line {number}: {what} needs {count} finite numbers")
    return values


def _motion(
    joints: list[_Joint],
    fps: float,
    values: NDArray[np.float64],
    scale: float | str,
    notes: list[str],
) -> Motion:
    rotations = _rotations(joints, values)
    offsets = np.array([joint.offset for joint in joints])
    moving = {}
    for index, joint in enumerate(joints):
        track = _position_track(joint, values)
        if track is not None:
            moving[index] = track
    names, parents = [joint.name for joint in joints], [joint.parent for joint in joints]
    root = moving.pop(0, np.tile(offsets[0], (len(values), 1)))
    if isinstance(scale, str):
        placed = offsets.copy()
        for index, track in moving.items():
            placed[index] = track[0]
        rig = _skeleton(names, parents, placed)
        scale, note = guess_scale(rig, rig.forward_kinematics(rotations[0], root[0])[0])
        notes.append(note)
    body = carried_body(
        names,
        parents,
        offsets / scale,
        rotations,
        {index: track / scale for index, track in moving.items()},
        root / scale,
    )
    notes.extend(body.notes)
    skeleton = _skeleton(body.names, body.parents, body.offsets)
    return on_known_skeleton(Motion.from_local(body.rotations, body.root, skeleton, fps))


def _skeleton(names: list[str], parents: list[int], offsets: NDArray[np.float64]) -> Skeleton:
    rest = np.array(offsets)
    rest[0] = 0
    for index in range(1, len(names)):
        rest[index] += rest[parents[index]]
    unique = unique_names(names)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        positions = rest.astype(np.float32)
    return Skeleton(
        name="bvh",
        joint_names=unique,
        parents=np.array(parents),
        rest_positions=positions,
        **joint_groups(unique),
    )


def _rotations(joints: list[_Joint], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local rotations (T, J, 3, 3), computed together for joints with the same order of axes."""
    frames = len(values)
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
