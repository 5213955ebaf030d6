"""Constraint files: JSON lists of constraints, read, written and explained."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.rotation import matrix_to_axis_angle
from motionrt.runtime.body.skeleton import LARGEST_NUMBER, Skeleton
from motionrt.runtime.constraints.kinds import (
    CONSTRAINT_TYPES,
    Constraint,
    Root2D,
    field_problems,
    joint_counts,
    places_of,
    required_fields,
    told_joint_counts,
)
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.files import atomic_file

MAX_BELOW_GROUND_M = 0.3
MAX_ABOVE_GROUND_M = 1.5
MAX_SPEED_MPS = 12.0
"""Faster than a sprint is a warning."""
MAX_GROUND_GAP_M = 0.5
"""How far the smoothed root may be from the root before it is a warning."""
_LONGEST = 500
"""Characters of a problem: names of the file stand in some."""
MAX_ANGLE_RAD = 2 * math.pi + 0.1


@dataclass(frozen=True)
class Problem:
    """Something about a constraint file that is wrong (error) or looks wrong (a warning)."""

    message: str
    index: int | None = None
    """Which constraint, counted from 0; None is the file as a whole."""
    kind: str = ""
    is_error: bool = True

    def __str__(self) -> str:
        where = "" if self.index is None else f"constraint {self.index}"
        where += f" ({self.kind})" if self.kind else ""
        return one_line(f"{where}: {self.message}" if where else self.message, _LONGEST)


def read_constraints(
    path: str | os.PathLike[str], skeleton: Skeleton | None = None
) -> list[Constraint]:
    """Read a constraint file; InputError names the first problem.

    With a skeleton the joint counts are checked too. Things that only look wrong are not: see
    `find_problems`.
    """
    document = load_document(path)
    try:
        return parse_constraints(document, skeleton)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_document(path: str | os.PathLike[str]) -> Any:
    """Read JSON; InputError if there is none."""
    try:
        return json.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def parse_constraints(document: Any, skeleton: Skeleton | None = None) -> list[Constraint]:
    """Make constraints out of parsed JSON; InputError names the first problem, counts the rest."""
    document = _in_our_names(document)
    problems = [p for p in _structure_problems(document, skeleton) if p.is_error]
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")
    return [_construct(item) for item in document]


def constraints_from(given: object, skeleton: Skeleton) -> list[Constraint]:
    """Read a file, or turn dictionaries in a list of constraints into objects.

    InputError for anything else.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_constraints(given, skeleton)
    if not isinstance(given, Iterable) or isinstance(given, (Mapping, bytes)):
        raise InputError(f"constraints are {type(given).__name__}, must be a file or a list")
    kinds = tuple(CONSTRAINT_TYPES.values())
    made: list[Constraint] = []
    for item in given:
        if isinstance(item, kinds):
            made.append(item)
        elif isinstance(item, Mapping):
            made += parse_constraints([dict(item)], skeleton)
        else:
            raise InputError(f"a constraint is {type(item).__name__}, not one of motionrt's")
    return made


def write_constraints(path: str | os.PathLike[str], constraints: Sequence[Constraint]) -> None:
    """Write a constraint file; rotations become rotation vectors."""
    document = [to_json(constraint) for constraint in constraints]
    text = ",\n ".join(json.dumps(item, allow_nan=False) for item in document)
    with atomic_file(path) as temporary:
        temporary.write_text(f"[{text}]\n", "utf-8")


def to_json(constraint: Constraint) -> dict[str, Any]:
    """Give a constraint with JSON's types, as files hold it."""
    result: dict[str, Any] = {"type": constraint.type}
    for spec in fields(constraint):
        value = getattr(constraint, spec.name)
        if value is None:
            continue
        if spec.name == "local_joints_rot" and value.ndim == 4:
            value = matrix_to_axis_angle(value)
        if spec.name == "smooth_root_2d" and value.shape[1] == 3:
            value = value[:, ::2]
        result[spec.name] = value.tolist() if isinstance(value, np.ndarray) else list(value)
    return result


def find_problems(
    document: Any, skeleton: Skeleton, num_frames: int | None = None, fps: float = 30.0
) -> list[Problem]:
    """Explain everything that is wrong, or looks wrong, with a parsed constraint file.

    num_frames is the length of the clip that the constraints are for, if it is known. The
    conventions that are checked: metres, y up, radians, heading as (cosine, sine).
    """
    document = _in_our_names(document)
    problems = list(_structure_problems(document, skeleton))
    if not isinstance(document, list):
        return problems
    broken = {problem.index for problem in problems if problem.is_error}
    sound = [(i, _construct(item)) for i, item in enumerate(document) if i not in broken]
    for index, constraint in sound:
        problems += _frame_problems(index, constraint, num_frames)
        problems += _convention_problems(index, constraint, skeleton)
    problems += _conflicts(sound, fps)
    return sorted(problems, key=lambda p: (-1 if p.index is None else p.index, not p.is_error))


