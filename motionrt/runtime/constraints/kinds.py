"""Constraints: where the root, a body, a hand or a foot shall be at some frames.

The classes have the names and fields of Kimodo's constraint files. A family makes of them an
observed motion with a mask for its model, and targets for the clean-up after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_smoother import smooth_root
from motionrt.runtime.body.rotation import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
)
from motionrt.runtime.body.skeleton import LARGEST_NUMBER, Skeleton, load_skeleton, reduce
from motionrt.runtime.errors import InputError

Floats = NDArray[np.float32]

GROUPS = ("LeftFoot", "RightFoot", "LeftHand", "RightHand", "Hips")
"""What an end-effector constraint can hold; a skeleton says which joints each one is."""


@dataclass(frozen=True)
class Observation:
    """What one constraint says about some frames, in world terms; None is left open."""

    frame_indices: NDArray[np.int64]
    smooth_root_2d: Floats | None = None
    """(K, 2), x and z of the smoothed root, metres."""
    root_height: Floats | None = None
    """(K,), y of the root joint."""
    heading: Floats | None = None
    """(K, 2), cosine and sine."""
    rotation_joints: tuple[int, ...] = ()
    global_rot_mats: Floats | None = None
    """(K, len(rotation_joints), 3, 3)."""
    position_joints: tuple[int, ...] = ()
    posed_joints: Floats | None = None
    """(K, len(position_joints), 3)."""


@dataclass(frozen=True, eq=False, init=False)
class Root2D:
    """The smoothed root's place on the ground, and where the body faces if that is given."""

    type: ClassVar[str] = "root2d"
    mask: ClassVar[str | None] = "Root"

    frame_indices: NDArray[np.int64]
    """(K,), counted from 0."""
    smooth_root_2d: Floats
    """(K, 2), x and z in metres."""
    global_root_heading: Floats | None = None
    """(K, 2), cosine and sine; (1, 0) faces +z and a turn about +y is positive."""

    def __init__(
        self,
        frame_indices: ArrayLike,
        smooth_root_2d: ArrayLike,
        global_root_heading: ArrayLike | None = None,
    ) -> None:
        """Take lists or arrays; InputError says which does not fit."""
        _check_and_set(
            self,
            frame_indices=frame_indices,
            smooth_root_2d=smooth_root_2d,
            global_root_heading=global_root_heading,
        )

    def observe(self, skeleton: Skeleton, root_takes_height: bool = True) -> Observation:
        """Say what is constrained."""
        return Observation(
            self.frame_indices,
            ground(self.smooth_root_2d, root_takes_height),
            heading=self.global_root_heading,
        )


@dataclass(frozen=True, eq=False, init=False)
class _Pose:
    """A whole pose; which of its joints are held is the subclass's matter."""

    type: ClassVar[str]
    mask: ClassVar[str | None]

    frame_indices: NDArray[np.int64]
    """(K,), counted from 0."""
    local_joints_rot: Floats
    """(K, J, 3) rotation vectors in radians, or (K, J, 3, 3) matrices; for SOMA J is 30 or 77."""
    root_positions: Floats
    """(K, 3), the root joint in metres, y up."""
    smooth_root_2d: Floats | None = None
    """(K, 2), x and z of the smoothed root; those of root_positions if None."""

    def __init__(
        self,
        frame_indices: ArrayLike,
        local_joints_rot: ArrayLike,
        root_positions: ArrayLike,
        smooth_root_2d: ArrayLike | None = None,
    ) -> None:
        """Take lists or arrays; InputError says which does not fit."""
        _check_and_set(
            self,
            frame_indices=frame_indices,
            local_joints_rot=local_joints_rot,
            root_positions=root_positions,
            smooth_root_2d=smooth_root_2d,
        )

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The groups that are held (`GROUPS`), None for all joints."""
        return None

    def local_rot_mats(self, skeleton: Skeleton) -> Floats:
        """Give the local rotations (K, J, 3, 3) for a skeleton; InputError if they do not fit."""
        rotations = self.local_joints_rot
        if rotations.ndim == 3:
            rotations = axis_angle_to_matrix(rotations).astype(np.float32, copy=False)
        if rotations.shape[1] in joint_counts(skeleton)[1:]:
            rotations = reduce(rotations, skeleton)
        if rotations.shape[1] != skeleton.num_joints:
            raise InputError(
                f"{self.type} constraint: local_joints_rot has {rotations.shape[1]} joints, "
                f"skeleton {skeleton.name} has {told_joint_counts(skeleton)}"
            )
        return rotations

    def ground_positions(self, root_takes_height: bool = True) -> Floats:
        """Give the smoothed root's x and z (K, 2)."""
        if self.smooth_root_2d is None:
            return np.ascontiguousarray(self.root_positions[:, ::2])
        return ground(self.smooth_root_2d, root_takes_height)

    def observe(self, skeleton: Skeleton, root_takes_height: bool = True) -> Observation:
        """Say what is constrained."""
        positions, rotations = skeleton.forward_kinematics(
            self.local_rot_mats(skeleton), self.root_positions
        )
        return observe_pose(
            self.frame_indices,
            skeleton,
            positions.astype(np.float32, copy=False),
            self.ground_positions(root_takes_height),
            rotations.astype(np.float32, copy=False),
            self.groups,
        )


