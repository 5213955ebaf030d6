"""Finishing in the C library on bodies that no bundle at hand has, against Python."""

from __future__ import annotations

import ctypes
import json
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from c_builds import build_library
from c_finishing import CASES, finish_both, in_python, random_clip, same
from strides import striding

from motionrt import capi
from motionrt.runtime.body.blend import blended
from motionrt.runtime.body.quality import body_scale
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton
from motionrt.runtime.errors import InputError


@lru_cache(maxsize=1)
def library() -> Any:
    loaded = ctypes.CDLL(str(build_library(internals=True)))
    loaded.test_skeleton.restype = ctypes.c_void_p
    loaded.test_skeleton.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    loaded.test_body_scale.restype = ctypes.c_double
    loaded.test_body_scale.argtypes = [ctypes.c_void_p]
    return loaded


def in_c(skeleton: Skeleton) -> tuple[int, capi.Skeleton]:
    text = json.dumps(skeleton.to_dict()).encode()
    handle = library().test_skeleton(text, len(text))
    assert handle
    return handle, capi.Skeleton(handle, library())


def plain(names: list[str], parents: list[int], rest: list[list[float]]) -> Skeleton:
    return Skeleton("plain", tuple(names), np.array(parents), np.array(rest, np.float32))


SIDED = """
L_Hand R_Hand hand.l hand.r lHip rHip HandL HandR UPPER_LEFT UPPER_RIGHT
bright bleft Leftover2 Rightover2 Lr
""".split()
WIDTHS = [side * x for x in (0.1, 0.2, 0.3, 0.4, 0.5, -0.1, 0.3) for side in (1, -1)]
ODD_NAMES = plain(
    ["hips", *SIDED], [-1] + [0] * 15, [[0, 1, 0], *([x, 1.2, 0.1] for x in WIDTHS), [0, 2, 0]]
)
UNLIKE = plain(["hips", "left", "right"], [-1, 0, 0], [[0, 1, 0], [0.2, 0, 0], [-0.3, 0, 0]])
NO_SIDES = plain(["a", "b"], [-1, 0], [[0, 0, 0], [0, 0, 0]])
BODIES = [*map(load_skeleton, SKELETON_NAMES), ODD_NAMES, UNLIKE, NO_SIDES]


@pytest.mark.parametrize("skeleton", BODIES, ids=lambda skeleton: skeleton.name)
def test_bodies_are_as_large_as_in_python(skeleton: Skeleton) -> None:
    handle, _ = in_c(skeleton)
    assert library().test_body_scale(handle) == pytest.approx(body_scale(skeleton), rel=1e-6)


@pytest.mark.parametrize("skeleton", BODIES, ids=lambda skeleton: skeleton.name)
def test_any_body_is_finished_as_in_python(skeleton: Skeleton) -> None:
    _, body = in_c(skeleton)
    for seed, period in ((0, None), (1, 0.7)):
        root, turns, contacts = random_clip(seed, skeleton, 50, period=period)
        motion = capi.Motion.make(body, 30, root, turns, contacts.tolist() if seed else None)
        given = in_python(motion, skeleton)
        for options, settings in CASES:
            finish_both(motion, given, options, settings)
        assert period is None or motion.finish(loop=True).is_loop
        same(motion.blend(motion, 0.3), blended(given, given, 0.3))


def test_walks_whose_stride_is_known() -> None:
    walks = (striding(drift=0.01, phase=0.3), striding(turn_radps=0.5, drift=0.01))
    _, body = in_c(walks[0].skeleton)
    for walk in walks:
        motion = capi.Motion.make(
            body,
            walk.fps,
            walk.root_positions,
            walk.local_rotations,
            np.asarray(walk.foot_contacts).tolist(),
        )
        for options, settings in CASES:
            finish_both(motion, in_python(motion, walk.skeleton), options, settings)


def test_bodies_that_differ_are_not_joined() -> None:
    made = []
    for skeleton in (ODD_NAMES, UNLIKE):
        root, turns, _ = random_clip(0, skeleton, 30)
        made.append(capi.Motion.make(in_c(skeleton)[1], 30, root, turns))
    with pytest.raises(InputError, match="retarget one of the motions first"):
        made[0].blend(made[1])
