"""Finishing in C and in Python, side by side: shared by the tests of the C library."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import motionrt
from motionrt import capi
from motionrt.runtime.body.finishing import Finishing
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import matrix_to_quaternion, quaternion_to_matrix
from motionrt.runtime.errors import InputError

POSITIONS, ROTATIONS = 1e-4, 1e-3
"""Metres, and entries of matrices; most are within 2e-6 and 3e-7."""

# What is asked for in C, and in Python.
BOTH: list[dict[str, Any]] = [
    {"trim": True},
    {"mirror": True},
    {"speed": 1.3},
    {"speed": 0.4},
    {"fps": 60},
    {"fps": 15},
    {"fps": 24},
    {"fps": 13.7},
    {"loop": True},
    {"loop": True, "loop_seconds": 1.3},
    {"in_place": True},
    {"in_place": True, "root_smoothing": 0.0},
    {"in_place": True, "root_smoothing": 3.0},
    {"trim": True, "mirror": True, "speed": 0.8, "fps": 50, "loop": True, "in_place": True},
]
CASES = [(case, case) for case in BOTH] + [
    ({"from_rest": True, "to_rest": True}, {"from_pose": "rest", "to_pose": "rest"}),
    ({"to_rest": True, "pose_seconds": 0.05}, {"to_pose": "rest", "pose_seconds": 0.05}),
    ({"start_at_origin": True}, {"start_at": "origin"}),
    ({"face": True, "face_rad": math.pi / 2}, {"face": "+x"}),
    (
        {"loop": True, "start_at_origin": True, "face": True, "face_rad": math.pi},
        {"loop": True, "start_at": "origin", "face": "-z"},
    ),
    (
        {"loop": True, "in_place": True, "face": True, "face_rad": -math.pi / 2},
        {"loop": True, "in_place": True, "face": "-x"},
    ),
]


def array(view: Any) -> NDArray[Any]:
    assert view is not None
    return np.asarray(view)


def in_python(motion: capi.Motion, skeleton: motionrt.Skeleton) -> Motion:
    optional = {
        "foot_contacts": motion.foot_contacts,
        "smooth_root_pos": motion.smooth_root,
        "global_root_heading": motion.heading,
    }
    told: dict[str, Any] = {k: np.asarray(v) for k, v in optional.items() if v is not None}
    info: dict[str, Any] = {}
    if motion.is_loop:
        turn = math.degrees(motion.loop_turn_rad)
        info["loop"] = {"step_m": list(motion.loop_step), "turn_deg": turn}
    return Motion.from_local(
        quaternion_to_matrix(array(motion.local_rotations).astype(np.float64)),
        array(motion.root_positions),
        skeleton,
        motion.fps,
        info=info,
        **told,
    )


def random_clip(
    seed: int,
    skeleton: motionrt.Skeleton,
    frames: int = 100,
    fps: float = 30,
    period: float | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Root positions, local rotations and contacts of a body that does anything, smoothly.

    With a period it does it again and again, nearly, and goes straight on.
    """
    generator = np.random.default_rng(seed)
    time = np.arange(frames) / fps * (1 if period is None else 2 * np.pi / period)
    waves = generator.normal(size=(6, skeleton.num_joints, 3)) * 0.15
    phases = generator.uniform(0, 2 * np.pi, size=(6, skeleton.num_joints, 3))
    rates = np.arange(1, 7)
    angles = np.einsum(
        "kji,tkji->tji", waves, np.sin(time[:, None, None, None] * rates[:, None, None] + phases)
    )
    steps, swings = generator.normal(size=(frames, 3)), generator.normal(size=frames)
    if period is not None:
        angles *= 1 + 0.003 * time[:, None, None]
        steps, swings = np.tile(steps[:1], (frames, 1)), 0.1 * np.cos(time)
    half = np.linalg.norm(angles, axis=-1, keepdims=True) / 2
    turns = np.concatenate([np.cos(half), angles * np.sinc(half / np.pi) / 2], axis=-1)
    facing = np.cumsum(swings * 0.2) + 3 * seed
    about = np.stack([np.cos(facing / 2), 0 * facing, np.sin(facing / 2), 0 * facing], axis=-1)
    matrices = quaternion_to_matrix(about) @ quaternion_to_matrix(turns[:, 0])
    turns[:, 0] = matrix_to_quaternion(matrices)
    root = np.cumsum(steps * 0.02, axis=0)
    root[:, 1] += 0.9
    if period is not None:
        root[:, 1] = 0.9 + 0.02 * np.cos(time)
    contacts = generator.random((frames, 4)) < 0.5
    return root.astype(np.float32), turns.astype(np.float32), contacts


def same(found: capi.Motion, expected: Motion) -> None:
    assert (found.num_frames, found.fps) == (expected.num_frames, expected.fps)
    turns = quaternion_to_matrix(array(found.local_rotations).astype(np.float64))
    np.testing.assert_allclose(turns, expected.local_rot_mats, rtol=0, atol=ROTATIONS)
    for name, view in (
        ("root_positions", found.root_positions),
        ("posed_joints", found.global_positions),
        ("smooth_root_pos", found.smooth_root),
        ("global_root_heading", found.heading),
        ("foot_contacts", found.foot_contacts),
    ):
        wanted = getattr(expected, name)
        assert (wanted is None) == (view is None), name
        if wanted is not None:
            np.testing.assert_allclose(array(view), wanted, rtol=0, atol=POSITIONS, err_msg=name)
    told = expected.info.get("loop")
    assert found.is_loop == (told is not None)
    assert found.in_place == (expected.info.get("in_place") is True)
    if told is not None:
        np.testing.assert_allclose(found.loop_step, told["step_m"], atol=POSITIONS)
        assert math.degrees(found.loop_turn_rad) == pytest.approx(told["turn_deg"], abs=1e-3)


def finish_both(
    motion: capi.Motion, given: Motion, options: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Finish in C and in Python: the same motion and figures, or the same line."""
    try:
        finished = Finishing(**settings).apply(given)
    except InputError as error:
        with pytest.raises(InputError) as caught:
            motion.finish(**options)
        numbers = r"-?\d+(\.\d+)?"
        assert re.sub(numbers, "#", str(caught.value)) == re.sub(numbers, "#", str(error))
        return
    found = motion.finish(**options)
    same(found, finished.motion)
    if "loop" in finished.figures:
        told, loop = finished.figures["loop"], found.loop_info
        assert loop is not None
        assert (loop.first_frame, loop.last_frame) == (told["first_frame"], told["last_frame"])
        assert loop.moved_mm == pytest.approx(told["moved_mm"], abs=0.01)
        for side in ("before", "after"):
            for name, value in told[side].items():
                assert getattr(loop, f"{side}_{name}") == pytest.approx(value, abs=0.01)
