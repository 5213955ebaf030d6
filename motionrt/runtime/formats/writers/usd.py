"""Write a motion as USD: a UsdSkel skeleton with its animation, and the figure that it moves."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from motionrt.runtime.body.joint_names import renamed_joints
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase, rest_rotations
from motionrt.runtime.body.root_motion import ROOT_BONE, SMOOTH_SECONDS, carried_by_root
from motionrt.runtime.body.rotation import (
    Floats,
    continuous_quaternions,
    matrix_to_quaternion,
    quaternion_about_y,
    unit,
)
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.known_skeletons import unique_names
from motionrt.runtime.formats.usd_library import pxr
from motionrt.runtime.formats.writers.gltf import figure, on_the_floor

_FIGURE = "/Figure"
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]")


def write_usd(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
) -> None:
    """Write .usd (binary), .usda (text) or .usdz (a package that phones show), by the ending.

    Metres, y up, a time code a frame. Names have letters, digits and _ alone, as USD has them. The
    options are those of `writers.gltf.glb_bytes`. BackendError if usd-core is not installed.
    """
    ending = Path(path).suffix.lower()
    usd = pxr()
    smooth = root_smoothing if root_bone else None
    with tempfile.TemporaryDirectory() as folder, atomic_file(path) as temporary:
        place = Path(folder) / f"motion{'.usdc' if ending in ('.usdz', '.usd') else '.usda'}"
        stage = usd.Usd.Stage.CreateNew(str(place))
        _author(usd, stage, motion, rest, joint_names, smooth)
        stage.GetRootLayer().Save()
        if ending == ".usdz":
            package = Path(folder) / "motion.usdz"
            usd.UsdUtils.CreateNewUsdzPackage(str(place), str(package))
            place = package
        temporary.write_bytes(place.read_bytes())


def _author(
    usd: Any,
    stage: Any,
    motion: Motion,
    rest: str,
    joint_names: str | None,
    root_smoothing: float | None,
) -> None:
    motion = motion.expanded()
    names = motion.skeleton.joint_names
    if joint_names is not None:
        names = renamed_joints(motion.skeleton, joint_names)
    based = rebase(motion, rest_rotations(motion.skeleton, rest))
    skeleton = based.skeleton
    local: Floats = based.local_rot_mats
    hips: Floats = based.root_positions
    bind = on_the_floor(skeleton).astype(np.float64)
    offsets = skeleton.offsets.astype(np.float64)
    offsets[0] = bind[0]
    parents = skeleton.parents.tolist()
    paths: list[str] = []
    for name, parent in zip(_valid(names, root_smoothing is not None), parents, strict=True):
        paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
    rotations = np.asarray(matrix_to_quaternion(local), np.float64)
    moving: dict[int, Floats] = {0: hips}
    first = 0
    if root_smoothing is not None:
        carried = carried_by_root(based, root_smoothing)
        rotations = np.asarray(matrix_to_quaternion(carried.local_rot_mats), np.float64)
        above = np.asarray(quaternion_about_y(carried.heading), np.float64)
        rotations = np.concatenate([above[:, None], rotations], axis=1)
        moving = {0: carried.path, 1: carried.hips}
        paths = [ROOT_BONE, *(f"{ROOT_BONE}/{path}" for path in paths)]
        offsets = np.concatenate([np.zeros((1, 3)), offsets])
        bind = np.concatenate([np.zeros((1, 3)), bind])
        first = 1
    rotations = np.asarray(unit(continuous_quaternions(rotations)), np.float64)

    geom, skel, vt, gf = usd.UsdGeom, usd.UsdSkel, usd.Vt, usd.Gf
    geom.SetStageUpAxis(stage, geom.Tokens.y)
    geom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(motion.fps)
    stage.SetFramesPerSecond(motion.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(motion.num_frames - 1)
    root = skel.Root.Define(stage, _FIGURE)
    stage.SetDefaultPrim(root.GetPrim())
    usd.Usd.ModelAPI(root.GetPrim()).SetKind(usd.Kind.Tokens.component)
    bones = skel.Skeleton.Define(stage, f"{_FIGURE}/Skeleton")
    bones.CreateJointsAttr(paths)
    bones.CreateBindTransformsAttr(vt.Matrix4dArray.FromNumpy(_places(bind)))
    bones.CreateRestTransformsAttr(vt.Matrix4dArray.FromNumpy(_places(offsets)))
    animation = skel.Animation.Define(stage, f"{_FIGURE}/Animation")
    animation.CreateJointsAttr(paths)
    animation.CreateScalesAttr(vt.Vec3hArray(len(paths), gf.Vec3h(1)))
    translations, turns = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    places = np.tile(offsets.astype(np.float32), (motion.num_frames, 1, 1))
    for joint, track in moving.items():
        places[:, joint] = track
    # Quaternions are x y z w in memory.
    keys = np.ascontiguousarray(np.roll(rotations, -1, axis=-1), np.float32)
    for frame in range(motion.num_frames):
        translations.Set(vt.Vec3fArray.FromNumpy(places[frame]), frame)
        turns.Set(vt.QuatfArray.FromNumpy(keys[frame]), frame)
    skel.BindingAPI.Apply(bones.GetPrim()).CreateAnimationSourceRel().SetTargets(
        [animation.GetPath()]
    )
    _mesh(usd, stage, skeleton, bones, first)
    places_of_joints = np.asarray(motion.posed_joints, np.float32)
    bounds = [places_of_joints.min(axis=(0, 1)) - 0.2, places_of_joints.max(axis=(0, 1)) + 0.2]
    extents = vt.Vec3fArray.FromNumpy(np.stack(bounds))
    geom.ModelAPI.Apply(root.GetPrim()).SetExtentsHint(extents)


def _mesh(usd: Any, stage: Any, skeleton: Any, bones: Any, first: int) -> None:
    """The figure, bound to the skeleton; first is the skeleton's root among the joints."""
    bind = on_the_floor(skeleton)
    shape = figure(skeleton, bind)
    geom, skel, vt = usd.UsdGeom, usd.UsdSkel, usd.Vt
    mesh = geom.Mesh.Define(stage, f"{_FIGURE}/Mesh")
    points = np.ascontiguousarray(shape.positions, np.float32)
    mesh.CreatePointsAttr(vt.Vec3fArray.FromNumpy(points))
    mesh.CreateExtentAttr(
        vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)]))
    )
    triangles = shape.indices.reshape(-1).astype(np.int32)
    mesh.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(triangles))
    mesh.CreateFaceVertexCountsAttr(vt.IntArray(len(triangles) // 3, 3))
    mesh.CreateSubdivisionSchemeAttr(geom.Tokens.none)
    mesh.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(np.ascontiguousarray(shape.normals, np.float32)))
    mesh.SetNormalsInterpolation(geom.Tokens.vertex)
    mesh.CreateDisplayColorAttr([usd.Gf.Vec3f(0.55, 0.6, 0.68)])
    binding = skel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([bones.GetPath()])
    drivers = (shape.joints[:, 0].astype(np.int32) + first).reshape(-1)
    binding.CreateJointIndicesPrimvar(False, 1).Set(vt.IntArray.FromNumpy(drivers))
    ones = vt.FloatArray(len(drivers), 1.0)
    binding.CreateJointWeightsPrimvar(False, 1).Set(ones)
    binding.CreateGeomBindTransformAttr(usd.Gf.Matrix4d(1))


def _valid(names: tuple[str, ...], has_root: bool) -> list[str]:
    """Names as USD has them, of which no two are the same."""
    valid = [_NO_LETTER.sub("_", name) or "_" for name in names]
    valid = [f"_{name}" if name[0].isdigit() else name for name in valid]
    taken = [ROOT_BONE] if has_root else []
    return list(unique_names([*taken, *valid]))[len(taken) :]


def _places(points: np.ndarray) -> np.ndarray:
    """Matrices (J, 4, 4) of translations, for row vectors."""
    matrices = np.tile(np.eye(4), (len(points), 1, 1))
    matrices[:, 3, :3] = points
    return matrices
