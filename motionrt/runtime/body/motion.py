"""Motion: one clip on one skeleton, what generation returns and files hold."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import Floats, matrix_to_quaternion
from motionrt.runtime.body.skeleton import LARGEST_NUMBER, Skeleton, expand, load_skeleton, reduce
from motionrt.runtime.errors import InputError

ARRAY_NAMES = (
    "local_rot_mats",
    "global_rot_mats",
    "posed_joints",
    "root_positions",
    "smooth_root_pos",
    "foot_contacts",
    "global_root_heading",
)
"""The arrays of a clip under Kimodo's names; the last three may be missing."""

LEAST_FPS, MOST_FPS = 0.001, 1e6
"""Of a clip: with less or more its times are no float32 numbers that can be told apart."""
_FILES = "motionrt.runtime.formats.table"
"""Looked up by name when a file is asked for: formats stand above the motions that they hold."""


@dataclass(eq=False, repr=False)
class Motion:
    """One clip: world metres, y up, +z forward; matrices for column vectors.

    Every array is made float32 and contiguous (foot_contacts bool); InputError if a shape does not
    fit the skeleton or a number is not finite.
    """

    fps: float
    skeleton: Skeleton
    local_rot_mats: NDArray[np.float32]
    """(T, J, 3, 3), relative to the parent."""
    root_positions: NDArray[np.float32]
    """(T, 3), the root joint."""
    posed_joints: NDArray[np.float32]
    """(T, J, 3), in the world."""
    global_rot_mats: NDArray[np.float32]
    """(T, J, 3, 3), in the world."""
    foot_contacts: NDArray[np.bool_] | None = None
    """(T, C), left ankle, left toe, right ankle, right toe; True is on the ground."""
    smooth_root_pos: NDArray[np.float32] | None = None
    """(T, 3), the smoothed root trajectory."""
    global_root_heading: NDArray[np.float32] | None = None
    """(T, 2), cosine and sine of the heading; (1, 0) faces +z."""
    info: dict[str, Any] = field(default_factory=dict)
    """Where the clip comes from: prompt, seed, backend, what ran."""
    notes: list[str] = field(default_factory=list)
    """What its reader had to choose or leave away, a line each; files do not keep it."""
    warnings: list[str] = field(default_factory=list)
    """What is wrong or doubtful with it as it was generated, a line each; files do not keep it."""

    def __post_init__(self) -> None:
        self.fps = float(self.fps)
        if not LEAST_FPS <= self.fps <= MOST_FPS:
            raise InputError(f"fps is {self.fps}, it must be from {LEAST_FPS} to {MOST_FPS:.0f}")
        frames = len(np.atleast_1d(np.asarray(self.root_positions)))
        joints = self.skeleton.num_joints
        if frames == 0:
            raise InputError("a motion needs at least one frame")
        shapes: dict[str, tuple[int, ...]] = {
            "local_rot_mats": (frames, joints, 3, 3),
            "root_positions": (frames, 3),
            "posed_joints": (frames, joints, 3),
            "global_rot_mats": (frames, joints, 3, 3),
            "smooth_root_pos": (frames, 3),
            "global_root_heading": (frames, 2),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is not None:
                setattr(self, name, _checked(name, values, shape, self.skeleton.name))
        if self.foot_contacts is not None:
            contacts = np.asarray(self.foot_contacts)
            if contacts.ndim != 2 or len(contacts) != frames:
                raise InputError(f"foot_contacts is {contacts.shape}, it must be ({frames}, C)")
            self.foot_contacts = np.ascontiguousarray(contacts > 0.5)

    def __repr__(self) -> str:
        return (
            f"<Motion of {self.num_frames} frames ({self.seconds:.1f} s at {self.fps:g} fps) on "
            f"{self.skeleton.name}, {self.skeleton.num_joints} joints>"
        )

    @classmethod
    def from_local(
        cls,
        local_rot_mats: ArrayLike,
        root_positions: ArrayLike,
        skeleton: Skeleton,
        fps: float,
        **optional: Any,
    ) -> Motion:
        """Make a motion from local rotations (T, J, 3, 3) and root positions (T, 3).

        The world rotations and positions follow by forward kinematics; optional names further
        fields (foot_contacts, smooth_root_pos, global_root_heading, info).
        """
        shape = (*np.shape(root_positions)[:1], skeleton.num_joints, 3, 3)
        local = _checked("local_rot_mats", local_rot_mats, shape, skeleton.name)
        root = _checked("root_positions", root_positions, (*shape[:1], 3), skeleton.name)
        positions, rotations = skeleton.forward_kinematics(local, root)
        return cls(fps, skeleton, local, root, positions, rotations, **optional)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, ArrayLike],
        skeleton: Skeleton,
        fps: float,
        info: dict[str, Any] | None = None,
    ) -> Motion:
        """Make a motion from arrays under Kimodo's names (`ARRAY_NAMES`), one clip, un-batched.

        Missing world arrays are computed; InputError without rotations or root positions.
        """
        known: dict[str, Any] = {name: arrays[name] for name in ARRAY_NAMES if name in arrays}
        if "root_positions" not in known and "posed_joints" in known:
            posed = np.asarray(known["posed_joints"])
            if posed.ndim != 3 or not posed.shape[1]:
                raise InputError(f"posed_joints is {posed.shape}, one clip is (T, J, 3)")
            known["root_positions"] = posed[:, 0]
        if "local_rot_mats" not in known and {"global_rot_mats", "root_positions"} <= known.keys():
            shape = (*np.asarray(known["root_positions"]).shape[:1], skeleton.num_joints, 3, 3)
            rotations = _checked("global_rot_mats", known["global_rot_mats"], shape, skeleton.name)
            known["local_rot_mats"] = skeleton.global_to_local(rotations)
        for name in ("local_rot_mats", "root_positions"):
            if name not in known:
                raise InputError(f"a motion needs {name}; there are {', '.join(arrays) or 'none'}")
        if "posed_joints" in known and "global_rot_mats" in known:
            return cls(fps=fps, skeleton=skeleton, info=info or {}, **known)
        rest = {k: v for k, v in known.items() if k in ARRAY_NAMES[4:]}
        return cls.from_local(
            known["local_rot_mats"],
            known["root_positions"],
            skeleton,
            fps,
            info=info or {},
            **rest,
        )

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.root_positions)

    @property
    def seconds(self) -> float:
        """Length: frames divided by frames per second."""
        return self.num_frames / self.fps

    @property
    def local_rotations(self) -> NDArray[np.float32]:
        """Local rotations as quaternions w x y z, (T, J, 4), contiguous."""
        return np.ascontiguousarray(matrix_to_quaternion(self.local_rot_mats), np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays under Kimodo's names; those that are None are left out."""
        arrays = {name: getattr(self, name) for name in ARRAY_NAMES}
        return {name: values for name, values in arrays.items() if values is not None}

    def crop(self, start: int, stop: int | None = None) -> Motion:
        """Take frames start to stop (excluded), counted as a Python slice counts them.

        A part of a loop is none.
        """
        arrays = {name: values[start:stop] for name, values in self.to_arrays().items()}
        part = Motion.from_arrays(arrays, self.skeleton, self.fps, dict(self.info))
        if part.num_frames < self.num_frames:
            part.info.pop("loop", None)
        return part

    def expanded(self) -> Motion:
        """Put the clip on the skeleton that its own expands to, hands relaxed.

        SOMA's 30 joints become 77; a clip on a skeleton that expands to none stays as it is.
        """
        if self.skeleton.expands_to is None:
            return self
        larger = load_skeleton(self.skeleton.expands_to)
        return self._with_local(expand(self.local_rot_mats, self.skeleton), larger)

    def reduced(self) -> Motion:
        """Undo `expanded`; a clip on a skeleton that reduces to none stays as it is."""
        if self.skeleton.reduces_to is None:
            return self
        smaller = load_skeleton(self.skeleton.reduces_to)
        return self._with_local(reduce(self.local_rot_mats, smaller), smaller)

    def _with_local(self, local_rot_mats: Floats, skeleton: Skeleton) -> Motion:
        return Motion.from_local(
            local_rot_mats,
            self.root_positions,
            skeleton,
            self.fps,
            foot_contacts=self.foot_contacts,
            smooth_root_pos=self.smooth_root_pos,
            global_root_heading=self.global_root_heading,
            info=dict(self.info),
        )

    def save(
        self, path: str | os.PathLike[str], format: str | None = None, **options: object
    ) -> None:
        """Write a file; the format follows from the suffix unless it is given.

        Formats are the rows of `motionrt.runtime.formats.table`; options go to the format's writer.
        The file is whole or absent.
        """
        importlib.import_module(_FILES).write_motion(self, path, format, **options)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], format: str | None = None, **options: object
    ) -> Motion:
        """Read a file; the format follows from the suffix unless it is given.

        An .npz may be ours, Kimodo's, AMASS or a tracking task's; options go to the format's
        reader. InputError if it is not such a file.
        """
        motion: Motion = importlib.import_module(_FILES).read_motion(path, format, **options)
        return motion


def _checked(
    name: str, values: ArrayLike, shape: tuple[int, ...], skeleton: str
) -> NDArray[np.float32]:
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name}: not an array ({error})") from error
    if given.dtype.kind not in "fiu":
        raise InputError(f"{name}: not real numbers but {given.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        array = np.ascontiguousarray(given, np.float32)
    if array.shape != shape:
        raise InputError(f"{name} is {array.shape}, for skeleton {skeleton} it must be {shape}")
    if not (array.size == 0 or np.abs(array).max() <= LARGEST_NUMBER):  # also if one is none
        frame = int(np.argwhere(~(np.abs(array) <= LARGEST_NUMBER))[0][0])
        fault = "is not finite" if not np.isfinite(array).all() else f"is beyond {LARGEST_NUMBER:g}"
        raise InputError(f"{name}: frame {frame} has a number that {fault}")
    return array
