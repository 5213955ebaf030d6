"""Skeletons: joints, parents, rest positions, forward kinematics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import Floats
from motionrt.runtime.errors import InputError

LARGEST_NUMBER = 1e9
"""No number of a motion or skeleton is larger: lengths are metres, and their squares are taken in
single precision."""

SKELETON_NAMES = ("soma30", "soma77", "g1", "smplx22", "cmu22", "core27", "humanml22", "myo26")
"""The skeletons that `load_skeleton` knows."""

_JOINT_TUPLES = (
    "hip_joints",
    "left_foot_joints",
    "right_foot_joints",
    "left_hand_joints",
    "right_hand_joints",
)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints; joint 0 is the root and every parent comes before its children.

    rest_positions is (J, 3) in metres, y up, +z forward, with every rotation the identity. The
    joint groups are empty where they are not known (a skeleton read from a foreign file).
    """

    name: str
    joint_names: tuple[str, ...]
    parents: NDArray[np.int64]
    rest_positions: NDArray[np.float32]
    hip_joints: tuple[int, ...] = ()
    """Right hip and left hip: the heading is square to the line between them."""
    left_foot_joints: tuple[int, ...] = ()
    """Ankle, then toe (and toe end, if there is one)."""
    right_foot_joints: tuple[int, ...] = ()
    left_hand_joints: tuple[int, ...] = ()
    right_hand_joints: tuple[int, ...] = ()
    end_effector_groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Joints whose positions a constraint on the group holds; of the first, the rotation too."""
    expands_to: str | None = None
    """The larger skeleton that motions on this one are written on: SOMA's 30 joints to its 77."""
    reduces_to: str | None = None
    """The smaller skeleton that expands to this one."""
    extra_formats: tuple[str, ...] = ()
    """Formats made for this body alone; generated motions are written in them unasked."""
    naming: str | None = None
    """Whose joint names it has: a key of `joint_names.NAMINGS`."""
    t_pose_bones: tuple[tuple[str, str, tuple[float, ...]], ...] | None = None
    """What has to turn for a T-pose: joint, the joint where its bone ends, direction; in order.
    Empty: it rests in one; None: not known."""
    has_bvh_rig: bool = False
    """Its BVH files have a rest pose of their own and a still root above the hips (its asset)."""
    corrected: bool = True
    """Kimodo's motion correction runs on it unless asked otherwise."""
    foot_clearance_m: float = 0.007
    """How far above the ground the lowest joint of a foot lies that stands."""
    double_ankle: bool = False
    """The ankle is two joints: the foot's chain starts at the knee."""
    rolls_over_toes: bool = False
    """While only the toe of a foot stands, motion correction lets the foot turn about it; without
    this, as upstream, the ankle is held still and the toe slides."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_names", tuple(self.joint_names))
        object.__setattr__(self, "parents", np.ascontiguousarray(self.parents, np.int64))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            rest = np.ascontiguousarray(self.rest_positions, np.float32)
        object.__setattr__(self, "rest_positions", rest)
        for name in _JOINT_TUPLES:
            object.__setattr__(self, name, tuple(int(j) for j in getattr(self, name)))
        groups = {k: tuple(int(j) for j in v) for k, v in self.end_effector_groups.items()}
        object.__setattr__(self, "end_effector_groups", groups)
        object.__setattr__(self, "extra_formats", tuple(self.extra_formats))
        object.__setattr__(self, "foot_clearance_m", float(self.foot_clearance_m))
        if self.t_pose_bones is not None:
            bones = tuple((joint, end, tuple(way)) for joint, end, way in self.t_pose_bones)
            object.__setattr__(self, "t_pose_bones", bones)
        count = len(self.joint_names)
        if count == 0 or self.parents.shape != (count,) or rest.shape != (count, 3):
            raise InputError(
                f"skeleton {self.name}: {count} joint names, parents {self.parents.shape}, "
                f"rest positions {rest.shape}; they must be (J), (J) and (J, 3)"
            )
        if self.parents[0] != -1 or np.any(self.parents[1:] < 0):
            raise InputError(f"skeleton {self.name}: joint 0 and no other must be the root (-1)")
        if np.any(self.parents >= np.arange(count)):
            raise InputError(f"skeleton {self.name}: a parent must come before its children")
        if not (np.abs(rest) <= LARGEST_NUMBER).all():
            raise InputError(
                f"skeleton {self.name}: the rest positions are not all finite and below "
                f"{LARGEST_NUMBER:g}"
            )
        if len(set(self.joint_names)) != count:
            raise InputError(f"skeleton {self.name}: two joints have the same name")
        used = [j for name in _JOINT_TUPLES for j in getattr(self, name)]
        used += [j for group in groups.values() for j in group]
        if any(not 0 <= j < count for j in used):
            raise InputError(
                f"skeleton {self.name}: a joint group names a joint beyond {count - 1}"
            )
        self.parents.flags.writeable = False
        rest.flags.writeable = False

    @property
    def num_joints(self) -> int:
        """How many joints there are."""
        return len(self.joint_names)

    @property
    def foot_joints(self) -> tuple[int, ...]:
        """Left ankle, left toe, right ankle, right toe: the columns of the foot contacts."""
        return self.left_foot_joints + self.right_foot_joints

    @cached_property
    def offsets(self) -> NDArray[np.float32]:
        """Each joint's rest position relative to its parent's, (J, 3); zero for the root."""
        result = self.rest_positions - self.rest_positions[self.parents]
        result[0] = 0
        result.flags.writeable = False
        return result

    @cached_property
    def depth_levels(self) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
        """Per level below the root: the joints of that level and their parents."""
        depths = np.zeros(self.num_joints, np.int64)
        for joint in range(1, self.num_joints):
            depths[joint] = depths[self.parents[joint]] + 1
        levels = []
        for depth in range(1, int(depths.max()) + 1):
            joints = np.flatnonzero(depths == depth)
            levels.append((joints, self.parents[joints]))
        return tuple(levels)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Each joint's children, in index order."""
        return tuple(
            tuple(int(c) for c in np.flatnonzero(self.parents == joint))
            for joint in range(self.num_joints)
        )

    @cached_property
    def tip_offsets(self) -> NDArray[np.float32]:
        """Where the bone of each joint without children ends, relative to it; (J, 3), others zero.

        Half the bone before it further, for a toe level with it: files and meshes need an end,
        and rest positions do not say it.
        """
        result = np.zeros_like(self.offsets)
        for joint, children in enumerate(self.children):
            if not children:
                result[joint] = self.offsets[joint] / 2
                if joint in self.foot_joints:
                    result[joint, 1] = 0
        result.flags.writeable = False
        return result

    def index(self, joint_name: str) -> int:
        """Find a joint by name; InputError if there is none."""
        try:
            return self.joint_names.index(joint_name)
        except ValueError:
            raise InputError(f"skeleton {self.name} has no joint {joint_name!r}") from None

    def forward_kinematics(
        self, local_rot_mats: ArrayLike, root_positions: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Pose the skeleton.

        local_rot_mats is (..., J, 3, 3), relative to the parent; root_positions is (..., 3) and is
        where the root joint goes. Returns the world positions (..., J, 3) and the world rotations
        (..., J, 3, 3).
        """
        local, root = np.asarray(local_rot_mats), np.asarray(root_positions)
        if local.shape[-3:] != (self.num_joints, 3, 3):
            raise InputError(
                f"skeleton {self.name}: local rotations are {local.shape}, "
                f"they must end in {(self.num_joints, 3, 3)}"
            )
        global_rots = self.local_to_global(local)
        positions = np.empty((*local.shape[:-3], self.num_joints, 3), local.dtype)
        positions[..., 0, :] = root
        offsets = self.offsets.astype(local.dtype, copy=False)
        parents = self.parents[1:]
        steps = np.einsum("...ij,...j->...i", global_rots[..., parents, :, :], offsets[1:])
        for joints, level_parents in self.depth_levels:
            positions[..., joints, :] = positions[..., level_parents, :] + steps[..., joints - 1, :]
        return positions, global_rots

    def local_to_global(self, local_rot_mats: ArrayLike) -> Floats:
        """Accumulate rotations (..., J, 3, 3) from the root outwards."""
        local = np.asarray(local_rot_mats)
        result = local.copy()
        for joints, parents in self.depth_levels:
            result[..., joints, :, :] = result[..., parents, :, :] @ local[..., joints, :, :]
        return result

    def global_to_local(self, global_rot_mats: ArrayLike) -> Floats:
        """Make world rotations (..., J, 3, 3) relative to the parent; the root's stays."""
        rotations = np.asarray(global_rot_mats)
        result = rotations.copy()
        parents = rotations[..., self.parents[1:], :, :]
        result[..., 1:, :, :] = np.swapaxes(parents, -1, -2) @ rotations[..., 1:, :, :]
        return result

    def same_joints(self, other: Skeleton) -> bool:
        """Say whether the other has the same joint names and parents (the rest pose may differ)."""
        return self.joint_names == other.joint_names and np.array_equal(self.parents, other.parents)

    def to_dict(self) -> dict[str, Any]:
        """Describe the skeleton with JSON's types."""
        return {
            "name": self.name,
            "joint_names": list(self.joint_names),
            "parents": self.parents.tolist(),
            # The shortest decimal of the float32, not the sixteen digits of its double.
            "rest_positions": [[float(str(x)) for x in row] for row in self.rest_positions],
            **{name: list(getattr(self, name)) for name in _JOINT_TUPLES},
            "end_effector_groups": {k: list(v) for k, v in self.end_effector_groups.items()},
            **{name: getattr(self, name) for name in RULE_NAMES},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Skeleton:
        """Read what `to_dict` wrote; InputError if it is not a skeleton."""
        try:
            groups = {name: _joints(values.get(name, ())) for name in _JOINT_TUPLES}
            rules = {name: check(values[name]) for name, check in _RULES.items() if name in values}
            optional: dict[str, Any] = {**groups, **rules}
            with np.errstate(over="ignore", invalid="ignore"):
                made = cls(
                    name=_text(values["name"]),
                    joint_names=tuple(_text(name) for name in _list(values["joint_names"])),
                    parents=np.asarray(_joints(values["parents"]), np.int64),
                    rest_positions=np.asarray(_numbers(values["rest_positions"]), np.float32),
                    end_effector_groups={
                        _text(name): _joints(joints)
                        for name, joints in values.get("end_effector_groups", {}).items()
                    },
                    **optional,
                )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"not a skeleton: {type(error).__name__} {error}") from error
        made._check_relatives()
        return made

    def _check_relatives(self) -> None:
        """Raise InputError if it says of itself what the skeletons that come with motionrt do not.

        How it is expanded, reduced or rigged stands in their files, found by its name.
        """
        told = {name: getattr(self, name) for name in ("expands_to", "reduces_to", "has_bvh_rig")}
        if not any(told.values()):
            return
        known = skeleton_asset(self.name) if self.name in SKELETON_NAMES else {}
        same = tuple(known.get("joint_names", ())) == self.joint_names
        for name, value in told.items():
            if value and not (same and known.get(name) == value):
                raise InputError(f"skeleton {self.name}: {name} is {value!r}, which it has not")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Skeleton)
            and self.name == other.name
            and self.same_joints(other)
            and np.array_equal(self.rest_positions, other.rest_positions)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.joint_names))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text was expected")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where true or false was expected")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{type(value).__name__} where a finite number was expected")
    return float(value)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{type(value).__name__} where a list was expected")
    return value


