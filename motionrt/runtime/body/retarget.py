"""Retarget: the motion of one body for another, of other proportions, rest pose and bones.

Both rest poses are brought into one, a T-pose that faces +z; from there every bone turns in the
world as its counterpart does, so that limbs point where they pointed. The hips go the way of the
source, in proportion to the legs; then legs are bent so that feet are where the source's are, and
feet that stand are held where they came down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.bone_mapping import LIMBS, SIDES, BoneMap, unmapped
from motionrt.runtime.body.common_pose import common_pose, descendants, turn_to_front
from motionrt.runtime.body.hands import finger_rotations
from motionrt.runtime.body.limb_ik import MAX_REACH, bend_limb
from motionrt.runtime.body.loop import played
from motionrt.runtime.body.metrics import known_contacts
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import headings, loop_step
from motionrt.runtime.body.rotation import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about_y,
    slerp,
    unit,
)
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError

Array = NDArray[np.float64]

LET_GO_SECONDS = 0.15
"""How long a foot that was held takes to come back to where the source's is."""
MAX_SLIDE_MM = 10.0
MAX_DEPTH_MM = 10.0
MAX_UNREACHED_MM = 20.0
MAX_BEND_DEG = 165.0
MAX_BACK_DEG = 10.0
MAX_DIRECTION_DEG = 10.0
"""What a certificate allows a body of 1.71 m: how far a standing foot slides, joints of feet go
into the floor and feet miss their places, how far knees and elbows bend, and backwards, and how far
limbs point from where the source's do."""
STANDING_HEIGHT_M, STANDING_MPS = 0.03, 0.5
"""A foot whose contacts are not known stands where it is so near to its lowest, and so slow."""
_USUAL_LEG_M = 0.84
"""Thigh and shin of a body of 1.71 m."""
_SOLE = 0.2
"""A character whose lowest joint of a foot lies this share of a leg above y = 0 stands there."""


@dataclass(frozen=True)
class Certificate:
    """How well a motion fits its new body; lengths are as on a body of 1.71 m."""

    slide_mm: float
    """How far a foot that stands goes over the floor at most, from where it came down."""
    source_slide_mm: float
    """The same of the source."""
    depth_mm: float
    """How far a joint of the feet comes below where it is when the body stands."""
    unreached_mm: float
    """How far a foot is at most from where it should be: the leg is too short."""
    bend_deg: float
    """How far a knee or elbow bends at most; 0 is straight."""
    back_deg: float
    """How far a knee bends backwards at most."""
    direction_deg: float
    """How far a bone of arm or leg points from where the source's points, on average."""
    unmapped_roles: tuple[str, ...]
    """What the source has and the character has not."""
    unmapped_bones: tuple[str, ...]
    """What the character has and no role moves; it follows its parent."""

    @property
    def failures(self) -> list[str]:
        """What is beyond what is allowed, a line each."""
        limits = (
            ("a standing foot slides", self.slide_mm, MAX_SLIDE_MM, "mm"),
            ("a foot goes below the floor", self.depth_mm, MAX_DEPTH_MM, "mm"),
            ("a foot misses its place", self.unreached_mm, MAX_UNREACHED_MM, "mm"),
            ("a knee or elbow bends", self.bend_deg, MAX_BEND_DEG, "degrees"),
            ("a knee bends backwards", self.back_deg, MAX_BACK_DEG, "degrees"),
            ("limbs point otherwise", self.direction_deg, MAX_DIRECTION_DEG, "degrees"),
        )
        return [
            f"{what} by {value:.1f} {unit_}, allowed are {limit:g}"
            for what, value, limit, unit_ in limits
            if not value <= limit
        ]

    @property
    def passed(self) -> bool:
        """Whether nothing is beyond what is allowed."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Give all figures, and whether they pass."""
        return {**asdict(self), "passed": self.passed, "failures": self.failures}


@dataclass(frozen=True)
class Retargeted:
    """A motion on a character's skeleton, and its certificate."""

    motion: Motion
    certificate: Certificate