@dataclass(frozen=True, eq=False, init=False)
class FullBody(_Pose):
    """The positions of all joints, root height and heading."""

    type: ClassVar[str] = "fullbody"
    mask: ClassVar[str | None] = "FullBody"


@dataclass(frozen=True, eq=False, init=False)
class EndEffector(_Pose):
    """The positions of some groups of joints, and the rotation of each group's first joint."""

    type: ClassVar[str] = "end-effector"
    mask: ClassVar[str | None] = None  # upstream's clean-up leaves these frames alone

    joint_names: tuple[str, ...] = ()
    """Of `GROUPS`, at least one."""

    def __init__(
        self,
        frame_indices: ArrayLike,
        local_joints_rot: ArrayLike,
        root_positions: ArrayLike,
        smooth_root_2d: ArrayLike | None = None,
        joint_names: Sequence[str] = (),
    ) -> None:
        """Take lists or arrays; InputError says which does not fit."""
        _check_and_set(
            self,
            frame_indices=frame_indices,
            local_joints_rot=local_joints_rot,
            root_positions=root_positions,
            smooth_root_2d=smooth_root_2d,
            joint_names=joint_names,
        )

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The groups that are held."""
        return self.joint_names


@dataclass(frozen=True, eq=False, init=False)
class _OneEndEffector(_Pose):
    @property
    def groups(self) -> tuple[str, ...] | None:
        assert self.mask is not None
        return (self.mask,)


@dataclass(frozen=True, eq=False, init=False)
class LeftHand(_OneEndEffector):
    """The left hand's place and rotation."""

    type: ClassVar[str] = "left-hand"
    mask: ClassVar[str | None] = "LeftHand"


@dataclass(frozen=True, eq=False, init=False)
class RightHand(_OneEndEffector):
    """The right hand's place and rotation."""

    type: ClassVar[str] = "right-hand"
    mask: ClassVar[str | None] = "RightHand"


@dataclass(frozen=True, eq=False, init=False)
class LeftFoot(_OneEndEffector):
    """The left foot's place and rotation."""

    type: ClassVar[str] = "left-foot"
    mask: ClassVar[str | None] = "LeftFoot"


@dataclass(frozen=True, eq=False, init=False)
class RightFoot(_OneEndEffector):
    """The right foot's place and rotation."""

    type: ClassVar[str] = "right-foot"
    mask: ClassVar[str | None] = "RightFoot"


Constraint: TypeAlias = Root2D | _Pose

CONSTRAINT_TYPES: dict[str, type[Root2D] | type[_Pose]] = {
    kind.type: kind
    for kind in (Root2D, FullBody, LeftHand, RightHand, LeftFoot, RightFoot, EndEffector)
}
"""Every class by the name that files use."""


def ground(smooth_root: Floats, root_takes_height: bool = True) -> Floats:
    """Take x and z from smoothed roots (K, 2), or (K, 3) with the height.

    Of three columns the first Kimodo takes 0 and 1 (x and the height), a bug that is kept where
    root_takes_height.
    """
    columns = slice(0, 2) if smooth_root.shape[1] == 2 or root_takes_height else slice(0, 3, 2)
    return np.ascontiguousarray(smooth_root[:, columns])


def places_of(
    constraints: Iterable[Constraint], root_takes_height: bool = True
) -> Iterator[tuple[int, Floats]]:
    """Give the frames that constraints name, each with where it puts the root, x and z (2,)."""
    for item in constraints:
        places = (
            ground(item.smooth_root_2d, root_takes_height)
            if isinstance(item, Root2D)
            else item.ground_positions(root_takes_height)
        )
        yield from zip(item.frame_indices.tolist(), places, strict=True)


def joint_counts(skeleton: Skeleton) -> tuple[int, ...]:
    """Return how many joints a pose for a skeleton may have: its own, or the expanded one's."""
    own = (skeleton.num_joints,)
    if skeleton.expands_to is None:
        return own
    return (*own, load_skeleton(skeleton.expands_to).num_joints)


