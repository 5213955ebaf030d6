"""Write a motion as BVH text, for Blender, MotionBuilder, Unreal and the like."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.frame import Frame
from motionrt.runtime.body.joint_names import renamed_joints
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import bvh_rig_rotations, rebase, rest_rotations
from motionrt.runtime.body.root_motion import ROOT_BONE, SMOOTH_SECONDS, carried_by_root
from motionrt.runtime.body.rotation import (
    Floats,
    matrix_to_euler_zyx,
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about_y,
    unwrap_euler_zyx,
)
from motionrt.runtime.body.skeleton import Skeleton, skeleton_asset
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file

CENTIMETRES = 100.0
"""Units per metre that BVH files have by default."""

_DECIMALS = 6
_SOMA_HIPS_OFFSET_M = (0.0, 1.0, 0.0)
_WRAPPER = {None: "Root", "mixamo": "Root", "ue5": "root", "vrm": "Root"}


def write_bvh(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    scale: float = CENTIMETRES,
    unwrap: bool | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
    up: str = "+y",
    forward: str = "+z",
) -> None:
    """Write BVH; see `bvh_text` for the options."""
    text = bvh_text(
        motion,
        rest=rest,
        joint_names=joint_names,
        scale=scale,
        unwrap=unwrap,
        root_bone=root_bone,
        root_smoothing=root_smoothing,
        up=up,
        forward=forward,
    )
    with atomic_file(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def bvh_text(
    motion: Motion,
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    scale: float = CENTIMETRES,
    unwrap: bool | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
    up: str = "+y",
    forward: str = "+z",
) -> str:
    """Make the text of a BVH file.

    Args:
        motion: any skeleton; SOMA's 30 joints are expanded to 77 first.
        rest: the pose of the file when all channels are zero, "neutral" or "t-pose"
            (`body.rest_pose`). SOMA in "neutral" is Kimodo's file, number by number: a still `Root`
            above `Hips`, no End Sites, the rig's own rest pose.
        joint_names: "mixamo", "ue5" or "vrm" renames the joints; None keeps their names.
        scale: units per metre; 100 is centimetres.
        unwrap: whether angles may leave ±180 degrees so that no channel jumps by a turn; None says
            yes, except where the file is Kimodo's.
        root_bone: put a bone on the floor above the skeleton, which goes the body's smoothed path
            (`motionrt.runtime.body.root_motion`); SOMA's still `Root` is then that bone.
        root_smoothing: how far that path is smoothed, in seconds; 0 keeps the hips above the bone.
        up: the axis that looks up in the file, +y or any other of `motionrt.runtime.body.frame`.
        forward: the axis along which a body looks that faces +z here.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}, it must be above zero (units per metre)")
    motion = motion.expanded()
    rigged = motion.skeleton.has_bvh_rig
    names = motion.skeleton.joint_names
    if joint_names is not None:
        names = renamed_joints(motion.skeleton, joint_names)
    if rigged and rest == "neutral":
        based = rebase(motion, bvh_rig_rotations(motion.skeleton.name))
        offsets = _rig_offsets(motion.skeleton)
    else:
        based = rebase(motion, rest_rotations(motion.skeleton, rest))
        offsets = based.skeleton.offsets.astype(np.float64)
    if unwrap is None:
        unwrap = not (rigged and rest == "neutral")
    frame = Frame(up, forward)
    hips: Floats = based.root_positions
    local: Floats = based.local_rot_mats
    carrier = np.zeros((motion.num_frames, 6))
    carrier[:, 4] = -0.0  # as Kimodo has its still root
    if root_bone:
        carried = carried_by_root(based, root_smoothing)
        hips, local = (part.astype(np.float32) for part in (carried.hips, carried.local_rot_mats))
        turns = matrix_to_euler_zyx(frame.rotations(rotation_about_y(carried.heading)))
        carrier[:, :3] = frame.positions(carried.path) * scale
        carrier[:, 3:] = np.degrees(unwrap_euler_zyx(turns[:, None])[:, 0])
    wrapped = rigged or root_bone
    tip_offsets: Floats = based.skeleton.tip_offsets
    hips_offset: Floats = np.array(_SOMA_HIPS_OFFSET_M)
    if frame != Frame():
        offsets = frame.positions(offsets).astype(np.float64)
        tip_offsets = frame.positions(tip_offsets)
        hips, local = frame.positions(hips), frame.rotations(local)
        hips_offset = frame.positions(hips_offset)

    order = _depth_first(motion.skeleton)
    lines = ["HIERARCHY"]
    if wrapped:
        name = _WRAPPER[joint_names] if rigged else ROOT_BONE
        lines += [f"ROOT {name}", "{", *_joint_lines(1, np.zeros(3), root=True)]
    if rigged:
        offsets[0] = hips_offset
    tips = tip_offsets * np.float32(scale)
    scaled = (offsets * scale).astype(np.float32).astype(np.float64)  # as Kimodo rounds them
    lines += _hierarchy(motion.skeleton, names, scaled, tips, order, wrapped, ends=not rigged)
    if wrapped:
        lines.append("}")
    lines += ["MOTION", f"Frames: {motion.num_frames}", f"Frame Time: {1 / motion.fps!r}"]

    # Through a quaternion and in single precision, as Kimodo does it: this makes the numbers the
    # same to the last digit or two.
    rotations = quaternion_to_matrix(matrix_to_quaternion(local))
    angles = matrix_to_euler_zyx(rotations)
    if unwrap:
        angles = unwrap_euler_zyx(angles.astype(np.float64))
    frames = motion.num_frames
    root = hips * np.float32(scale)
    columns = [root, np.degrees(angles[:, order]).reshape(frames, -1)]
    if wrapped:
        columns.insert(0, carrier)
    table = np.round(np.concatenate(columns, axis=1, dtype=np.float64), _DECIMALS)
    # repr is the shortest decimal text of a double.
    lines += [" ".join(map(repr, row)) + " " for row in table.tolist()]
    return "\n".join(lines) + "\n"