@dataclass(frozen=True)
class _Rig:
    """A body in the common T-pose."""

    skeleton: Skeleton
    bones: BoneMap
    upright: Array
    """(3, 3), brings its rest pose to face +z."""
    canonical: Array
    """World rotations (J, 3, 3) that bring the rest pose into the T-pose that faces +z."""
    rest: Array
    """(J, 3), float64."""
    leg: float
    """Length of thigh and shin."""
    floor: float
    """Height of the ground in the rest pose."""

    def joint(self, role: str) -> int | None:
        return self.bones.joints.get(role)

    def sole(self, side: str) -> float:
        """How high the ankle is above the ground when the body stands."""
        return float(self.rest[self.bones.joints[f"foot_{side}"], 1] - self.floor)

    @property
    def between_thighs(self) -> Array:
        """From the hips joint to the middle between the thighs, at rest."""
        joints = self.bones.joints
        thighs = [self.rest[joints[f"thigh_{side}"]] for side in SIDES]
        middle: Array = (thighs[0] + thighs[1]) / 2 - self.rest[joints["hips"]]
        return middle


def retargeted(motion: Motion, source: BoneMap, character: Skeleton, target: BoneMap) -> Retargeted:
    """Bring a motion onto a character.

    A loop stays one. Feet that stand are held unless they slide on average, as those of a motion in
    place do: that is done after.

    Args:
        motion: on any humanoid.
        source: its bones (`bone_mapping.map_bones`).
        character: its skeleton, in its own rest pose, size and facing. Its root has to be its hips.
        target: its bones.

    Raises:
        InputError: a leg has no length, or the character's hips are not its root.
    """
    if target.joints["hips"] != 0:
        raise InputError(f"skeleton {character.name}: its root is not its hips")
    if loop_step(motion) is None:
        return _once(motion, source, character, target)
    # With a round before it and one after, what is held at the seam is held alike at both ends.
    many = _once(played(motion, 3), source, character, target)
    first = motion.num_frames - 1
    made = many.motion.crop(first, 2 * first + 1)
    made.info["loop"] = _round_of(made, motion)
    return Retargeted(made, many.certificate)


def _round_of(made: Motion, source: Motion) -> dict[str, Any]:
    """What one round of a loop moves the character by, as `loop.closed` says it."""
    _, turn = loop_step(source) or (0, 0.0)
    way = (made.root_positions[-1] - made.root_positions[0]).astype(np.float64)
    heading = float(headings(made)[0])
    step = np.asarray(rotation_about_y(-heading)) @ way
    return {"step_m": step[::2].tolist(), "turn_deg": math.degrees(turn)}


def _once(motion: Motion, source: BoneMap, character: Skeleton, target: BoneMap) -> Retargeted:
    one = _rig(motion.skeleton, source, motion)
    other = _rig(character, target, None)
    scale = other.leg / one.leg
    facing = other.upright.T
    turns = _turns(motion, one, other)
    posed = motion.posed_joints.astype(np.float64)

    def there(points: Array) -> Array:
        """Bring places of the source into the character's world, whose ground is at y = 0, too."""
        return np.asarray(scale * points @ facing.T)

    thighs = [posed[:, one.bones.joints[f"thigh_{side}"]] for side in SIDES]
    sole = np.mean([other.sole(side) - scale * one.sole(side) for side in SIDES])
    middle = there((thighs[0] + thighs[1]) / 2) + np.array([0, sole, 0])
    hips = middle - turns[:, 0] @ other.between_thighs
    wanted: dict[str, Array] = {}
    held = {side: _standing(motion, one, side) for side in SIDES}
    if not _on_the_ground(motion, one, held):
        held = {side: np.zeros_like(stands) for side, stands in held.items()}
    for side in SIDES:
        ankle = there(posed[:, one.bones.joints[f"foot_{side}"]])
        ankle[:, 1] += other.sole(side) - scale * one.sole(side)
        wanted[side] = _locked(ankle, turns, other, side, held[side], motion.fps)
    hips[:, 1] -= _lowered(hips, turns, other, wanted, motion.fps)
    _bend_legs(hips, turns, other, wanted)
    made = Motion.from_local(
        character.global_to_local(turns),
        hips,
        character,
        motion.fps,
        foot_contacts=_contacts(character, held),
        info={**motion.info, "retargeted_from": motion.skeleton.name},
    )
    return Retargeted(made, _certificate(motion, made, one, other, wanted, held))


