"""What a model may be asked to do, in many words, each with a measure that tells if it did.

A wording marks its verbs with ``^``, as captions do. What no measure can tell, because nothing of
it is in the motion, stands in `asked`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion
from motionrt.train.default.quality import (
    both_feet_off,
    hand_speed,
    heading_change_deg,
    kick_height,
    limb_speed,
    pelvis_drop,
    pelvis_rise,
    roaming,
    root_speed,
    turning_deg,
)
from motionrt.train.default.trunk import (
    cartwheels,
    crawls,
    flips,
    rolls,
    stands_upside_down,
    trunk_axes,
)

Floats = NDArray[np.float64]
SWING_M = 0.06
"""A hand that goes less far to and fro does not wave."""


@dataclass(frozen=True)
class Deed:
    """Something to do."""

    name: str
    """As a hint says that the model knows it."""
    passes: Callable[[Motion], bool]
    wordings: tuple[str, ...]
    """Verb phrases."""


def hips(motion: Motion) -> Floats:
    """Height of the hips (T,), metres."""
    return np.asarray(motion.posed_joints[:, 0, 1], np.float64)


def travel(motion: Motion) -> Floats:
    """How far the hips get over the floor, (3,): length, forward and to the left at first."""
    path = motion.posed_joints[:, 0].astype(np.float64)
    moved = path[-1] - path[0]
    heading = _first_heading(motion)
    forward = np.array([np.sin(heading), np.cos(heading)])
    left = np.array([np.cos(heading), -np.sin(heading)])
    flat = moved[[0, 2]]
    return np.array([np.linalg.norm(flat), flat @ forward, flat @ left])


def closing(motion: Motion) -> float:
    """Distance from the first place of the hips to the last one, by the length of the way."""
    path = motion.posed_joints[:, 0, [0, 2]].astype(np.float64)
    way = root_speed(motion) * motion.seconds
    return float(np.linalg.norm(path[-1] - path[0]) / max(way, 1e-6))


def hand_heights(motion: Motion) -> Floats:
    """Height of the left and the right hand above the neck, (T, 2) metres."""
    skeleton, height = motion.skeleton, motion.posed_joints[..., 1].astype(np.float64)
    hands = [skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]]
    return np.asarray(height[:, hands] - height[:, [skeleton.index("Neck")]])


def swings(motion: Motion, side: int) -> int:
    """How often the left (0) or right (1) hand, raised, turns back on its way to and fro.

    A way counts from 6 cm, against the neck.
    """
    skeleton = motion.skeleton
    hand = (skeleton.left_hand_joints[0], skeleton.right_hand_joints[0])[side]
    raised = hand_heights(motion)[:, side] > -0.25
    places = (motion.posed_joints[:, hand] - motion.posed_joints[:, skeleton.index("Neck")])[raised]
    if len(places) < 5:
        return 0
    _, _, axes = np.linalg.svd(places - places.mean(0), full_matrices=False)
    along = places @ axes[0]
    turns, last, way = 0, along[0], 0
    for value in along:
        if abs(value - last) >= SWING_M:
            turns += way == -np.sign(value - last)
            way, last = int(np.sign(value - last)), value
        elif way and (value - last) * way > 0:
            last = value
    return turns


def waves(motion: Motion, side: int | None = None) -> bool:
    """A raised hand goes to and fro, on the spot and upright; side 0 is the left one."""
    most = max(swings(motion, hand) for hand in ((0, 1) if side is None else (side,)))
    return most >= 3 and roaming(motion) < 0.7 and bool(hips(motion).min() > 0.6)


def falls(motion: Motion) -> bool:
    """From upright to the floor, and there at the end."""
    height = hips(motion)
    return bool(height[:10].max() > 0.7 and height[-5:].mean() < 0.35)


def circles(motion: Motion) -> bool:
    """Turns 270 to 450 degrees one way and ends near to where it began."""
    return 270 <= abs(turning_deg(motion)) <= 450 and closing(motion) < 0.25


def crouched(motion: Motion) -> bool:
    """Hips lower than who walks upright has them, on average."""
    return bool(hips(motion).mean() < 0.72)


def flights(motion: Motion) -> int:
    """How often both feet leave the floor at once, for two frames at least."""
    feet = motion.posed_joints[:, list(motion.skeleton.foot_joints), 1]
    off = (feet - np.array([0.08, 0.02, 0.08, 0.02]) > 0.05).all(-1)
    long = off[1:] & off[:-1]
    return int((long[1:] & ~long[:-1]).sum() + long[:1].sum())


def _jumps(motion: Motion) -> bool:
    return both_feet_off(motion) and pelvis_rise(motion) >= 0.12


def kicks(motion: Motion, side: int) -> bool:
    """The left (0) or right (1) foot comes above the other knee, and higher than the other foot."""
    skeleton, height = motion.skeleton, motion.posed_joints[..., 1]
    feet = (skeleton.foot_joints[0], skeleton.foot_joints[2])
    foot, other = feet[side], feet[1 - side]
    above_knee = (height[:, foot] - height[:, skeleton.parents[other]]).max()
    return bool(above_knee > 0 and height[:, foot].max() > height[:, other].max())


def _hand_speeds(motion: Motion) -> Floats:
    """Speeds of the left and the right hand, (T - 1, 2) m/s."""
    hands = [motion.skeleton.left_hand_joints[0], motion.skeleton.right_hand_joints[0]]
    moved = np.diff(motion.posed_joints[:, hands].astype(np.float64), axis=0)
    return np.asarray(np.linalg.norm(moved, axis=-1) * motion.fps)


def _boxes(motion: Motion) -> bool:
    return hand_speed(motion) > 2.5 and hips(motion).min() > 0.6 and roaming(motion) < 2


def punches(motion: Motion, side: int) -> bool:
    """Boxes, and the left (0) or right (1) hand is the one that goes ahead faster."""
    hands = [motion.skeleton.left_hand_joints[0], motion.skeleton.right_hand_joints[0]]
    joints = motion.posed_joints.astype(np.float64)
    moved = np.diff(joints[:, hands] - joints[:, [motion.skeleton.index("Neck")]], axis=0)
    ahead = (moved * trunk_axes(motion)[1:, None, :, 2]).sum(-1).max(0)
    return _boxes(motion) and bool(ahead[side] > ahead[1 - side])


def throws(motion: Motion) -> bool:
    """A hand comes from behind the shoulders over them, at 3.5 m/s, on the spot."""
    skeleton, joints = motion.skeleton, motion.posed_joints.astype(np.float64)
    neck, facing = skeleton.index("Neck"), trunk_axes(motion)[..., 2]
    back = round(0.5 * motion.fps)
    for side, hand in enumerate((skeleton.left_hand_joints[0], skeleton.right_hand_joints[0])):
        behind = ((joints[:, hand] - joints[:, neck]) * facing).sum(-1) < -0.05
        fast = (_hand_speeds(motion)[:, side] > 3.5) & (hand_heights(motion)[1:, side] > -0.1)
        for frame in np.flatnonzero(fast) + 1:
            if behind[max(0, frame - back) : frame].any() and not behind[frame]:
                return roaming(motion) < 2
    return False


def arms_up(motion: Motion) -> bool:
    """Both hands are above the neck at once for half a second, on the spot."""
    up = (hand_heights(motion) > 0).all(1)
    return bool(up.sum() >= 0.5 * motion.fps and roaming(motion) < 1)


def _down_on_the_spot(motion: Motion) -> bool:
    return bool(hips(motion).min() < 0.65 and roaming(motion) < 0.5)


def squats(motion: Motion) -> bool:
    """Goes down and up again twice or more, on the spot."""
    low = hips(motion) < 0.65
    return bool((low[1:] & ~low[:-1]).sum() >= 2) and _down_on_the_spot(motion)


def kneels(motion: Motion) -> bool:
    """Has a knee on the floor for half a second, the trunk upright above it, on the spot."""
    skeleton, height = motion.skeleton, motion.posed_joints[..., 1]
    knees = [skeleton.parents[skeleton.foot_joints[at]] for at in (0, 2)]
    trunk = (height[:, skeleton.index("Neck")] > height[:, 0] + 0.15) & (height[:, 0] > 0.3)
    down = (height[:, knees].min(1) < 0.15) & trunk
    return bool(down.sum() >= 0.5 * motion.fps) and _down_on_the_spot(motion)


def lies(motion: Motion) -> bool:
    """Ends with hips and neck on the floor."""
    height = motion.posed_joints[-5:, :, 1].mean(0)
    return bool(max(height[0], height[motion.skeleton.index("Neck")]) < 0.4)


def _on_the_back(motion: Motion) -> bool:
    return bool(trunk_axes(motion)[-5:, 1, 2].mean() > 0.5)


def sits_on_floor(motion: Motion) -> bool:
    """Ends with the hips on the floor and the neck well above them."""
    height = motion.posed_joints[-5:, :, 1].mean(0)
    return bool(height[0] < 0.3 and height[motion.skeleton.index("Neck")] > height[0] + 0.3)


def stops(motion: Motion) -> bool:
    """Walks some way and stands in the end."""
    last = round(0.5 * motion.fps)
    moved = motion.posed_joints[-1, 0, [0, 2]] - motion.posed_joints[-1 - last, 0, [0, 2]]
    still = float(np.linalg.norm(moved)) * motion.fps / last < 0.2
    return still and travel(motion)[1] > 0.8 and hips(motion).min() > 0.6


def _straight(motion: Motion, most_deg: float = 40) -> bool:
    return abs(heading_change_deg(motion)) < most_deg


def _walking(motion: Motion) -> bool:
    return 0.25 < root_speed(motion) < 2.1 and hips(motion).min() > 0.6


def _first_heading(motion: Motion) -> float:
    return float(hip_heading(motion.posed_joints[:5], motion.skeleton).mean())


def _upright(motion: Motion) -> bool:
    return bool(hips(motion).min() > 0.7)


def _hand_to_head(motion: Motion) -> bool:
    skeleton = motion.skeleton
    hands = [skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]]
    head = motion.posed_joints[:, [skeleton.index("Head")]]
    near = np.linalg.norm(motion.posed_joints[:, hands] - head, axis=-1).min(1)
    return bool((near < 0.3).mean() > 0.1 and _upright(motion))


def _hands_together(motion: Motion) -> bool:
    skeleton = motion.skeleton
    left, right = skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]
    gap = np.linalg.norm(motion.posed_joints[:, left] - motion.posed_joints[:, right], axis=-1)
    closing_in = (gap[1:] < 0.2) & (gap[:-1] >= 0.2)
    return bool(closing_in.sum() >= 3 and roaming(motion) < 1)


def _stands_up(motion: Motion) -> bool:
    height = hips(motion)
    return bool(height[:10].min() < 0.72 and height[-5:].mean() > 0.8)


def bows(motion: Motion) -> bool:
    """Bends forward by 30 degrees on straight legs, where they stand."""
    axes = trunk_axes(motion)
    tilt = np.degrees(np.arccos(np.clip(axes[:, 1, 1], -1, 1)))
    bent = (tilt > tilt[:5].mean() + 30) & (axes[:, 1, 2] < -0.4)
    return bool(bent.any() and hips(motion).min() > 0.75 and roaming(motion) < 0.7)


def _to_the(side: str) -> tuple[str, ...]:
    return (
        f"^walk and ^turn {side}", f"^turn {side} while walking", f"^walk in a curve to the {side}",
        f"^walk forward and ^turn to the {side}", f"^curve to the {side}",
        f"^walk around a corner to the {side}", f"^make a {side} turn while walking",
        f"^veer {side}", f"^take a {side} turn", f"^walk along a curve to the {side}",
        f"^stroll and ^turn {side}", f"^march forward and ^turn {side}",
        f"^walk forward and then ^turn {side}", f"^walk and then ^turn to the {side}",
        f"^walk straight and then ^go {side}", f"^take a {side} while walking", f"^walk {side}",
        f"^walk to the {side}", f"^bear {side}", f"^go around a corner to the {side}",
        f"^walk ahead, then ^turn {side}", f"^make a {side} turn",
        f"^keep walking and ^turn {side}",
    )  # fmt: skip


DEEDS = (
    Deed(
        "walking (forward, backwards, slowly, quickly, with turns)",
        lambda m: _walking(m) and _straight(m) and travel(m)[1] > 0.8,
        (
            "^walk", "^walk forward", "^walk ahead", "^walk straight", "^stroll", "^march",
            "^stride ahead", "^step forward", "^pace forward", "^walk normally", "^walk casually",
            "^walk straight ahead", "^take a walk", "^go for a walk", "^wander", "^move forward",
            "^amble along", "^walk at a steady pace", "^walk in a straight line", "^go ahead",
            "^walk calmly", "^saunter", "^walk along the street", "^walk across the room",
            "^walk down the street", "^trudge", "^advance", "^hike", "^walk happily",
            "^walk naturally", "^walk to the door", "^walk away",
            "^go for a stroll", "^start walking", "^keep walking", "^walk on", "^walk along",
            "^march like a soldier", "^roam", "^walk around", "^walk home",
            "^walk forward with steady steps", "^walk down the hall", "^walk through the park",
            "^walk towards the camera", "^come closer", "^approach", "^proceed forward",
        ),
    ),
    Deed("", stops, ("^walk and ^stop", "^walk, then ^stop", "^stop walking")),
    Deed(
        "",
        lambda m: 0.1 < root_speed(m) < 1.0 and _straight(m, 50) and _upright(m),
        (
            "^walk slowly", "^walk forward slowly", "^stroll slowly", "^walk very slowly",
            "slowly ^walk ahead", "^walk at a slow pace", "^plod along", "^walk leisurely",
            "^walk without hurry", "^stroll at a leisurely pace", "^walk with slow steps",
            "^walk gently", "^walk lazily", "^walk unhurriedly", "^take slow steps",
            "^move slowly forward", "^walk in no hurry",
        ),
    ),
    Deed(
        "",
        lambda m: 1.3 < root_speed(m) < 3.0 and _straight(m, 50) and _upright(m),
        (
            "^walk quickly", "^walk fast", "^walk briskly", "^hurry along", "^walk in a hurry",
            "^walk very fast", "quickly ^walk forward", "^power walk", "^rush ahead on foot",
            "^walk at a brisk pace", "^stride quickly", "^hurry on foot",
            "^walk rapidly", "^walk swiftly", "^take quick steps", "^march quickly", "^hurry",
            "^rush", "^hasten along", "^walk hurriedly",
        ),
    ),
    Deed(
        "",
        lambda m: _walking(m) and travel(m)[1] < -0.5,
        (
            "^walk backward", "^walk backwards", "^step back", "^move backwards", "^back away",
            "^back up", "^walk backwards slowly", "^go backward", "^step backwards", "^retreat",
            "^take a step back", "^take a few steps back", "^walk in reverse",
        ),
    ),
    Deed(
        "",
        lambda m: _walking(m) and heading_change_deg(m) >= 45,
        _to_the("left"),
    ),
    Deed(
        "",
        lambda m: _walking(m) and heading_change_deg(m) <= -45,
        _to_the("right"),
    ),
    Deed(
        "walking in circles",
        lambda m: _walking(m) and circles(m),
        (
            "^walk in a circle", "^walk in circles", "^walk around in a circle", "^walk a circle",
            "^go around in a circle", "^pace in circles", "^stroll in a circle",
            "^walk in a big circle", "^walk a full circle", "^circle around", "^walk in a loop",
            "^walk a lap", "^make a circle while walking", "^walk slowly in a circle",
            "^wander in circles", "^walk round in a circle",
        ),
    ),
    Deed(
        "",
        lambda m: _walking(m) and circles(m) and turning_deg(m) > 0,
        ("^walk in a circle to the left", "^walk in a counterclockwise circle"),
    ),
    Deed(
        "",
        lambda m: _walking(m) and circles(m) and turning_deg(m) < 0,
        (
            "^walk in a circle to the right", "^walk clockwise in a circle",
            "^walk in a clockwise circle",
        ),
    ),
    Deed(
        "running",
        lambda m: root_speed(m) > 2.0 and _straight(m),
        (
            "^run", "^run forward", "^jog", "^sprint", "^run fast", "^run ahead", "^jog forward",
            "^run straight", "^dash forward", "^run quickly", "^race ahead", "^go for a run",
            "^jog slowly", "^run at full speed", "^run as fast as possible", "^run away",
            "^run down the street", "^run across the field", "^trot along",
            "^run along", "^run home", "^go jogging", "^race forward", "^run for help",
            "^run at high speed", "^run in a straight line", "^start running", "^keep running",
            "^rush forward running", "^dash",
        ),
    ),
    Deed(
        "",
        lambda m: root_speed(m) > 1.8 and circles(m),
        ("^run in a circle", "^run in circles", "^jog in a circle", "^run around in a circle"),
    ),
    Deed(
        "turning",
        lambda m: roaming(m) < 1.2 and heading_change_deg(m) >= 45,
        (
            "^turn left", "^turn to the left", "^turn left on the spot", "^rotate to the left",
            "^turn left in place", "^pivot to the left",
        ),
    ),
    Deed(
        "",
        lambda m: roaming(m) < 1.2 and heading_change_deg(m) <= -45,
        (
            "^turn right", "^turn to the right", "^turn right on the spot", "^rotate to the right",
            "^turn right in place", "^pivot to the right",
        ),
    ),
    Deed(
        "",
        lambda m: abs(heading_change_deg(m)) >= 120,
        ("^turn around", "^turn around on the spot", "^walk and ^turn around"),
    ),
    Deed(
        "standing",
        lambda m: root_speed(m) < 0.15 and _upright(m) and limb_speed(m) < 0.35,
        (
            "^stand", "^stand still", "^wait", "^stand in place", "^stay still", "^do nothing",
            "^remain motionless", "^hold still", "^stand upright", "^stand without moving",
            "^wait patiently", "^stay where they are", "^idle", "^stand around", "^pause",
            "^freeze", "^keep still", "^stand quietly", "^be still",
            "^stand on the spot", "^stay in place", "^rest while standing", "^stay put",
            "^remain standing", "^stand calmly", "^wait for the bus", "^stand and ^wait",
        ),
    ),
    Deed(
        "",
        arms_up,
        (
            "^raise the arms", "^hold the arms up", "^raise both arms", "^raise both hands",
            "^lift the arms", "^stand with raised arms", "^put the hands up",
        ),
    ),
    Deed(
        "jumping",
        _jumps,
        (
            "^jump", "^jump up", "^leap", "^jump into the air", "^hop", "^jump high", "^do a jump",
            "^leap up", "^jump with both feet", "^spring up", "^make a jump", "^jump vertically",
            "^crouch and ^jump",
        ),
    ),
    Deed(
        "",
        lambda m: _jumps(m) and roaming(m) < 0.7,
        ("^jump on the spot", "^jump in place"),
    ),
    Deed(
        "",
        lambda m: _jumps(m) and flights(m) >= 2,
        (
            "^jump up and down", "^jump several times", "^bounce up and down", "^hop up and down",
            "^jump repeatedly", "^jump again and again",
        ),
    ),
    Deed("", lambda m: _jumps(m) and flights(m) == 1, ("^jump once", "^jump a single time")),
    Deed(
        "",
        lambda m: both_feet_off(m) and travel(m)[1] > 0.4,
        ("^jump forward", "^leap forward", "^jump ahead"),
    ),
    Deed(
        "kicking",
        lambda m: kick_height(m) > 0,
        (
            "^kick", "^kick high", "^do a kick", "^kick a ball", "^perform a high kick",
            "^kick something", "^kick into the air", "^do a karate kick", "^kick forward",
            "^throw a kick", "^give a kick", "^raise a leg and ^kick", "^kick a soccer ball",
            "^kick the air", "^practice kicks",
        ),
    ),
    Deed(
        "",
        lambda m: kicks(m, 1),
        ("^kick with the right leg", "^kick with the right foot", "^do a kick with the right leg"),
    ),
    Deed(
        "",
        lambda m: kicks(m, 0),
        ("^kick with the left leg", "^kick with the left foot", "^do a kick with the left leg"),
    ),
    Deed(
        "boxing",
        _boxes,
        (
            "^box", "^punch", "^throw punches", "^throw a punch", "^fight with the fists",
            "shadow ^box", "^punch the air", "^practice boxing", "^throw jabs", "^fight",
            "^fight like a boxer", "^box against the air", "^hit with the fist", "^do boxing",
            "^train boxing", "^strike with the fists", "^punch several times", "^spar",
            "^throw an uppercut", "^hit a punching bag",
        ),
    ),
    Deed(
        "",
        lambda m: punches(m, 1),
        ("^punch with the right hand", "^throw a right jab", "^box with the right hand"),
    ),
    Deed(
        "",
        lambda m: punches(m, 0),
        ("^punch with the left hand", "^throw a left hook", "^box with the left hand"),
    ),
    Deed(
        "dancing",
        lambda m: limb_speed(m) > 0.25 and roaming(m) < 2.0 and _upright(m),
        (
            "^dance", "^dance around", "^dance happily", "^perform a dance", "^dance to music",
            "^dance salsa", "^do a dance", "^move to the music", "^dance slowly",
            "^dance with energy", "^dance on the spot",
            "^dance wildly", "^dance at a party", "^show some dance moves", "^start dancing",
            "^move in rhythm", "^dance gracefully", "^dance a few steps", "^do a few dance steps",
            "^take some steps of a dance", "^do a bit of dancing",
        ),
    ),
    Deed(
        "sitting down",
        lambda m: pelvis_drop(m) >= 0.25 and hips(m)[-5:].mean() > 0.1,
        (
            "^sit down", "^sit", "^sit on a chair", "^take a seat", "^sit down on a chair",
            "^have a seat", "^sit down slowly", "^sit down on a bench", "^sit on a stool",
            "^sink into a chair", "^get seated",
            "^lower down to sit", "^settle into a seat", "^plop down on a chair",
            "^sit down on a couch", "^sit on a sofa", "^sit down on a stool", "^drop into a chair",
            "^sit on a bench", "^go to sit down", "^sit in a chair", "^sit down in a recliner",
            "^sit on a crate", "^sit down on a log", "^sit on a rock", "^sit at a desk",
            "^sit down on a footstool", "^sit in a pew", "^sit down in a rocking chair",
        ),
    ),
    Deed(
        "",
        sits_on_floor,
        (
            "^sit down on the floor", "^sit on the ground", "^sit down on the ground",
            "^sit on the floor",
        ),
    ),
    Deed(
        "standing up",
        _stands_up,
        (
            "^stand up", "^get up", "^rise from a chair", "^stand up from a chair", "^rise",
            "^get up from a seat", "^get to the feet", "^stand up from sitting",
            "^rise to the feet", "^get up from the chair", "^stand up slowly",
        ),
    ),
    Deed(
        "waving",
        waves,
        (
            "^wave", "^wave hello", "^wave goodbye", "^wave a hand", "^wave at someone",
            "^greet someone with a wave",
            "^raise a hand and ^wave", "^wave to a friend", "^say hello", "^wave an arm",
            "^wave happily", "^say goodbye", "^wave to the crowd",
            "^wave at the camera", "^wave with one hand", "^wave hi", "^give a wave",
        ),
    ),
    Deed("", lambda m: waves(m, 0), ("^wave with the left hand", "^wave the left arm")),
    Deed("", lambda m: waves(m, 1), ("^wave with the right hand", "^wave the right arm")),
    Deed(
        "falling",
        falls,
        (
            "^fall", "^fall down", "^fall over", "^fall to the ground", "^collapse", "^faint",
            "^fall on the floor", "^drop to the floor", "^die",
            "^lose balance and ^fall", "^pass out",
            "^drop dead", "^topple over", "^collapse on the floor", "^tumble to the ground",
            "^fall down dead", "^slump to the ground",
        ),
    ),
    Deed(
        "",
        lambda m: falls(m) and _on_the_back(m),
        ("^fall backwards", "^fall on the back", "^fall over backwards"),
    ),
    Deed(
        "sneaking in a crouch",
        lambda m: crouched(m) and travel(m)[1] > 0.8,
        (
            "^sneak", "^sneak forward", "^walk in a crouch", "^walk crouched", "^sneak around",
            "^crouch and ^walk", "^walk with bent knees", "^walk while crouching",
            "^move forward in a crouch", "^walk low to the ground", "^move stealthily",
            "^sneak past", "^sneak quietly", "^walk stealthily", "^creep forward in a crouch",
            "^duck and ^walk",
        ),
    ),
    Deed(
        "crouching",
        _down_on_the_spot,
        ("^crouch", "^crouch down", "^squat", "^squat down", "^duck"),
    ),
    Deed("", squats, ("^do squats", "^squat several times")),
    Deed("", kneels, ("^kneel", "^kneel down", "^drop to the knees")),
    Deed(
        "",
        lambda m: _walking(m) and abs(travel(m)[2]) > 0.5 and abs(travel(m)[1]) < 0.7,
        (
            "^sidestep", "^step to the left", "^step sideways to the right", "^walk sideways",
            "^sidestep to the left", "^walk sideways to the left", "^step to the side",
            "^shuffle to the right",
        ),
    ),
    Deed(
        "throwing",
        throws,
        (
            "^throw a ball", "^throw something", "^throw", "^throw a stone", "^toss a ball",
            "^hurl something", "^throw an object with the right hand", "^pitch a ball",
        ),
    ),
    Deed(
        "drinking",
        _hand_to_head,
        (
            "^drink", "^drink from a bottle", "^drink water", "^drink something", "^sip a drink",
            "^take a drink", "^drink a cup of coffee",
        ),
    ),
    Deed(
        "clapping",
        _hands_together,
        ("^clap", "^clap the hands", "^applaud", "^stand and ^clap"),
    ),
    Deed(
        "cheering",
        arms_up,
        ("^cheer", "^celebrate", "^cheer with both arms", "^jump for joy"),
    ),
    Deed(
        "bowing",
        bows,
        ("^bow", "^take a bow", "^bow politely", "^bend forward", "^bend over"),
    ),
    Deed(
        "getting up from the floor",
        lambda m: bool(hips(m)[:10].min() < 0.4 and hips(m)[-5:].mean() > 0.8),
        ("^get up from the floor", "^get up off the ground", "^rise from the ground"),
    ),
    Deed(
        "lying",
        lies,
        ("^lie down", "^lie on the floor", "^sleep on the floor", "^lie down on the ground"),
    ),
    Deed(
        "",
        lambda m: lies(m) and _on_the_back(m),
        ("^lie on the back", "^lie down on the back"),
    ),
    Deed(
        "rolling",
        rolls,
        (
            "^roll", "^roll forward", "^do a forward roll", "^tumble", "^roll on the ground",
            "^do a somersault", "^turn somersaults", "^roll over",
        ),
    ),
    Deed(
        "turning cartwheels",
        cartwheels,
        ("^do a cartwheel", "^turn cartwheels", "^cartwheel", "^do several cartwheels"),
    ),
    Deed(
        "",
        stands_upside_down,
        ("^do a handstand", "^stand on the hands", "^do a headstand", "^stand on the head"),
    ),
    Deed(
        "",
        flips,
        ("^do a backflip", "^do a front flip", "^flip backwards", "^backflip", "^do a flip"),
    ),
    Deed(
        "crawling",
        crawls,
        (
            "^crawl", "^crawl forward", "^crawl on all fours", "^crawl on the belly",
            "^crawl on the floor", "^crawl on hands and knees",
        ),
    ),
    Deed(
        "climbing stairs",
        lambda m: bool(hips(m)[-5:].mean() - hips(m)[:5].mean() > 0.5),
        (
            "^climb stairs", "^walk up stairs", "^go upstairs", "^climb a ladder", "^walk upstairs",
            "^climb up a wall", "^walk up the steps", "^step onto a box", "^climb a tree",
            "^ascend a staircase",
        ),
    ),
    Deed(
        "walking downstairs",
        lambda m: bool(hips(m)[-5:].mean() - hips(m)[:5].mean() < -0.5) and not falls(m),
        ("^walk down stairs", "^go downstairs", "^descend a staircase", "^climb down a ladder"),
    ),
    Deed(
        "walking a figure eight",
        lambda m: False,
        (
            "^walk in a figure eight", "^walk in a zigzag", "^walk in an s shape",
            "^walk in a square",
        ),
    ),
    Deed(
        "walking, then sitting",
        lambda m: travel(m)[0] > 0.8 and pelvis_drop(m) >= 0.25,
        (
            "^walk and ^sit down", "^walk, then ^sit", "^walk to a chair and ^sit down",
            "^run and ^fall", "^walk and then ^fall down",
        ),
    ),
)  # fmt: skip
"""A deed without a name is a part of the one before it."""
