"""A walk to test with whose stride is known, on one of our skeletons."""

import math
from functools import lru_cache

import numpy as np

import motionrt
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import headings
from motionrt.runtime.body.rotation import euler_to_matrix, rotation_about_y
from motionrt.runtime.body.skeleton import load_skeleton

STRIDE_SECONDS = 1.1
SPEED_MPS = 1.3


def striding(
    seconds: float = 4.0,
    fps: float = 30,
    skeleton: str = "cmu22",
    turn_radps: float = 0.0,
    drift: float = 0.0,
    phase: float = 0.0,
    heading: float = 0.0,
) -> Motion:
    """Swing limbs from the hips; drift makes every pose a little different from the last round's.

    A foot stands while its leg swings back.
    """
    body = load_skeleton(skeleton)
    time = np.arange(round(seconds * fps)) / fps
    angle = 2 * math.pi * (time / STRIDE_SECONDS) + phase
    turns = np.zeros((len(time), body.num_joints, 3))
    for side, sign in (("Left", 1), ("Right", -1)):
        swing = sign * np.sin(angle)
        turns[:, body.index(f"{side}UpLeg"), 0] = -0.5 * swing
        turns[:, body.index(f"{side}Leg"), 0] = 0.4 * (1 + sign * np.cos(angle))
        turns[:, body.index(f"{side}Arm"), 1] = 0.4 * swing
    turns[:, body.index("Spine"), 2] = 0.05 * np.sin(angle) + drift * time
    turns[:, 0, 1] = 0.08 * np.sin(angle)
    local = np.asarray(euler_to_matrix(turns, "XYZ"))
    facing = heading + turn_radps * time
    local[:, 0] = rotation_about_y(facing) @ local[:, 0]
    root = np.zeros((len(time), 3))
    step = SPEED_MPS / fps * np.stack([np.sin(facing), np.cos(facing)], axis=-1)
    root[1:, ::2] = np.cumsum(step[1:], axis=0)
    root[:, 1] = 0.95 + 0.02 * np.cos(2 * angle) + drift * time / 5
    back = [sign * np.cos(angle) < 0 for sign in (1, -1)]
    contacts = np.stack([back[0], back[0], back[1], back[1]], axis=1)
    return Motion.from_local(local, root, body, fps, foot_contacts=contacts)


@lru_cache(maxsize=2)
def walk_of_default(prompt: str = "a person walks forward") -> Motion:
    """A real walk, of the embedded default; do not write to it."""
    return motionrt.load().generate(prompt, seconds=3, seed=3)


def gliding() -> Motion:
    """A body that glides 0.9 m while its feet are said to stand: no leg is as long."""
    walk = striding(seconds=3)
    root = walk.root_positions * np.array([0, 1, 0.25], np.float32)
    stands = np.ones((90, 4), bool)
    still = np.repeat(walk.local_rot_mats[:1], 90, axis=0)
    return Motion.from_local(still, root, walk.skeleton, 30, foot_contacts=stands)


def speeds(motion: Motion) -> np.ndarray:
    """Speed of every joint from frame to frame, (T - 1, J), in m/s."""
    steps = np.diff(motion.posed_joints.astype(np.float64), axis=0)
    return np.asarray(np.linalg.norm(steps, axis=-1) * motion.fps)


def rounds(motion: Motion, count: int = 3) -> Motion:
    """Play a loop several times, each round from where the one before ended."""
    heading, root = headings(motion), motion.root_positions.astype(np.float64)
    local = motion.local_rot_mats.astype(np.float64)
    locals_, roots = [local[:1]], [root[:1]]
    turn, place = 0.0, np.zeros(3)
    for _ in range(count):
        about = rotation_about_y(turn)
        moved = (root - root[0] * [1, 0, 1]) @ about.T + place
        turned = local.copy()
        turned[:, 0] = about @ turned[:, 0]
        if not roots[1:]:
            roots[0] = moved[:1]
        roots.append(moved[1:])
        locals_.append(turned[1:])
        place, turn = moved[-1] * [1, 0, 1], turn + heading[-1] - heading[0]
    return Motion.from_local(
        np.concatenate(locals_), np.concatenate(roots), motion.skeleton, motion.fps
    )