def _rig(skeleton: Skeleton, bones: BoneMap, motion: Motion | None) -> _Rig:
    rest = skeleton.rest_positions.astype(np.float64)
    joints = bones.joints
    upright = turn_to_front(skeleton, bones)
    legs = []
    for side in SIDES:
        chain = [rest[joints[f"{role}_{side}"]] for role in LIMBS["leg"]]
        legs.append(sum(float(np.linalg.norm(b - a)) for a, b in pairwise(chain)))
    leg = float(np.mean(legs))
    if not leg > 0:
        raise InputError(f"skeleton {skeleton.name}: its legs have no length")
    feet = [joints[role] for role in joints if role.partition("_")[0] in ("foot", "toe")]
    lowest = float(rest[feet, 1].min())
    if motion is not None:
        floor = lowest - skeleton.foot_clearance_m
    else:
        floor = 0.0 if 0 <= lowest < _SOLE * leg else lowest - 0.01 * leg
    return _Rig(skeleton, bones, upright, common_pose(skeleton, bones), rest, leg, floor)


def _turns(motion: Motion, one: _Rig, other: _Rig) -> Array:
    """World rotations (T, J, 3, 3) of the character's joints, relative to its rest pose."""
    world = motion.global_rot_mats.astype(np.float64)
    facing = other.upright.T

    def delta(joint: int) -> Array:
        """How a source's joint is turned from the common T-pose, (T, 3, 3)."""
        return np.asarray(world[:, joint] @ one.canonical[joint].T)

    given: dict[int, Array] = {}
    hips = delta(one.bones.joints["hips"])
    given[other.bones.joints["hips"]] = hips
    spine = [delta(joint) for joint in one.bones.spine]
    given.update(zip(other.bones.spine, _along([hips, *spine], other.bones.spine), strict=True))
    top = spine[-1] if spine else hips
    head = delta(one.bones.joints["head"])
    neck = [top, *(delta(joint) for joint in one.bones.neck), head]
    between = _along(neck, (*other.bones.neck, other.bones.joints["head"]))
    given.update(zip((*other.bones.neck, other.bones.joints["head"]), between, strict=True))
    for role, joint in other.bones.joints.items():
        own = one.joint(role)
        if own is not None and joint not in given:
            given[joint] = delta(own)
    turns = np.empty((motion.num_frames, other.skeleton.num_joints, 3, 3))
    relaxed = finger_rotations(other.skeleton, other.bones, "relaxed")
    for joint in range(other.skeleton.num_joints):
        parent = other.skeleton.parents[joint]
        if joint in given:
            turns[:, joint] = facing @ given[joint] @ other.canonical[joint]
        elif joint in relaxed:  # fingers that the source has not
            turns[:, joint] = turns[:, parent] @ relaxed[joint]
        else:
            turns[:, joint] = turns[:, parent]
    return turns


def _along(chain: Sequence[Array], joints: Sequence[int]) -> Iterator[Array]:
    """Spread the turns along a chain, whose first is where it begins, over other joints."""
    quaternions = [np.asarray(matrix_to_quaternion(turn)) for turn in chain]
    last = len(chain) - 1
    for number in range(1, len(joints) + 1):
        place = last * number / len(joints)
        before = min(int(place), max(last - 1, 0))
        after = min(before + 1, last)
        mixed = slerp(quaternions[before], quaternions[after], np.array(place - before))
        yield np.asarray(quaternion_to_matrix(mixed))


