"""Motion correction: meet constraints exactly, keep standing feet where they stand.

What Kimodo and ARDY run after decoding. Every step moves the frames it must and lets the others
follow by `trajectory.correct_trajectory`, so no step leaves a jump. Works on local rotation
matrices in float64, all frames at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motionrt.runtime.body.limb_ik import SAME_DIRECTION, bend_limb
from motionrt.runtime.body.rotation import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    shortest_arc,
    slerp,
    unit,
)
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.body.trajectory import (
    FREE,
    PINNED,
    Weights,
    correct_trajectory,
    smooth_mask_edges,
)
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROOT_MARGIN_M = 0.04
"""How far the root may stay from a constrained ground position."""
CONTACT_THRESHOLD = 0.5
LIMBS = ("LeftHand", "RightHand", "LeftFoot", "RightFoot")
MASKS = ("FullBody", *LIMBS, "Root")

_WEIGHTS = Weights(position=0.001, velocity=1.0, acceleration=10.0)
_HINT_OFFSET_M = 0.1
"""Elbows bend backwards, knees forwards: the hint lies this far behind or before the joint."""
_SOFT_REACH, _SOFT_WIDTH = 0.99, 0.01
"""A foot is let go smoothly when its anchor is further than the leg is long."""
_TOE_ROUNDS = 10


@dataclass(frozen=True)
class Limb:
    """The joints of a limb: upper end, middle, end effector, and what lies beyond (toe, if any)."""

    upper: int
    middle: int
    end: int
    beyond: int | None


@dataclass
class CorrectionTargets:
    """What constraints ask of a clip; masks say at which frames (names in `MASKS`)."""

    root_positions: Array
    """(T, 3), metres; a Root frame uses x and z only."""
    local_rot_mats: Array
    """(T, J, 3, 3)."""
    masks: dict[str, Mask]

    @classmethod
    def empty(cls, num_frames: int, num_joints: int) -> CorrectionTargets:
        """Ask for nothing."""
        return cls(
            np.zeros((num_frames, 3)),
            np.broadcast_to(np.eye(3), (num_frames, num_joints, 3, 3)).copy(),
            {name: np.zeros(num_frames, bool) for name in MASKS},
        )


def correct_motion(
    skeleton: Skeleton,
    local_rot_mats: ArrayLike,
    root_positions: ArrayLike,
    foot_contacts: ArrayLike,
    targets: CorrectionTargets | None = None,
    root_margin: float = ROOT_MARGIN_M,
    contact_threshold: float = CONTACT_THRESHOLD,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Correct one clip; returns its local rotations (T, J, 3, 3) and root positions (T, 3).

    foot_contacts is (T, 4): left ankle, left toe, right ankle, right toe, standing if above
    contact_threshold. root_margin is in metres. Numbers that are not finite count as zero (a
    rotation as none).
    InputError if the skeleton does not name its hands and feet.
    """
    # The clean copies are made before anything is corrected; the arguments stay as they are.
    local = np.asarray(local_rot_mats, np.float64)
    finite = np.isfinite(local).all(axis=(-1, -2), keepdims=True)
    local = np.where(finite, local, np.eye(3))
    root = np.nan_to_num(np.asarray(root_positions, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    contacts = np.nan_to_num(np.asarray(foot_contacts, np.float64))
    frames = len(root)
    if local.shape != (frames, skeleton.num_joints, 3, 3) or contacts.shape != (frames, 4):
        raise InputError(
            f"motion correction: local rotations {local.shape}, root positions {root.shape}, "
            f"contacts {contacts.shape} do not fit skeleton {skeleton.name}"
        )
    targets = targets or CorrectionTargets.empty(frames, skeleton.num_joints)
    correction = _Correction(skeleton, local, root, contacts, targets)
    correction.move_root(root_margin)
    correction.meet_full_bodies()
    correction.meet_limbs()
    correction.hold_feet(contact_threshold)
    return correction.local.astype(np.float32), correction.root.astype(np.float32)


def checked_margin(root_margin: float) -> float:
    """Return a root margin in metres; InputError unless it is zero or more."""
    if not (np.isfinite(root_margin) and root_margin >= 0):
        raise InputError(f"root margin {root_margin}: must be 0 or more metres")
    return root_margin


def limbs_of(skeleton: Skeleton) -> dict[str, Limb]:
    """Find the limbs by name (`LIMBS`): each end effector, its parent and its parent's parent."""
    joints = {
        "LeftHand": skeleton.left_hand_joints,
        "RightHand": skeleton.right_hand_joints,
        "LeftFoot": skeleton.left_foot_joints,
        "RightFoot": skeleton.right_foot_joints,
    }
    limbs = {}
    for name, group in joints.items():
        if not group or (name.endswith("Foot") and len(group) < 2):
            raise InputError(f"skeleton {skeleton.name} does not name its {name}; no correction")
        middle = int(skeleton.parents[group[0]])
        upper = int(skeleton.parents[middle])
        beyond = group[1] if name.endswith("Foot") else None
        limbs[name] = Limb(upper, middle, group[0], beyond)
    return limbs


class _Correction:
    """The state of one correction: the clip as it is so far."""

    def __init__(
        self,
        skeleton: Skeleton,
        local: Array,
        root: Array,
        contacts: Array,
        targets: CorrectionTargets,
    ) -> None:
        self.skeleton = skeleton
        self.limbs = limbs_of(skeleton)
        self.local, self.root, self.contacts, self.targets = local, root, contacts, targets
        self.full_body = targets.masks["FullBody"]
        heights = skeleton.rest_positions[:, 1].astype(np.float64)
        self.rest_heights = heights - heights.min() + skeleton.foot_clearance_m
        lengths = np.linalg.norm(skeleton.offsets.astype(np.float64), axis=1)
        self.bone_lengths = lengths

    def move_root(self, margin: float) -> None:
        """Bring the root to its targets: height at full bodies, x and z at every constraint."""
        masks, target = self.targets.masks, self.targets.root_positions
        pins = np.where(self.full_body, PINNED, FREE)
        weights = _WEIGHTS.scaled(position=10.0, acceleration=0.1)
        height = correct_trajectory(self.root[:, 1:2], target[:, 1:2], pins, weights)
        anywhere = np.any([masks[name] for name in (*LIMBS, "Root")], axis=0)
        margins = np.where(self.full_body, PINNED, np.where(anywhere, margin, FREE))
        ground = smooth_mask_edges(self.root[:, ::2], self.full_body | masks["Root"])
        ground = correct_trajectory(ground, target[:, ::2], margins, _WEIGHTS)
        self.root = np.stack([ground[:, 0], height[:, 0], ground[:, 1]], axis=1)

    def meet_full_bodies(self) -> None:
        """Bring every joint's rotation to its target at the full-body frames."""
        frames, joints = self.local.shape[:2]
        reference = smooth_mask_edges(_to_axes(self.local).reshape(frames, -1), self.full_body)
        targets = _to_axes(self.targets.local_rot_mats).reshape(frames, -1)
        pins = np.where(self.full_body, PINNED, FREE)
        axes = correct_trajectory(reference, targets, pins, _WEIGHTS.scaled(position=10.0))
        self.local = _from_axes(axes.reshape(frames, joints, 6))

    def meet_limbs(self) -> None:
        """Bring hands and feet to their targets, position and world rotation."""
        if not any(self.targets.masks[name].any() for name in LIMBS):
            return
        positions, rotations = self.skeleton.forward_kinematics(
            self.targets.local_rot_mats, self.targets.root_positions
        )
        for name in LIMBS:
            mask, limb = self.targets.masks[name], self.limbs[name]
            frames = np.flatnonzero(mask & ~self.full_body)
            if not len(frames):
                continue
            corrected = self.local.copy()
            joints = (limb.upper, limb.middle, limb.end)
            self._bend(corrected, frames, joints, positions[frames, limb.end], name)
            self._set_world(corrected, frames, limb.end, rotations[frames, limb.end])
            self._blend(corrected, joints, mask | self.full_body)

    def hold_feet(self, threshold: float) -> None:
        """Keep feet where they stand: ankles at an anchor, then toes at their rest height.

        A foot that rolls over its toe keeps its own turning, so its toe is not put down.
        """
        # What a foot shall be at the frames that it is held; the clip follows it by blending.
        held = self.local.copy()
        original = self._pose()
        ankles = {
            name: self._hold_ankle(name, held, original, threshold)
            for name in ("RightFoot", "LeftFoot")
        }
        for name in ("RightFoot", "LeftFoot"):
            if not self.skeleton.rolls_over_toes:
                self._hold_toe(name, held, threshold)
            if self.skeleton.double_ankle:
                self._hold_double_ankle(name, held, ankles[name], original)

    def _hold_ankle(
        self, name: str, held: Array, original: tuple[Array, Array], threshold: float
    ) -> Mask:
        """Hold one ankle; returns the frames at which it was held."""
        limb, blocked = self.limbs[name], self._blocked(name)
        positions, rotations = original
        path = positions[:, limb.end]
        column = self._contact_column(name)
        standing = np.minimum(self.contacts[:, column] + self.contacts[:, column + 1], 1.0)
        at = np.zeros(len(path), bool)
        anchors = path.copy()
        for start, stop in _runs((standing > threshold) & ~blocked):
            before = start > 0 and bool(blocked[start - 1])
            after = stop < len(path) and bool(blocked[stop])
            if before and after:
                continue
            reference = start - 1 if before else stop if after else (start + stop) // 2
            anchors[start:stop] = path[reference]
            if self.skeleton.rolls_over_toes and limb.beyond is not None:
                down = self.contacts[:, column : column + 2] > threshold
                down[reference] |= before or after
                foot = positions[:, [limb.end, limb.beyond]]
                anchors[start:stop] = _rolled(foot, down, start, stop, reference)
            if not (before or after):
                height = self.rest_heights[limb.end]
                anchors[start:stop, 1] = np.maximum(path[start:stop, 1], height)
            at[start:stop] = True
        frames = np.flatnonzero(at)
        if len(frames):
            joints = (limb.upper, limb.middle, limb.end)
            self._bend(held, frames, joints, anchors[frames], name, soft=True)
            self._set_world(held, frames, limb.end, rotations[frames, limb.end])
            self._blend(held, joints, blocked | at)
        return at

    def _hold_toe(self, name: str, held: Array, threshold: float) -> None:
        """Put one toe down to its rest height by turning the ankle."""
        limb, blocked = self.limbs[name], self._blocked(name)
        assert limb.beyond is not None  # limbs_of refuses a foot without a toe
        standing = self.contacts[:, self._contact_column(name) + 1]
        at = np.zeros(len(standing), bool)
        for start, stop in _runs((standing > threshold) & ~blocked):
            before = start > 0 and blocked[start - 1]
            after = stop < len(at) and blocked[stop]
            at[start:stop] = not (before or after)
        frames = np.flatnonzero(at)
        if len(frames):
            positions, _ = self._pose(frames, held)
            ankle, toe = positions[:, limb.end], positions[:, limb.beyond].copy()
            right_toe = self.limbs["RightFoot"].beyond  # upstream takes it for both sides
            for _ in range(_TOE_ROUNDS):
                toe[:, 1] = self.rest_heights[right_toe]
                toe = ankle + unit(toe - ankle) * self.bone_lengths[limb.beyond]
            self._point(held, frames, limb.end, limb.beyond, toe)
            self._blend(held, (limb.end,), blocked | at)

    def _hold_double_ankle(
        self,
        name: str,
        held: Array,
        ankle_held: Mask,
        original: tuple[Array, Array],
    ) -> None:
        """Bring the first ankle back to where the second one had it, by the whole leg.

        Holding the foot moved the second ankle on its tiny bone alone. held has the foot as it
        shall be; the leg is bent so that the first ankle lies as it did in the second one's frame.
        """
        limb, blocked = self.limbs[name], self._blocked(name)
        frames = np.flatnonzero(ankle_held)
        if not len(frames):
            return
        assert limb.beyond is not None
        second, first = limb.end, limb.middle
        knee = limb.upper
        hip = int(self.skeleton.parents[knee])
        positions, rotations = (array[frames] for array in original)
        offset = positions[:, first] - positions[:, second]
        offset = np.einsum("tji,tj->ti", rotations[:, second], offset)
        positions, rotations = self._pose(frames, held)
        ankle, toe = positions[:, second], positions[:, limb.beyond]
        target = ankle + np.einsum("tij,tj->ti", rotations[:, second], offset)
        pinned = blocked | ankle_held
        self._bend(held, frames, (hip, knee, first), target, "Foot")
        self._blend(held, (hip, knee), pinned)
        self._point(held, frames, first, second, ankle)
        self._point(held, frames, second, limb.beyond, toe)
        self._blend(held, (first, second), pinned)

    def _pose(
        self, frames: NDArray[np.intp] | slice = slice(None), local: Array | None = None
    ) -> tuple[Array, Array]:
        chosen = self.local if local is None else local
        positions, rotations = self.skeleton.forward_kinematics(chosen[frames], self.root[frames])
        return positions, rotations  # type: ignore[return-value]  # float64 in, float64 out

    def _bend(
        self,
        local: Array,
        frames: NDArray[np.intp],
        joints: tuple[int, int, int],
        target: Array,
        name: str,
        soft: bool = False,
    ) -> None:
        """Bend a limb at some frames of local, in place; soft gives up what is out of reach."""
        upper, middle, end = joints
        positions, rotations = self._pose(frames, local)
        back = name.endswith("Hand")
        hint = rotations[:, middle, :, 2] * (-_HINT_OFFSET_M if back else _HINT_OFFSET_M)
        lengths = (float(self.bone_lengths[middle]), float(self.bone_lengths[end]))
        hip = positions[:, upper]
        turns = bend_limb(
            hip,
            positions[:, middle],
            positions[:, end],
            positions[:, middle] + hint,
            target,
            lengths,
        )
        distance = np.linalg.norm(target - hip, axis=1) / sum(lengths)
        weight = np.exp(-2.0 * (np.maximum(distance - _SOFT_REACH, 0.0) / _SOFT_WIDTH) ** 4)
        for joint, turn in zip((upper, middle), turns, strict=True):
            world = rotations[:, joint]
            old = local[frames, joint]
            new = old @ (np.swapaxes(world, -1, -2) @ turn @ world)
            local[frames, joint] = _interpolate(old, new, weight) if soft else new

    def _set_world(
        self, local: Array, frames: NDArray[np.intp], joint: int, rotations: Array
    ) -> None:
        """Give a joint world rotations at some frames of local, in place."""
        _, current = self._pose(frames, local)
        parent = current[:, self.skeleton.parents[joint]]
        local[frames, joint] = np.swapaxes(parent, -1, -2) @ rotations

    def _point(
        self, local: Array, frames: NDArray[np.intp], joint: int, child: int, target: Array
    ) -> None:
        """Turn a joint so that its child points to a target, at some frames of local, in place."""
        positions, rotations = self._pose(frames, local)
        start = positions[:, child] - positions[:, joint]
        aim = target - positions[:, joint]
        turn = shortest_arc(start, aim, still_above=SAME_DIRECTION)
        parent = rotations[:, self.skeleton.parents[joint]]
        local[frames, joint] = np.swapaxes(parent, -1, -2) @ turn @ rotations[:, joint]

    def _blend(self, corrected: Array, joints: tuple[int, ...], pinned: Mask) -> None:
        """Take joints from corrected at the pinned frames and let the others follow."""
        frames, chosen = len(corrected), sorted(joints)
        axes = correct_trajectory(
            _to_axes(self.local[:, chosen]).reshape(frames, -1),
            _to_axes(corrected[:, chosen]).reshape(frames, -1),
            np.where(pinned, PINNED, FREE),
            _WEIGHTS.scaled(position=10.0),
        )
        self.local[:, chosen] = _from_axes(axes.reshape(frames, len(chosen), 6))

    def _blocked(self, name: str) -> Mask:
        """Frames at which constraints hold a foot already."""
        return self.full_body | self.targets.masks[name]

    @staticmethod
    def _contact_column(name: str) -> int:
        return 0 if name == "LeftFoot" else 2


def _rolled(foot: Array, down: Mask, start: int, stop: int, reference: int) -> Array:
    """Move a foot at start to stop so that what stands of it is still; returns its ankle (n, 3).

    foot (T, 2, 3) is ankle and toe, down (T, 2) says which of them stand. Between two frames the
    ankle stays, or the toe where it alone stands at both. At reference the foot stays as it is.
    """
    first, last = min(start, reference), max(stop, reference + 1)
    kept = down[first : last - 1] & down[first + 1 : last]
    on_toe = kept[:, 1] & ~kept[:, 0]
    moves = np.diff(foot[first:last], axis=0)
    moves = np.where(on_toe[:, np.newaxis], moves[:, 1], moves[:, 0])
    moved = np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])
    ankles: Array = foot[first:last, 0] - moved + moved[reference - first]
    return ankles[start - first : stop - first]


def _to_axes(rotations: Array) -> Array:
    """Take the z and y axes of (..., 3, 3) as (..., 6)."""
    return np.concatenate([rotations[..., :, 2], rotations[..., :, 1]], axis=-1)


def _from_axes(axes: Array) -> Array:
    """Make rotations of z axes and approximate y axes; z is kept."""
    z, up = unit(axes[..., :3]), axes[..., 3:]
    x = unit(np.cross(up, z))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _interpolate(start: Array, end: Array, fraction: Array) -> Array:
    between = slerp(matrix_to_quaternion(start), matrix_to_quaternion(end), fraction)
    result: Array = quaternion_to_matrix(between)  # type: ignore[assignment]
    return result


def _runs(mask: Mask) -> Iterator[tuple[int, int]]:
    """Yield the start and the end (excluded) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    for start, stop in edges.reshape(-1, 2):
        yield int(start), int(stop)