def _joints(value: Any) -> tuple[int, ...]:
    joints = _list(value)
    if not all(type(joint) is int for joint in joints):
        raise TypeError("a joint that is no whole number")
    return tuple(joints)


def _numbers(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError("rest positions that are no numbers")
    return array


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _bones(value: Any) -> tuple[tuple[str, str, tuple[float, ...]], ...] | None:
    if value is None:
        return None
    bones = []
    for joint, end, direction in (_list(bone) for bone in _list(value)):
        x, y, z = (_number(component) for component in _list(direction))
        bones.append((_text(joint), _text(end), (x, y, z)))
    return tuple(bones)


_RULES: dict[str, Callable[[Any], Any]] = {
    "expands_to": _optional,
    "reduces_to": _optional,
    "extra_formats": lambda value: tuple(_text(name) for name in _list(value)),
    "naming": _optional,
    "t_pose_bones": _bones,
    "has_bvh_rig": _flag,
    "corrected": _flag,
    "foot_clearance_m": _number,
    "double_ankle": _flag,
    "rolls_over_toes": _flag,
}
"""What a skeleton says of how it is treated, so that nobody has to ask for its name, and what
checks it."""
RULE_NAMES = tuple(_RULES)


@lru_cache
def skeleton_asset(name: str) -> Mapping[str, Any]:
    """Read a skeleton's file whole: the skeleton itself and the tables of its file formats.

    InputError if there is no such skeleton.
    """
    if name not in SKELETON_NAMES:
        raise InputError(f"no skeleton {name!r}; there are {', '.join(SKELETON_NAMES)}")
    text = (resources.files("motionrt") / "assets" / "skeletons" / f"{name}.json").read_text(
        "utf-8"
    )
    asset: dict[str, Any] = json.loads(text)
    return asset


@lru_cache
def load_skeleton(name: str) -> Skeleton:
    """Load one of the skeletons that come with motionrt; InputError if there is no such one."""
    return Skeleton.from_dict(skeleton_asset(name))


@lru_cache
def indices_in_expanded(name: str) -> NDArray[np.int64]:
    """Where each joint of a skeleton stands in the one that it expands to."""
    result = np.asarray(skeleton_asset(name)["indices_in_expanded"], np.int64)
    result.flags.writeable = False
    return result


@lru_cache
def relaxed_hands_local_rot_mats(name: str) -> NDArray[np.float32]:
    """Local rotations (J, 3, 3) of an expanded skeleton with relaxed hands.

    What the joints of the smaller skeleton overwrite.
    """
    result = np.asarray(skeleton_asset(name)["relaxed_hands_local_rot_mats"], np.float32)
    result.flags.writeable = False
    return result


def expand(local_rot_mats: ArrayLike, skeleton: Skeleton) -> Floats:
    """Turn local rotations (..., J, 3, 3) of a skeleton into those of the one it expands to.

    Hands are relaxed. InputError if it expands to none, or the shape is not its own.
    """
    if skeleton.expands_to is None:
        raise InputError(f"skeleton {skeleton.name} expands to no other")
    local = np.asarray(local_rot_mats)
    if local.shape[-3:] != (skeleton.num_joints, 3, 3):
        raise InputError(
            f"local rotations are {local.shape}, they must end in ({skeleton.num_joints}, 3, 3)"
        )
    base = relaxed_hands_local_rot_mats(skeleton.expands_to)
    result = np.empty((*local.shape[:-3], *base.shape), local.dtype)
    result[...] = base
    result[..., indices_in_expanded(skeleton.name), :, :] = local
    return result


def reduce(values: ArrayLike, skeleton: Skeleton, axis: int = -3) -> NDArray[Any]:
    """Select a skeleton's joints out of those of the one it expands to, along an axis.

    The axis is that of local rotations by default. InputError if it has another size.
    """
    array = np.asarray(values)
    joints = load_skeleton(skeleton.expands_to).num_joints if skeleton.expands_to else None
    if array.shape[axis] != joints:
        raise InputError(f"axis {axis} of {array.shape} must have {joints} joints")
    return np.take(array, indices_in_expanded(skeleton.name), axis=axis)