def _standing(motion: Motion, rig: _Rig, side: str) -> NDArray[np.bool_]:
    """When the source's ankle and toe stand, (T, 2): as it says, or low and slow as they are."""
    feet, contacts = known_contacts(motion) or ([], np.zeros((motion.num_frames, 0), bool))
    usual = rig.leg / _USUAL_LEG_M
    columns: list[NDArray[np.bool_]] = []
    for role in ("foot", "toe"):
        joint = rig.joint(f"{role}_{side}")
        if joint in feet:
            columns.append(contacts[:, feet.index(joint)])
        elif joint is None or (role == "toe" and feet):
            columns.append(columns[0])
        else:
            places = motion.posed_joints[:, joint].astype(np.float64)
            steps = np.gradient(places, axis=0) if len(places) > 1 else np.zeros_like(places)
            slow = np.linalg.norm(steps[:, ::2], axis=-1) * motion.fps < STANDING_MPS * usual
            low = places[:, 1] < places[:, 1].min() + STANDING_HEIGHT_M * usual
            columns.append(low & slow)
    return np.stack(columns, axis=1)


def _on_the_ground(motion: Motion, rig: _Rig, held: dict[str, NDArray[np.bool_]]) -> bool:
    """Whether feet that stand do so in the world: in place they slide at the speed of the walk."""
    speeds: list[float] = []
    for side, stands in held.items():
        joint = rig.bones.joints[f"foot_{side}"]
        places = motion.posed_joints[:, joint, ::2].astype(np.float64)
        still = stands[1:, 0] & stands[:-1, 0]
        steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)[still]
        speeds += (steps * motion.fps).tolist()
    return not speeds or float(np.mean(speeds)) < STANDING_MPS * rig.leg / _USUAL_LEG_M


def _sole_offsets(rig: _Rig, side: str) -> Array:
    """From the ankle to what stands: ankle and toe, (2, 3), at rest."""
    ankle = rig.rest[rig.bones.joints[f"foot_{side}"]]
    toe = rig.joint(f"toe_{side}")
    return np.stack([np.zeros(3), np.zeros(3) if toe is None else rig.rest[toe] - ankle])


def _locked(
    ankle: Array, turns: Array, rig: _Rig, side: str, held: NDArray[np.bool_], fps: float
) -> Array:
    """Hold the ankle's path (T, 3) so that what stands, ankle or toe, stays where it came down."""
    foot = rig.bones.joints[f"foot_{side}"]
    offsets = _sole_offsets(rig, side)
    shift = np.full((len(ankle), 2), np.nan)
    now: Array | None = None
    anchor, part = np.zeros(2), -1
    for frame in range(len(ankle)):
        if not held[frame].any():
            now, part = None, -1
            continue
        stands = 0 if held[frame, 0] else 1
        place = (ankle[frame] + turns[frame, foot] @ offsets[stands])[::2]
        if stands != part:
            part = stands
            anchor = place + (np.zeros(2) if now is None else now)
        now = anchor - place
        shift[frame] = now
    shift = _centred(shift)
    result = ankle.copy()
    result[:, ::2] += _let_go(shift, LET_GO_SECONDS * fps)
    # No part of the foot comes below where it is when the body stands.
    stand = rig.sole(side) + offsets[:, 1]
    heights = result[:, 1:2] + (turns[:, foot] @ offsets.T)[:, 1]
    result[:, 1] += np.maximum(stand - heights, 0).max(axis=1)
    return result


def _centred(shift: Array) -> Array:
    """Share what holding a foot costs between its start and its end."""
    result = shift.copy()
    for start, stop in _runs(~np.isnan(shift[:, 0])):
        result[start:stop] -= (shift[start:stop].max(axis=0) + shift[start:stop].min(axis=0)) / 2
    return result


