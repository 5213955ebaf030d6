"""Read the animation of a UsdSkel skeleton: .usd, .usda, .usdc or .usdz."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rotation import unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.formats.budget import most_poses
from motionrt.runtime.formats.carried import carried_body
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names
from motionrt.runtime.formats.usd_library import pxr

_Array = NDArray[np.float64]
_MAX_JOINTS = 10_000
_EVEN = 1e-3


def read_usd(path: str | os.PathLike[str], *, fps: float | None = None) -> Motion:
    """Read the first skeleton that has an animation, in metres and with y up.

    Args:
        path: the file.
        fps: sample at this rate; None: the animation's own frames if they are evenly spaced,
            otherwise those of the stage.

    Raises:
        InputError: it is no such file, or a bone stretches.
        BackendError: usd-core is not installed.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps}, it must be above zero")
    usd = pxr()
    # Its library prints what it thinks of a file unless somebody listens.
    listens = usd.UsdUtils.CoalescingDiagnosticDelegate()
    try:
        with np.errstate(all="ignore"):
            layer = usd.Sdf.Layer.FindOrOpen(str(path))
            _check_references(layer)
            stage = usd.Usd.Stage.Open(layer)
            return _motion(usd, stage, os.path.getsize(path), fps)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (usd.Tf.ErrorException, RuntimeError, ValueError, ArithmeticError) as error:
        raise InputError(f"{path}: no USD file that can be read ({_said(error)})") from error
    finally:
        del listens


def _motion(usd: Any, stage: Any, num_bytes: int, fps: float | None) -> Motion:
    cache = usd.UsdSkel.Cache()
    found = None
    for prim in stage.Traverse(usd.Usd.TraverseInstanceProxies()):
        if prim.IsA(usd.UsdSkel.Root):
            cache.Populate(usd.UsdSkel.Root(prim), usd.Usd.TraverseInstanceProxies())
        if prim.IsA(usd.UsdSkel.Skeleton):
            query = cache.GetSkelQuery(usd.UsdSkel.Skeleton(prim))
            if query and query.GetAnimQuery():
                found = (prim, query)
                break
    if found is None:
        raise InputError("has no skeleton with an animation (UsdSkel)")
    prim, query = found
    tokens = [str(token) for token in query.GetJointOrder()]
    parents = [int(parent) for parent in query.GetTopology().GetParentIndices()]
    if not 0 < len(tokens) <= _MAX_JOINTS:
        raise InputError(f"{len(tokens)} joints")
    if parents[0] != -1 or any(not 0 <= p < n for n, p in enumerate(parents) if n):
        raise InputError("its joints are no one tree, parents first")
    rate = float(stage.GetTimeCodesPerSecond())
    times, rate = _moments(query.GetAnimQuery().GetJointTransformTimeSamples(), rate, fps)
    if len(times) * len(tokens) > most_poses(num_bytes):
        raise InputError(f"{len(times)} frames are more than a file of this size can mean")
    xforms = usd.UsdGeom.XformCache()
    up = np.eye(4)
    if usd.UsdGeom.GetStageUpAxis(stage) == usd.UsdGeom.Tokens.z:
        up[1:3, 1:3] = [[0, -1], [1, 0]]  # for row vectors: z becomes y, y becomes -z
    scale = float(usd.UsdGeom.GetStageMetersPerUnit(stage))

    def world(time: Any, at_rest: bool) -> _Array:
        xforms.SetTime(time)
        above = np.array(xforms.GetLocalToWorldTransform(prim)) @ up
        joints = np.array(query.ComputeJointSkelTransforms(time, at_rest), np.float64)
        if joints.shape != (len(tokens), 4, 4):
            raise InputError("its skeleton has no rest pose for every joint")
        return joints @ above

    default = usd.Usd.TimeCode.Default()
    start = usd.Usd.TimeCode(times[0]) if times else default
    rest = world(start, True)
    posed = np.array([world(usd.Usd.TimeCode(time), False) for time in times])
    rest_turns, turns = _rotations(rest), _rotations(posed)
    turns = turns @ np.swapaxes(rest_turns, -1, -2)
    bones = rest[:, 3, :3] * scale
    places = posed[..., 3, :3] * scale
    offsets = bones - bones[np.maximum(parents, 0)]
    offsets[0] = 0
    local = turns.copy()
    steps = np.zeros_like(places)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            back = np.swapaxes(turns[:, parent], -1, -2)
            local[:, joint] = back @ turns[:, joint]
            way = places[:, joint] - places[:, parent]
            steps[:, joint] = (back @ way[..., None])[..., 0]
    moving = {
        joint: steps[:, joint]
        for joint in range(1, len(tokens))
        if np.abs(steps[:, joint] - offsets[joint]).max() > 1e-6
    }
    names = [token.rpartition("/")[2] for token in tokens]
    body = carried_body(names, parents, offsets, local, moving, places[:, 0])
    positions = body.offsets.copy()
    for joint in range(1, len(positions)):
        positions[joint] += positions[body.parents[joint]]
    unique = unique_names(body.names)
    skeleton = Skeleton(
        name="usd",
        joint_names=unique,
        parents=np.array(body.parents),
        rest_positions=positions.astype(np.float32),
        **joint_groups(unique),
    )
    motion = on_known_skeleton(Motion.from_local(body.rotations, body.root, skeleton, rate))
    motion.notes += body.notes
    return motion


def _said(error: Exception) -> str:
    """What an error says; the library's cannot say what is no UTF-8."""
    try:
        return one_line(error, 160)
    except UnicodeDecodeError:
        return "its text is no UTF-8"


def _check_references(layer: Any) -> None:
    """Refuse a file that is made of others: what it names is read from wherever it lies."""
    if layer is None:
        raise InputError("no USD file that can be read")
    for name in layer.GetCompositionAssetDependencies():
        if not layer.GetFileFormat().IsPackage():
            raise InputError(
                f"refers to {one_line(name, 80)}; make it one file first (usdcat --flatten)"
            )


def _moments(samples: Any, rate: float, fps: float | None) -> tuple[list[float], float]:
    """The time codes to read, and how many of them there are in a second."""
    times = [float(time) for time in samples] or [0.0]
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"{rate} time codes per second")
    steps = np.diff(times)
    if len(times) > 1 and fps is None and np.ptp(steps) < _EVEN * steps.mean():
        return times, rate / float(steps.mean())
    wanted = rate if fps is None else fps
    count = math.floor((times[-1] - times[0]) * wanted / rate + _EVEN) + 1
    if count > 10_000_000:
        raise InputError(f"{count} frames at {wanted:g} a second are too many")
    return [times[0] + frame * rate / wanted for frame in range(count)], wanted


def _rotations(matrices: _Array) -> _Array:
    """Rotations (..., 3, 3) for column vectors of matrices (..., 4, 4) for row vectors."""
    turns: _Array = np.swapaxes(unit(matrices[..., :3, :3]), -1, -2)
    skew = np.abs(np.swapaxes(turns, -1, -2) @ turns - np.eye(3)).max()
    if not skew < 1e-2 or not (np.linalg.det(turns) > 0).all():
        raise InputError("a joint is skewed or mirrored; bones are rigid")
    return turns