def find_doubts(
    constraints: Sequence[Constraint],
    skeleton: Skeleton,
    fps: float,
    start: tuple[int, NDArray[np.float32]] | None = None,
    root_takes_height: bool = True,
) -> list[Problem]:
    """Explain what looks wrong with constraints that are sound, as `find_problems` does.

    start is a frame and the place (x, z) where the motion is then, from which the first constraint
    must be reached.
    """
    numbered = list(enumerate(constraints))
    doubts: list[Problem] = []
    for index, constraint in numbered:
        doubts += _frame_problems(index, constraint, None)
        doubts += _convention_problems(index, constraint, skeleton)
    return [*doubts, *_conflicts(numbered, fps, start, root_takes_height)]


def in_one_line(problems: Sequence[Problem]) -> list[str]:
    """Give the first of problems and count the others, as a list of one line or none."""
    if not problems:
        return []
    more = ""
    if len(problems) > 1:
        more = f" (and {len(problems) - 1} more: motionrt constraints check)"
    return [f"{problems[0]}{more}"]


def _in_our_names(document: Any) -> Any:
    """Read ARDY's files as Kimodo's: `root_2d` is the root's place, headings are angles (K,)."""
    if not isinstance(document, list):
        return document
    items = []
    for item in document:
        if isinstance(item, dict):
            item = dict(item)
            if "root_2d" in item and "smooth_root_2d" not in item:
                item["smooth_root_2d"] = item.pop("root_2d")
            heading = item.get("global_root_heading")
            if isinstance(heading, list) and heading and all(map(_is_angle, heading)):
                item["global_root_heading"] = [[math.cos(a), math.sin(a)] for a in heading]
        items.append(item)
    return items


