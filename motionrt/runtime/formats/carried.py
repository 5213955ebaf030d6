"""Find the body in a hierarchy of joints: what carries it, what only helps it, what is rigid.

A motion here has one root that moves and bones that do not stretch. Files have more: a root bone
that stands still or carries the pelvis, IK targets beside it, face bones that slide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_roles
from motionrt.runtime.errors import InputError

STRETCH_TOLERANCE_M = 1e-3
"""How far a joint may move relative to its parent; for bodies above two metres in proportion."""

_STILL = 1e-9
_FEW_JOINTS = 3
_KNOWN_RIG = 8
"""So many roles make a rig whose names are understood: what has none is no part of the body."""
_HIPS = re.compile(r"hips?(?![a-z])|pelvis", re.IGNORECASE)
_HELPERS = re.compile(
    r"(?-i:(?<![A-Za-z])ik(?![a-z])|IK)|helper|target|pole|ctrl|control|attach|socket|slot|weapon"
    r"|prop|eye|brow|lip|jaw|tongue|cheek|nose|teeth|face|facial|hair|cloth|breast",
    re.IGNORECASE,
)
_LIMB = re.compile(r"_(?:left|right)$")
_BODY_ROLES = frozenset(
    "hips spine chest upper_chest neck neck2 head clavicle upper_arm lower_arm hand thigh shin "
    "foot toe".split()
)


@dataclass(frozen=True)
class Body:
    """A root that moves and bones that do not stretch: what a `Motion` can be made of."""

    kept: list[int]
    """Its joints, as indices into the hierarchy that was given, parents first."""
    names: list[str]
    parents: list[int]
    offsets: NDArray[np.float64]
    """(J, 3), each joint from its parent; zero for the root."""
    rotations: NDArray[np.float64]
    """(T, J, 3, 3), relative to the parent; the root's carry those of what carried it."""
    root: NDArray[np.float64]
    """(T, 3), where the root joint is."""
    notes: list[str] = field(default_factory=list)
    """What was left away, a line each; carriers are not: their motion is in the root's."""


def carried_body(
    names: Sequence[str],
    parents: Sequence[int],
    offsets: NDArray[np.float64],
    rotations: NDArray[np.float64],
    moving: Mapping[int, NDArray[np.float64]],
    root: NDArray[np.float64],
    *,
    weighted: Collection[int] | None = None,
) -> Body:
    """Take the body out of a hierarchy; time is linear in frames times joints.

    A root that carries one child with the body in it (the child slides, or leads to hips that do,
    or the root stands still above hips that have a track) is merged into that child, again and
    again; helpers beside it are left away. So are joints further down that slide and are no part
    of a body (IK, face, props, what moves no skin). Constant tracks replace offsets.

    Args:
        names: of the joints.
        parents: of the joints, -1 for joint 0 alone; every parent before its children.
        offsets: (J, 3) metres, each joint from its parent.
        rotations: (T, J, 3, 3), relative to the parent.
        moving: joint -> (T, 3), where a joint is relative to its parent frame by frame, for joints
            that have such a track; not for joint 0.
        root: (T, 3), where joint 0 is.
        weighted: joints that move some of the skin; None if it is not known.

    Raises:
        InputError: a bone of the body stretches.
    """
    tree = _Tree(names, parents, offsets, rotations, moving, root, weighted)
    top, place, turn = 0, root, rotations[:, 0]
    while (child := tree.carried_by(top, place, turn)) is not None:
        step = moving[child] if child in moving else offsets[child]
        place = place + (turn @ step[..., None])[..., 0]
        turn = turn @ rotations[:, child]
        top = child

    kept: list[int] = []
    new_index: dict[int, int] = {}
    bones = np.array(offsets, np.float64)
    beside, sliding = tree.beside(top), []
    for joint in range(top, len(names)):
        if joint != top and parents[joint] not in new_index:
            continue
        if joint != top and joint in moving:
            bones[joint] = np.median(moving[joint], axis=0)
            if tree.slides(joint):
                if not tree.helps(joint):
                    raise InputError(
                        f"joint {names[joint]} moves relative to its parent; bones are rigid"
                    )
                sliding.append(joint)
                continue
        new_index[joint] = len(kept)
        kept.append(joint)
    bones = bones[kept]
    bones[0] = 0
    local = rotations
    if len(kept) < len(names):
        local = rotations[:, kept]
        local[:, 0] = turn
    notes = []
    if beside:
        notes.append(f"left away, beside the body: {listed([names[j] for j in beside])}")
    if sliding:
        notes.append(f"left away, they slide on the body: {listed([names[j] for j in sliding])}")
    return Body(
        kept=kept,
        names=[names[joint] for joint in kept],
        parents=[-1, *(new_index[parents[joint]] for joint in kept[1:])],
        offsets=bones,
        rotations=local,
        root=place,
        notes=notes,
    )