def _let_go(shift: Array, frames: float) -> Array:
    """Bring shifts (T, 2) back to zero within so many frames where they are not given."""
    result = np.nan_to_num(shift)
    known = np.flatnonzero(~np.isnan(shift[:, 0]))
    if not len(known):
        return result
    for frame in np.flatnonzero(np.isnan(shift[:, 0])):
        place = int(np.searchsorted(known, frame))
        total = np.zeros(2)
        before = known[place - 1] if place > 0 else None
        after = known[place] if place < len(known) else None
        for near in (before, after):
            if near is None:
                continue
            span = frames
            if before is not None and after is not None:
                span = min(span, float(after - before))
            share = min(abs(frame - near) / span, 1.0)
            total += shift[near] * (1 - share * share * (3 - 2 * share))
        result[frame] = total
    return result


def _thigh(hips: Array, turns: Array, rig: _Rig, side: str) -> Array:
    """Where the thigh of a side is, (T, 3), as the hips carry it."""
    way, joint = [], rig.bones.joints[f"thigh_{side}"]
    while joint > 0:
        way.append(joint)
        joint = int(rig.skeleton.parents[joint])
    place = hips
    for joint in reversed(way):
        parent = int(rig.skeleton.parents[joint])
        place = place + turns[:, parent] @ (rig.rest[joint] - rig.rest[parent])
    return place


def _lengths(rig: _Rig, side: str) -> tuple[float, float]:
    thigh, shin, foot = (rig.rest[rig.bones.joints[f"{role}_{side}"]] for role in LIMBS["leg"])
    return float(np.linalg.norm(shin - thigh)), float(np.linalg.norm(foot - shin))


def _lowered(
    hips: Array, turns: Array, rig: _Rig, wanted: dict[str, Array], fps: float
) -> NDArray[np.float64]:
    """How far the hips have to come down for both feet to be reached, (T,), without a jerk."""
    drop = np.zeros(len(hips))
    for side in SIDES:
        reach = 0.9995 * MAX_REACH * sum(_lengths(rig, side))
        way = wanted[side] - _thigh(hips, turns, rig, side)
        flat = np.linalg.norm(way[:, ::2], axis=-1)
        height = np.sqrt(np.maximum(reach**2 - flat**2, 0))
        drop = np.maximum(drop, -way[:, 1] - height)
    drop = np.clip(drop, 0, 0.1 * rig.leg)
    sigma = max(0.05 * fps, 0.5)
    reach_frames = math.ceil(3 * sigma)
    window = np.exp(-0.5 * (np.arange(-reach_frames, reach_frames + 1) / sigma) ** 2)
    padded = np.pad(drop, reach_frames, mode="edge")
    # What is smoothed is the highest nearby, so that smoothing takes nothing away from it.
    near = max(1, round(sigma))
    highest = np.max([np.roll(padded, step) for step in range(-near, near + 1)], axis=0)
    smooth: Array = np.convolve(highest, window / window.sum(), mode="valid")
    return smooth


def _bend_legs(hips: Array, turns: Array, rig: _Rig, wanted: dict[str, Array]) -> None:
    """Bend the legs so that ankles get where they are wanted; feet keep their turn in the world."""
    for side in SIDES:
        thigh, shin, foot = (rig.bones.joints[f"{role}_{side}"] for role in LIMBS["leg"])
        hip = _thigh(hips, turns, rig, side)
        knee = hip + turns[:, thigh] @ (rig.rest[shin] - rig.rest[thigh])
        ankle = knee + turns[:, shin] @ (rig.rest[foot] - rig.rest[shin])
        # A knee bends to the front of its thigh; one that is straight does not tell.
        ahead = turns[:, thigh] @ rig.canonical[thigh].T @ np.array([0, 0, 1.0])
        hint = knee + 0.02 * rig.leg * ahead
        upper, lower = bend_limb(hip, knee, ankle, hint, wanted[side], _lengths(rig, side))
        fixed = {thigh: upper @ turns[:, thigh], shin: upper @ lower @ turns[:, shin]}
        fixed[foot] = turns[:, foot]
        own = {joint for joint in rig.bones.joints.values() if joint not in fixed}
        below = descendants(rig.skeleton)
        inside = set(below[foot].tolist())
        for joint in below[thigh].tolist():
            if joint in fixed:
                turns[:, joint] = fixed[joint]
            elif joint not in inside and joint not in own:
                turns[:, joint] = turns[:, rig.skeleton.parents[joint]]


