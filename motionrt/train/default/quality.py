"""Judge motions by numbers: does a walk walk, are its feet still, does nothing break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.heading import hip_heading
from motionrt.runtime.body.motion import Motion

Array = NDArray[np.float32]

MAX_DRIFT_MPS = 0.15
"""Mean speed of feet that are in contact."""
MIN_CONTACTS = 0.15
"""Share of contacts under which drift says nothing; recorded walks have 0.3 to 0.5."""
MAX_DEPTH_M = 0.03
"""Mean depth of any joint under the floor."""
MAX_JOINT_SPEED_MPS = 14.0
"""A fast kick or throw; nothing on a body moves faster for a frame."""
MAX_JERK_RATIO = 2.0
"""Mean jerk against that of recordings of the same action."""
MIN_SHARE = 0.9
"""Share of seeds that must pass."""


@dataclass(frozen=True)
class Check:
    """One prompt of the table, and what its motions must do."""

    prompt: str
    what: str
    passes: Callable[[Motion], bool]
    data_jerk: float
    """Mean jerk in m/s³ of recordings of this action, all joints, at 20 frames a second."""
    min_contacts: float = MIN_CONTACTS
    """Least share of contacts; feet that never stand are not still."""


@dataclass(frozen=True)
class Result:
    """How the motions of one prompt did; shares are of seeds."""

    prompt: str
    passed: float
    feet_still: float
    above_floor: float
    finite: float
    speed_human: float
    smooth: float
    median_speed: float
    median_drift: float
    median_jerk: float

    @property
    def ok(self) -> bool:
        """Whether every share reaches what is asked."""
        shares = (self.passed, self.feet_still, self.above_floor, self.speed_human, self.smooth)
        return self.finite == 1.0 and min(shares) >= MIN_SHARE


def root_speed(motion: Motion) -> float:
    """Travel of the hips over the floor by time, m/s, their sway left out."""
    path = motion.posed_joints[:, 0, [0, 2]].astype(np.float64)
    width = max(1, int(0.4 * motion.fps))
    kernel = np.ones(width) / width
    smooth = np.stack([np.convolve(axis, kernel, "valid") for axis in path.T], axis=-1)
    if len(smooth) < 2:
        return 0.0
    return float(np.linalg.norm(np.diff(smooth, axis=0), axis=-1).mean() * motion.fps)


def heading_change_deg(motion: Motion) -> float:
    """Turning from the first to the last half second, left positive."""
    heading = np.unwrap(hip_heading(motion.posed_joints, motion.skeleton))
    edge = max(1, int(0.5 * motion.fps))
    return float(np.degrees(heading[-edge:].mean() - heading[:edge].mean()))


def turning_deg(motion: Motion) -> float:
    """Turning from the first to the last frame, left positive: a circle is 360 degrees."""
    heading = np.unwrap(hip_heading(motion.posed_joints, motion.skeleton))
    edge = max(1, int(0.1 * motion.fps))
    return float(np.degrees(heading[-edge:].mean() - heading[:edge].mean()))


def standing(motion: Motion) -> NDArray[np.bool_]:
    """Say for each frame whether the left and the right foot stand, (T, 2): low and slow."""
    feet = list(motion.skeleton.foot_joints)
    joints = motion.posed_joints[:, feet]
    speed = np.linalg.norm(np.gradient(joints, axis=0), axis=-1) * motion.fps
    down = (speed < 0.6) & (joints[..., 1] < np.array([0.13, 0.07, 0.13, 0.07]))
    return np.stack([down[:, :2].any(-1), down[:, 2:].any(-1)], axis=-1)


def steps(motion: Motion) -> list[tuple[int, int]]:
    """List the moments at which a foot comes down: (frame, 0 left or 1 right)."""
    found = []
    down = standing(motion)
    for side in (0, 1):
        flags = _without_gaps(down[:, side], 2)
        edges = np.flatnonzero(np.diff(flags.astype(np.int8)) == 1) + 1
        found += [(int(edge), side) for edge in edges]
    return sorted(found)


def alternation(motion: Motion) -> float:
    """Share of steps that follow a step of the other foot."""
    sides = [side for _, side in steps(motion)]
    if len(sides) < 2:
        return 0.0
    return float(np.mean([a != b for a, b in pairwise(sides)]))


def foot_drift(motion: Motion) -> float:
    """Mean horizontal speed of foot joints that the motion says are in contact, m/s."""
    contacts = motion.foot_contacts
    feet = list(motion.skeleton.foot_joints)
    velocity = np.diff(motion.posed_joints[:, feet][..., [0, 2]], axis=0) * motion.fps
    if contacts is None or contacts.shape[1] != len(feet):
        down = standing(motion)
        contacts = np.repeat(down, 2, axis=1)
    both = contacts[1:] & contacts[:-1]
    if not both.any():
        return 0.0
    return float(np.linalg.norm(velocity, axis=-1)[both].mean())


def contact_share(motion: Motion) -> float:
    """Share of foot joints and frames that the motion says are in contact."""
    contacts = motion.foot_contacts
    return float(np.mean(standing(motion) if contacts is None else contacts))


def depth(motion: Motion) -> float:
    """Mean depth under the floor of the joint that lies deepest, metres."""
    return float(np.maximum(0, -motion.posed_joints[..., 1]).mean(0).max())


def max_joint_speed(motion: Motion) -> float:
    """Highest speed of any joint, m/s."""
    return float(np.linalg.norm(np.diff(motion.posed_joints, axis=0), axis=-1).max() * motion.fps)


def mean_jerk(motion: Motion) -> float:
    """Mean size of the third derivative of all joints, m/s³."""
    third = np.diff(motion.posed_joints.astype(np.float64), n=3, axis=0) * motion.fps**3
    return float(np.linalg.norm(third, axis=-1).mean())


def hand_speed(motion: Motion) -> float:
    """Highest speed of a hand, m/s."""
    hands = [motion.skeleton.left_hand_joints[0], motion.skeleton.right_hand_joints[0]]
    moves = np.diff(motion.posed_joints[:, hands], axis=0)
    return float(np.linalg.norm(moves, axis=-1).max() * motion.fps)


def kick_height(motion: Motion) -> float:
    """Highest a foot comes above the other knee, metres."""
    skeleton, height = motion.skeleton, motion.posed_joints[..., 1]
    left, right = skeleton.foot_joints[0], skeleton.foot_joints[2]
    left_knee, right_knee = skeleton.parents[left], skeleton.parents[right]
    above = np.maximum(
        height[:, left] - height[:, right_knee], height[:, right] - height[:, left_knee]
    )
    return float(above.max())


def limb_speed(motion: Motion) -> float:
    """Mean speed of hands and feet against the hips, m/s."""
    skeleton = motion.skeleton
    limbs = [
        skeleton.left_hand_joints[0],
        skeleton.right_hand_joints[0],
        skeleton.foot_joints[0],
        skeleton.foot_joints[2],
    ]
    relative = motion.posed_joints[:, limbs] - motion.posed_joints[:, :1]
    return float(np.linalg.norm(np.diff(relative, axis=0), axis=-1).mean() * motion.fps)


def roaming(motion: Motion) -> float:
    """Farthest the hips come from where they started, metres over the floor."""
    path = motion.posed_joints[:, 0, [0, 2]]
    return float(np.linalg.norm(path - path[:1], axis=-1).max())


def pelvis_rise(motion: Motion) -> float:
    """Highest hips above their usual height, metres."""
    height = motion.posed_joints[:, 0, 1]
    return float(height.max() - np.median(height))


def pelvis_drop(motion: Motion) -> float:
    """Deepest fall of the hips below where they were before, metres."""
    height = motion.posed_joints[:, 0, 1]
    return float((np.maximum.accumulate(height) - height).max())


def both_feet_off(motion: Motion) -> bool:
    """Whether both feet leave the floor at once, for two frames at least."""
    feet = motion.posed_joints[:, list(motion.skeleton.foot_joints), 1]
    off = (feet - np.array([0.08, 0.02, 0.08, 0.02]) > 0.05).all(-1)
    return bool((off[1:] & off[:-1]).any())


def walks(motion: Motion) -> bool:
    """0.7 to 1.8 m/s, straight, alternating feet, at least 1.2 steps a second."""
    pace = len(steps(motion)) / motion.seconds
    return (
        0.7 <= root_speed(motion) <= 1.8
        and abs(heading_change_deg(motion)) < 30
        and alternation(motion) >= 0.75
        and pace >= 1.2
    )


CHECKS = (
    Check("a person walks forward", "0.7-1.8 m/s, straight, alternating steps", walks, 71),
    # Recorded runs touch the floor too shortly: nine in ten have hardly a contact.
    Check("a person runs forward", "over 2.0 m/s", lambda m: root_speed(m) > 2.0, 270, 0.0),
    Check("a person walks slowly", "under 1.0 m/s", lambda m: 0.1 < root_speed(m) < 1.0, 42),
    Check("a person walks quickly", "over 1.3 m/s", lambda m: root_speed(m) > 1.3, 120),
    Check(
        "a person walks and turns left",
        "45 degrees or more to the left",
        lambda m: heading_change_deg(m) >= 45,
        116,
    ),
    Check(
        "a person walks and turns right",
        "45 degrees or more to the right",
        lambda m: heading_change_deg(m) <= -45,
        116,
    ),
    Check("a person stands still", "under 0.15 m/s", lambda m: root_speed(m) < 0.15, 16),
    Check(
        "a person jumps",
        "both feet off the floor, hips rise 0.12 m",
        lambda m: both_feet_off(m) and pelvis_rise(m) >= 0.12,
        120,
    ),
    Check("someone kicks", "a foot above the other knee", lambda m: kick_height(m) > 0, 150),
    Check("someone boxes", "a hand over 2.5 m/s", lambda m: hand_speed(m) > 2.5, 100),
    Check(
        "someone dances",
        "limbs move, hips stay within 2 m",
        lambda m: limb_speed(m) > 0.25 and roaming(m) < 2.0,
        120,
    ),
    Check("someone sits down", "hips fall 0.25 m", lambda m: pelvis_drop(m) >= 0.25, 50),
)
"""The prompts that the default is judged by."""

OTHER_WORDINGS = {
    "a person walks forward": ("a man strolls ahead", "someone is walking straight", "she walks"),
    "a person runs forward": ("a man jogs", "the character runs ahead", "someone is running"),
    "a person walks slowly": (
        "a man strolls at a leisurely pace",
        "someone is walking very slowly",
    ),
    "a person walks quickly": ("a woman walks briskly", "the man hurries along on foot"),
    "a person walks and turns left": (
        "someone walks in a curve to the left",
        "a man walks forward, then turns to the left",
    ),
    "a person walks and turns right": (
        "someone walks in a curve to the right",
        "a man walks forward, then turns to the right",
    ),
    "a person stands still": ("someone stands motionless", "a man is standing", "she waits"),
    "a person jumps": ("a man leaps into the air", "someone hops up", "the person is jumping"),
    "someone kicks": ("a fighter kicks high", "a man kicks with the right leg", "she is kicking"),
    "someone boxes": ("a boxer throws punches", "a man is boxing", "a person fights with fists"),
    "someone dances": ("a woman is dancing", "the person performs a dance", "he dances to music"),
    "someone sits down": (
        "a man takes a seat",
        "she sits on a chair",
        "the person is sitting down",
    ),
}
"""The same in words that captions do not, or hardly, hold: what a user would type."""


def judge(check: Check, motions: Sequence[Motion]) -> Result:
    """Judge the motions of one prompt."""

    def share(test: Callable[[Motion], bool]) -> float:
        return float(np.mean([test(motion) for motion in motions]))

    def median(value: Callable[[Motion], float]) -> float:
        return float(np.median([value(motion) for motion in motions]))

    return Result(
        prompt=check.prompt,
        passed=share(check.passes),
        feet_still=share(
            lambda m: contact_share(m) >= check.min_contacts and foot_drift(m) < MAX_DRIFT_MPS
        ),
        above_floor=share(lambda m: depth(m) <= MAX_DEPTH_M),
        finite=share(lambda m: bool(np.isfinite(m.posed_joints).all())),
        speed_human=share(lambda m: max_joint_speed(m) < MAX_JOINT_SPEED_MPS),
        smooth=share(lambda m: mean_jerk(m) <= MAX_JERK_RATIO * check.data_jerk),
        median_speed=median(root_speed),
        median_drift=median(foot_drift),
        median_jerk=median(mean_jerk),
    )


def _without_gaps(flags: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Fill gaps shorter than width, then drop runs shorter than width."""
    result = flags.copy()
    for value in (False, True):
        edges = np.flatnonzero(np.diff(result.astype(np.int8))) + 1
        for start, stop in pairwise(edges):
            if result[start] == value and stop - start < width:
                result[start:stop] = not value
    return result