def told_joint_counts(skeleton: Skeleton) -> str:
    """Say the same in words."""
    first, *others = joint_counts(skeleton)
    return f"{first} (or {others[0]})" if others else str(first)


def observe_pose(
    frame_indices: NDArray[np.int64],
    skeleton: Skeleton,
    posed_joints: Floats,
    smooth_root_2d: Floats,
    global_rot_mats: Floats | None = None,
    groups: Sequence[str] | None = None,
) -> Observation:
    """Say what poses (K, J, 3) constrain: all positions, or those of groups and a rotation each."""
    heading = hip_heading(posed_joints, skeleton)
    position_joints: list[int] = list(range(skeleton.num_joints))
    rotation_joints: list[int] = []
    if groups is not None:
        position_joints = []
        for name in groups:
            group = skeleton.end_effector_groups.get(name)
            if group is None:
                raise InputError(f"skeleton {skeleton.name} has no joint group {name}")
            position_joints += group
            rotation_joints.append(group[0])
    rotations = None
    if rotation_joints:
        assert global_rot_mats is not None
        rotations = global_rot_mats[:, rotation_joints]
    return Observation(
        frame_indices,
        smooth_root_2d,
        posed_joints[:, 0, 1],
        np.stack([np.cos(heading), np.sin(heading)], axis=-1).astype(np.float32, copy=False),
        tuple(rotation_joints),
        rotations,
        tuple(position_joints),
        posed_joints[:, position_joints],
    )


def crop_constraint(constraint: Constraint, start: int, stop: int) -> Constraint | None:
    """Keep the frames from start to stop (excluded), counted from start; None if there are none."""
    frames = constraint.frame_indices
    inside = (frames >= start) & (frames < stop)
    if not inside.any():
        return None
    values = {spec.name: getattr(constraint, spec.name) for spec in fields(constraint)}
    values = {k: v[inside] if isinstance(v, np.ndarray) else v for k, v in values.items()}
    values["frame_indices"] = values["frame_indices"] - start
    return type(constraint)(**values)


def crop_constraints(constraints: Sequence[Constraint], start: int, stop: int) -> list[Constraint]:
    """Crop each constraint and drop those that are left without frames."""
    cropped = (crop_constraint(constraint, start, stop) for constraint in constraints)
    return [constraint for constraint in cropped if constraint is not None]


def delay_constraints(constraints: Sequence[Constraint], frames: int) -> list[Constraint]:
    """Let constraints hold so many frames later."""
    delayed: list[Constraint] = []
    for constraint in constraints:
        values = {spec.name: getattr(constraint, spec.name) for spec in fields(constraint)}
        values["frame_indices"] = values["frame_indices"] + frames
        delayed.append(type(constraint)(**values))
    return delayed


def check_frames(constraints: Sequence[Constraint], num_frames: int) -> None:
    """Raise InputError for the first frame that lies beyond a clip."""
    for number, constraint in enumerate(constraints):
        beyond = constraint.frame_indices[constraint.frame_indices >= num_frames]
        if len(beyond):
            raise InputError(
                f"constraint {number} ({constraint.type}): frame {beyond[0]} is beyond the clip's "
                f"{num_frames} frames (0 to {num_frames - 1}); lengthen the clip or move the frame"
            )


def constraint_from_motion(
    motion: Motion,
    frames: Sequence[int],
    type: str,
    joint_names: Sequence[str] = (),
    first_frame: int = 0,
    fps: float | None = None,
) -> Constraint:
    """Make the constraint that holds what a motion does at some frames.

    type is one of `CONSTRAINT_TYPES`; joint_names are `GROUPS`, for end-effector. Frames are the
    motion's; in the constraint they count from first_frame, at fps (the motion's if None). The
    smoothed root is the motion's; if it has none it is computed.
    """
    kind = CONSTRAINT_TYPES.get(type)
    if kind is None:
        raise InputError(f"constraint type {type!r}: there are {', '.join(CONSTRAINT_TYPES)}")
    index = np.asarray(frames, np.int64)
    for frame in frames:
        if not 0 <= frame < motion.num_frames:
            raise InputError(
                f"frame {frame}: the motion has {motion.num_frames} (0 to {motion.num_frames - 1})"
            )
    smooth = motion.smooth_root_pos
    if smooth is None:
        enough = motion.num_frames >= 5  # below, the smoother's system is singular
        smooth = smooth_root(motion.root_positions) if enough else motion.root_positions
    values: dict[str, Any] = {
        "frame_indices": np.round((index - first_frame) * ((fps or motion.fps) / motion.fps)),
        "smooth_root_2d": smooth[index, ::2],
    }
    if kind is Root2D:
        if motion.global_root_heading is None:
            angle = hip_heading(motion.posed_joints, motion.skeleton)
        else:
            angle = np.arctan2(*motion.global_root_heading.T[::-1])
        heading = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return Root2D(**values, global_root_heading=heading[index])
    values["local_joints_rot"] = matrix_to_axis_angle(motion.local_rot_mats[index])
    values["root_positions"] = motion.root_positions[index]
    if kind is EndEffector:
        values["joint_names"] = tuple(joint_names)
    return kind(**values)


