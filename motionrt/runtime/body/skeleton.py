"""Skeletons: joints, parents, rest positions, forward kinematics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.rotation import Floats
from motionrt.runtime.errors import InputError

SKELETON_NAMES = ("soma30", "soma77", "g1", "smplx22", "cmu22", "humanml22")
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_names", tuple(self.joint_names))
        object.__setattr__(self, "parents", np.ascontiguousarray(self.parents, np.int64))
        rest = np.ascontiguousarray(self.rest_positions, np.float32)
        object.__setattr__(self, "rest_positions", rest)
        for name in _JOINT_TUPLES:
            object.__setattr__(self, name, tuple(int(j) for j in getattr(self, name)))
        groups = {k: tuple(int(j) for j in v) for k, v in self.end_effector_groups.items()}
        object.__setattr__(self, "end_effector_groups", groups)
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
        if not np.isfinite(rest).all():
            raise InputError(f"skeleton {self.name}: the rest positions are not all finite")
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
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Skeleton:
        """Read what `to_dict` wrote; InputError if it is not a skeleton."""
        try:
            return cls(
                name=str(values["name"]),
                joint_names=tuple(str(name) for name in values["joint_names"]),
                parents=np.asarray(values["parents"], np.int64),
                rest_positions=np.asarray(values["rest_positions"], np.float32),
                **{name: tuple(values.get(name, ())) for name in _JOINT_TUPLES},
                end_effector_groups={
                    str(k): tuple(v) for k, v in values.get("end_effector_groups", {}).items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"not a skeleton: {type(error).__name__} {error}") from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Skeleton)
            and self.name == other.name
            and self.same_joints(other)
            and np.array_equal(self.rest_positions, other.rest_positions)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.joint_names))


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
def soma30_indices_in_soma77() -> NDArray[np.int64]:
    """Where each of SOMA's 30 model joints stands among the 77."""
    result = np.asarray(skeleton_asset("soma30")["indices_in_soma77"], np.int64)
    result.flags.writeable = False
    return result


@lru_cache
def relaxed_hands_local_rot_mats() -> NDArray[np.float32]:
    """SOMA's 77 local rotations with relaxed hands, (77, 3, 3): what the 30 joints overwrite."""
    result = np.asarray(skeleton_asset("soma77")["relaxed_hands_local_rot_mats"], np.float32)
    result.flags.writeable = False
    return result


def expand_soma30(local_rot_mats: ArrayLike) -> Floats:
    """Turn local rotations of SOMA's 30 model joints into those of all 77, hands relaxed."""
    local = np.asarray(local_rot_mats)
    if local.shape[-3:] != (30, 3, 3):
        raise InputError(f"local rotations are {local.shape}, they must end in (30, 3, 3)")
    result = np.empty((*local.shape[:-3], 77, 3, 3), local.dtype)
    result[...] = relaxed_hands_local_rot_mats()
    result[..., soma30_indices_in_soma77(), :, :] = local
    return result


def reduce_soma77(values: ArrayLike, axis: int = -3) -> NDArray[Any]:
    """Select SOMA's 30 model joints out of 77 along an axis (of local rotations by default)."""
    array = np.asarray(values)
    if array.shape[axis] != 77:
        raise InputError(f"axis {axis} of {array.shape} must have 77 joints")
    return np.take(array, soma30_indices_in_soma77(), axis=axis)