def _contacts(skeleton: Skeleton, held: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_] | None:
    if min(len(skeleton.left_foot_joints), len(skeleton.right_foot_joints)) < 2:
        return None
    return np.concatenate([held[side] for side in SIDES], axis=1)


def _certificate(
    motion: Motion,
    made: Motion,
    one: _Rig,
    other: _Rig,
    wanted: dict[str, Array],
    held: dict[str, NDArray[np.bool_]],
) -> Certificate:
    usual = 1000 * _USUAL_LEG_M / other.leg
    slide = source_slide = depth = missed = bend = back = 0.0
    places = made.posed_joints.astype(np.float64)
    source = motion.posed_joints.astype(np.float64)
    angles: list[Array] = []
    facing = other.upright.T
    for side in SIDES:
        slide = max(slide, usual * _slide(places, other, side, held[side]))
        own = 1000 * _USUAL_LEG_M / one.leg
        source_slide = max(source_slide, own * _slide(source, one, side, held[side]))
        foot = other.bones.joints[f"foot_{side}"]
        missed = max(
            missed, usual * float(np.linalg.norm(places[:, foot] - wanted[side], axis=-1).max())
        )
        for role in ("foot", "toe"):
            joint = other.joint(f"{role}_{side}")
            if joint is not None:
                stand = float(other.rest[joint, 1]) - other.floor
                depth = max(depth, usual * (stand - float(places[:, joint, 1].min())))
        for limb, roles in LIMBS.items():
            directions = [_directions(places, other, roles, side)]
            directions.append([way @ facing.T for way in _directions(source, one, roles, side)])
            for ours, theirs in zip(*directions, strict=True):
                angles.append(_angle(ours, theirs))
            upper, lower = directions[0]
            bend = max(bend, float(np.degrees(_angle(upper, lower)).max()))
            if limb == "leg":
                thigh = other.bones.joints[f"thigh_{side}"]
                ahead = made.global_rot_mats[:, thigh].astype(np.float64) @ other.canonical[thigh].T
                over = np.sum(lower * (ahead @ np.array([0, 0, 1.0])), axis=-1)
                back = max(back, float(np.degrees(np.arcsin(np.clip(over, 0, 1))).max()))
    return Certificate(
        slide_mm=slide,
        source_slide_mm=source_slide,
        depth_mm=max(depth, 0.0),
        unreached_mm=missed,
        bend_deg=bend,
        back_deg=back,
        direction_deg=float(np.degrees(np.mean(angles))),
        unmapped_roles=tuple(role for role in one.bones.joints if role not in other.bones.joints),
        unmapped_bones=tuple(unmapped(other.skeleton, other.bones)),
    )


def _slide(places: Array, rig: _Rig, side: str, held: NDArray[np.bool_]) -> float:
    """How far what stands of a foot gets from the middle of where it stands, at most."""
    farthest = 0.0
    joints = (rig.joint(f"foot_{side}"), rig.joint(f"toe_{side}"))
    # The toe counts while it stands alone: below a standing ankle it may still roll.
    for joint, stands in zip(joints, (held[:, 0], held[:, 1] & ~held[:, 0]), strict=True):
        if joint is None:
            continue
        for start, stop in _runs(stands):
            there = places[start:stop, joint, ::2]
            middle = (there.max(axis=0) + there.min(axis=0)) / 2
            farthest = max(farthest, 2 * float(np.linalg.norm(there - middle, axis=-1).max()))
    return farthest


def _directions(places: Array, rig: _Rig, roles: Sequence[str], side: str) -> list[Array]:
    joints = [rig.bones.joints[f"{role}_{side}"] for role in roles]
    return [unit(places[:, lower] - places[:, upper]) for upper, lower in pairwise(joints)]


def _angle(one: Array, other: Array) -> Array:
    result: Array = np.arccos(np.clip(np.sum(one * other, axis=-1), -1, 1))
    return result


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from ((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