class _Tree:
    """What is asked of a hierarchy, computed once for every joint with all that is below it."""

    def __init__(
        self,
        names: Sequence[str],
        parents: Sequence[int],
        offsets: NDArray[np.float64],
        rotations: NDArray[np.float64],
        moving: Mapping[int, NDArray[np.float64]],
        root: NDArray[np.float64],
        weighted: Collection[int] | None,
    ) -> None:
        count = len(names)
        self.parents, self.moving, self.names = parents, moving, names
        roles = joint_roles(names)
        self.known = len(roles) >= _KNOWN_RIG
        body = {joint for role, joint in roles.items() if _LIMB.sub("", role) in _BODY_ROLES}
        self.is_hips = [is_hips(name) for name in names]
        self.children: list[list[int]] = [[] for _ in range(count)]
        self.size = [1] * count
        self.has_hips = list(self.is_hips)
        self.has_body = [joint in body for joint in range(count)]
        self.has_weight = [weighted is None or joint in weighted for joint in range(count)]
        self.weights_known = weighted is not None
        turns_itself = (np.ptp(rotations, axis=0).max(axis=(-1, -2)) > 1e-6).tolist()
        self.turns = list(turns_itself)
        for joint in range(count - 1, 0, -1):
            parent = parents[joint]
            self.children[parent].append(joint)
            self.size[parent] += self.size[joint]
            for below in (self.has_hips, self.has_body, self.has_weight, self.turns):
                below[parent] = below[parent] or below[joint]
        rest = np.array(offsets, np.float64)
        for joint in range(1, count):
            rest[joint] += rest[parents[joint]]
        extent = float(np.ptp(rest[1:], axis=0).max()) if count > 1 else 0.0
        self.tolerance = STRETCH_TOLERANCE_M * max(1.0, extent / 2)

        self.led = self._led_to_the_hips(turns_itself, bool(np.ptp(root, axis=0).max() > _STILL))

    def _led_to_the_hips(self, turns: list[bool], moves: bool) -> set[int]:
        """What has to be carried for the hips to be the root: all down to the last that slides.

        Down to the hips themselves if they have a track and nothing above them moves, so that a
        rig's clips have the same joints whether the hips move or not.
        """
        hips = next((joint for joint, named in enumerate(self.is_hips) if named), 0)
        way = []
        while hips > 0:
            way.append(hips)
            hips = self.parents[hips]
        way.reverse()
        last = 0
        for number, joint in enumerate(way, start=1):
            moves = moves or turns[self.parents[joint]]
            slides = self.slides(joint)
            if slides or (number == len(way) and joint in self.moving and not moves):
                last = number
            moves = moves or slides
        return set(way[:last])

    def slides(self, joint: int) -> bool:
        """Whether a joint moves relative to its parent."""
        if joint not in self.moving:
            return False
        track = self.moving[joint]
        return bool(np.abs(track - np.median(track, axis=0)).max() > self.tolerance)

    def helps(self, joint: int) -> bool:
        """Whether a joint and all below it are no part of the body."""
        if self.has_body[joint] or self.has_hips[joint]:
            return False
        if self.known or (self.weights_known and not self.has_weight[joint]):
            return True
        return _HELPERS.search(self.names[joint]) is not None

    def carried_by(
        self, top: int, place: NDArray[np.float64], turn: NDArray[np.float64]
    ) -> int | None:
        """The child that has the body in it, if the root ``top`` is a mere frame around it."""
        children = self.children[top]
        led = [child for child in children if child in self.led]
        tracked = led or [child for child in children if child in self.moving]
        if not tracked:
            return None
        body = max(tracked, key=lambda child: (self.size[child], -child))
        if len(children) == 1:
            still = np.abs(place).max() < _STILL and np.abs(turn - np.eye(3)).max() < _STILL
            return body if led or still or self.slides(body) else None
        if not led and (self.is_hips[top] or not self.slides(body)):
            return None
        for other in children:
            if other == body:
                continue
            if self.has_hips[other] or self.has_body[other]:
                return None
            if led or self.slides(other) or self.helps(other):
                continue
            is_leg = self.turns[other] and self.size[other] >= _FEW_JOINTS
            if is_leg or self.size[other] >= self.size[body]:
                return None
        return body

    def beside(self, top: int) -> list[int]:
        """The joints beside a carried one: siblings of it and of what carries it."""
        found = []
        while top > 0:
            found += [child for child in self.children[self.parents[top]] if child != top]
            top = self.parents[top]
        return sorted(found)


def is_hips(name: str) -> bool:
    """Whether a joint is the hips by its name, in any rig."""
    return _HIPS.search(name) is not None


def listed(names: Sequence[str], most: int = 4) -> str:
    """List names for a message, and count those that are too many."""
    told = ", ".join(names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most} more"