def _is_angle(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def _construct(item: dict[str, Any]) -> Constraint:
    kind = CONSTRAINT_TYPES[item["type"]]
    names = {spec.name for spec in fields(kind)}
    return kind(**{name: value for name, value in item.items() if name in names})


def _structure_problems(document: Any, skeleton: Skeleton | None) -> Iterator[Problem]:
    """What keeps a document from being constraints, and fields that mean nothing."""
    if not isinstance(document, list):
        hint = "; put it in a list" if isinstance(document, dict) and "type" in document else ""
        yield Problem(f"expected a list of constraints, found {_kind_of(document)}{hint}")
        return
    for index, item in enumerate(document):
        if not isinstance(item, dict):
            yield Problem(f"expected an object, found {_kind_of(item)}", index)
            continue
        name = item.get("type")
        kind = CONSTRAINT_TYPES.get(name) if isinstance(name, str) else None
        if kind is None:
            what = "type is missing" if name is None else f"unknown type {name!r}"
            yield Problem(f"{what}; there are {', '.join(CONSTRAINT_TYPES)}", index)
            continue
        for message in field_problems(kind, item):
            yield Problem(message, index, kind.type)
        smooth = item.get("smooth_root_2d")
        if isinstance(smooth, list) and any(isinstance(r, list) and len(r) == 3 for r in smooth):
            message = "smooth_root_2d has three columns; a file has two, x and z"
            yield Problem(message, index, kind.type)
        if skeleton is not None and kind is not Root2D:
            count = _num_joints(item.get("local_joints_rot"))
            if count is not None and count not in joint_counts(skeleton):
                message = (
                    f"local_joints_rot has {count} joints, skeleton {skeleton.name} has "
                    f"{told_joint_counts(skeleton)}"
                )
                yield Problem(message, index, kind.type)
        known = {"type", *(spec.name for spec in fields(kind))}
        for key in item:
            if key not in known:
                names = ", ".join(sorted(known - {"type", *required_fields(kind)}))
                message = f"{key} means nothing here (optional are: {names or 'none'})"
                yield Problem(message, index, kind.type, is_error=False)


def _num_joints(rotations: Any) -> int | None:
    """The joints of the first frame, if that much is sound."""
    if isinstance(rotations, list) and rotations and isinstance(rotations[0], list):
        return len(rotations[0])
    return None


def _frame_problems(
    index: int, constraint: Constraint, num_frames: int | None
) -> Iterator[Problem]:
    frames = constraint.frame_indices
    if num_frames is not None:
        beyond = sorted({int(frame) for frame in frames if frame >= num_frames})
        if beyond:
            names = ", ".join(map(str, beyond[:5])) + (", ..." if len(beyond) > 5 else "")
            yield Problem(
                f"frame {names} is beyond the clip's {num_frames} frames (0 to {num_frames - 1})",
                index,
                constraint.type,
            )
    values, counts = np.unique(frames, return_counts=True)
    for frame in values[counts > 1][:3]:
        message = f"frame {frame} is listed more than once; its last entry counts"
        yield Problem(message, index, constraint.type, is_error=False)


def _convention_problems(
    index: int, constraint: Constraint, skeleton: Skeleton
) -> Iterator[Problem]:
    """Warn of centimetres, z up, degrees, and (sine, cosine)."""

    def warn(message: str) -> Problem:
        return Problem(message, index, constraint.type, is_error=False)

    if isinstance(constraint, Root2D):
        yield from map(warn, _heading_warnings(constraint))
        return
    angles = np.linalg.norm(constraint.local_joints_rot, axis=-1)
    if constraint.local_joints_rot.ndim == 3 and angles.max() > MAX_ANGLE_RAD:
        yield warn(
            f"a joint turns by {angles.max():.0f} rad; rotation vectors are in radians (degrees?)"
        )
    positions, _ = skeleton.forward_kinematics(
        constraint.local_rot_mats(skeleton), constraint.root_positions
    )
    lowest = positions[..., 1].min(axis=1)
    worst = int(np.argmax(np.abs(lowest)))
    frame, root = constraint.frame_indices[worst], constraint.root_positions[worst]
    if not -MAX_BELOW_GROUND_M <= lowest[worst] <= MAX_ABOVE_GROUND_M:
        side = "below" if lowest[worst] < 0 else "above"
        hint = "metres, y up, ground at 0"
        if abs(root[1]) > 20:
            hint = "metres are expected, are these centimetres?"
        elif abs(root[1]) < 0.3 < root[2] < 1.5:
            hint = "y is up, is z up here?"
        yield warn(
            f"frame {frame}: the lowest joint is {abs(lowest[worst]):.2f} m {side} ground ({hint})"
        )
    gap = np.linalg.norm(constraint.ground_positions() - constraint.root_positions[:, ::2], axis=1)
    if gap.max() > MAX_GROUND_GAP_M:
        frame = constraint.frame_indices[int(np.argmax(gap))]
        yield warn(
            f"frame {frame}: smooth_root_2d is {gap.max():.2f} m from root_positions; it is x and "
            "z, in metres"
        )


def _heading_warnings(constraint: Root2D) -> Iterator[str]:
    heading = constraint.global_root_heading
    if heading is None:
        return
    length = np.linalg.norm(heading, axis=1)
    if np.abs(length - 1).max() > 0.05:
        worst = int(np.argmax(np.abs(length - 1)))
        yield (
            f"frame {constraint.frame_indices[worst]}: heading has length {length[worst]:.2f}, "
            "(cosine, sine) has 1 (an angle?)"
        )
        return
    order = np.argsort(constraint.frame_indices, kind="stable")
    steps = np.diff(
        constraint.smooth_root_2d[order, :: len(constraint.smooth_root_2d[0]) - 1], axis=0
    )
    far = np.linalg.norm(steps, axis=1) > 0.1
    if not far.any():
        return
    travel = np.arctan2(steps[far, 0], steps[far, 1])
    facing = heading[order][:-1][far]
    apart = _mean_apart(np.arctan2(facing[:, 1], facing[:, 0]), travel)
    swapped = _mean_apart(np.arctan2(facing[:, 0], facing[:, 1]), travel)
    if apart > math.radians(60) and swapped < math.radians(25):
        yield (
            f"the body faces {math.degrees(apart):.0f} degrees off its path; it would face along "
            "it if the heading were (cosine, sine) and not (sine, cosine)"
        )


def _mean_apart(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    return float(np.abs(np.angle(np.exp(1j * (a - b)))).mean())


def _conflicts(
    sound: list[tuple[int, Constraint]],
    fps: float,
    start: tuple[int, NDArray[np.float32]] | None = None,
    root_takes_height: bool = True,
) -> Iterator[Problem]:
    """Warn of roots that two constraints put elsewhere, and of impossible speeds."""
    placed: dict[int, tuple[NDArray[np.float32], int | None]] = {}
    for index, constraint in sound:
        for frame, place in places_of([constraint], root_takes_height):
            before, by = placed.get(frame, (place, index))
            if by != index:
                gap = float(np.linalg.norm(place - before))
                if gap > 0.05:
                    yield Problem(
                        f"frame {frame}: puts the root {gap:.2f} m from where constraint {by} "
                        "puts it; the later constraint counts",
                        index,
                        constraint.type,
                        is_error=False,
                    )
            placed[frame] = (place, index)
    if start is not None:
        placed.setdefault(start[0], (start[1], None))
    ordered = sorted(placed.items())
    for (frame, (place, _)), (later, (then, owner)) in pairwise(ordered):
        speed = float(np.linalg.norm(then - place)) * fps / (later - frame)
        if speed > MAX_SPEED_MPS:
            yield Problem(
                f"the root would move at {speed:.0f} m/s from frame {frame} to {later}",
                owner,
                is_error=False,
            )


def _kind_of(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        type(None): "null",
        bool: "a boolean",
    }
    return names.get(type(value), "a number")