def _hierarchy(
    skeleton: Skeleton,
    names: tuple[str, ...],
    offsets: NDArray[np.float64],
    tips: NDArray[np.float32],
    order: list[int],
    wrapped: bool,
    ends: bool,
) -> list[str]:
    """Joints as nested blocks, in depth-first order; with ends there are End Sites under leaves."""
    base = 1 if wrapped else 0
    depths = np.full(skeleton.num_joints, base)
    lines: list[str] = []
    open_depths: list[int] = []
    for joint in order:
        parent = int(skeleton.parents[joint])
        if parent >= 0:
            depths[joint] = depths[parent] + 1
        depth = int(depths[joint])
        while open_depths and open_depths[-1] >= depth:
            lines.append("  " * open_depths.pop() + "}")
        is_first = parent < 0
        keyword = "ROOT" if is_first and not wrapped else "JOINT"
        name = "_".join(names[joint].split()) or f"joint{joint}"
        lines += ["  " * depth + f"{keyword} {name}", "  " * depth + "{"]
        lines += _joint_lines(depth + 1, offsets[joint], root=is_first)
        open_depths.append(depth)
        if ends and not skeleton.children[joint]:
            inside = "  " * (depth + 1)
            lines += [f"{inside}End Site", inside + "{"]
            lines += [f"{inside}  OFFSET {_numbers(tips[joint])}"]
            lines += [inside + "}"]
    while open_depths:
        lines.append("  " * open_depths.pop() + "}")
    return lines


def _joint_lines(depth: int, offset: NDArray[np.float64], root: bool) -> list[str]:
    space = "  " * depth
    channels = "Zrotation Yrotation Xrotation"
    count = 3
    if root:
        channels, count = f"Xposition Yposition Zposition {channels}", 6
    return [f"{space}OFFSET {_numbers(offset)}", f"{space}CHANNELS {count} {channels}"]


def _numbers(values: NDArray[np.float64] | NDArray[np.float32]) -> str:
    rounded = np.round(values.astype(np.float64), _DECIMALS) + 0.0  # no -0.0
    return " ".join(map(repr, rounded.tolist()))


def _rig_offsets(skeleton: Skeleton) -> NDArray[np.float64]:
    rest = np.asarray(skeleton_asset(skeleton.name)["bvh_rest_positions"], np.float64)
    offsets: NDArray[np.float64] = rest - rest[skeleton.parents]
    return offsets


def _depth_first(skeleton: Skeleton) -> list[int]:
    order: list[int] = []
    stack = [0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(reversed(skeleton.children[joint]))
    return order