def field_problems(kind: type[Root2D] | type[_Pose], values: Mapping[str, Any]) -> Iterator[str]:
    """Explain what is wrong with the fields of a constraint, one line each."""
    missing = [name for name in required_fields(kind) if values.get(name) is None]
    for name in missing:
        yield f"{name} is missing"
    count = None
    if "frame_indices" not in missing:
        frames, problem = _whole_numbers(values["frame_indices"])
        if problem:
            yield f"frame_indices {problem}"
        elif not len(frames):
            yield "frame_indices is empty"
        else:
            count = len(frames)
    for name, shapes in _SHAPES.items():
        if values.get(name) is None or name not in {spec.name for spec in fields(kind)}:
            continue
        array, problem = _numbers(values[name])
        if problem:
            yield f"{name} {problem}"
            continue
        if array.shape[1:] not in shapes and not (
            name == "local_joints_rot" and array.ndim in (3, 4) and array.shape[2:] in _ROTATIONS
        ):
            wanted = "(K, J, 3)" if name == "local_joints_rot" else f"(K, {shapes[0][0]})"
            yield f"{name} has shape {array.shape}, must be {wanted}"
            continue
        if count is not None and len(array) != count:
            yield f"{name} has {len(array)} entries for {count} frames"
        rows = np.abs(array.reshape(len(array), -1))
        bad = np.argwhere(~(rows <= LARGEST_NUMBER).all(axis=1)).ravel()
        if len(bad):
            finite = np.isfinite(rows[bad[0]]).all()
            told = f"has a number beyond {LARGEST_NUMBER:g}" if finite else "is not finite"
            yield f"{name}[{bad[0]}] {told}"
    if kind is EndEffector and "joint_names" not in missing:
        names = values["joint_names"]
        if isinstance(names, str) or not isinstance(names, Sequence):
            yield f"joint_names is {names!r}, must be a list of names"
        else:
            if not names:
                yield f"joint_names is empty; there are {', '.join(GROUPS)}"
            for name in names:
                if name not in GROUPS:
                    yield f"joint_names has {name!r}; there are {', '.join(GROUPS)}"


def required_fields(kind: type[Root2D] | type[_Pose]) -> tuple[str, ...]:
    """Name the fields that a constraint cannot do without."""
    if kind is Root2D:
        return ("frame_indices", "smooth_root_2d")
    names = ("frame_indices", "local_joints_rot", "root_positions")
    return (*names, "joint_names") if kind is EndEffector else names


_ROTATIONS = ((3,), (3, 3))
_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "local_joints_rot": (),
    "root_positions": ((3,),),
    "smooth_root_2d": ((2,), (3,)),
    "global_root_heading": ((2,),),
}


def _check_and_set(constraint: Constraint, **values: Any) -> None:
    """Set the fields of a constraint that is being made."""
    for problem in field_problems(type(constraint), values):
        raise InputError(f"{constraint.type} constraint: {problem}")
    for name, value in values.items():
        if name == "joint_names":
            object.__setattr__(constraint, name, tuple(value))
        elif value is None:
            object.__setattr__(constraint, name, None)
        else:
            dtype = np.int64 if name == "frame_indices" else np.float32
            with np.errstate(over="ignore"):
                object.__setattr__(constraint, name, np.array(value, dtype))


def _numbers(value: ArrayLike) -> tuple[NDArray[np.float32], str | None]:
    """Make an array; the second value explains why there is none."""
    try:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as that
            array = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0, np.float32), "is not an array of numbers with equal rows"
    if array.ndim < 2:
        return array, f"has shape {array.shape}, must have one row a frame"
    return array, None


def _whole_numbers(value: Any) -> tuple[NDArray[np.int64], str | None]:
    none = np.empty(0, np.int64)
    try:
        array = np.asarray(value)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
            return none, "must be a list of whole numbers"
        wrong = [x for x in array.tolist() if not 0 <= x < 2**31 or int(x) != x]
    except (TypeError, ValueError, OverflowError):
        return none, "must be a list of whole numbers"
    if wrong:
        return none, f"has {wrong[0]}; frames are whole numbers from 0"
    return array.astype(np.int64), None
