"""Write a motion as glTF 2.0: skeleton, animation and a capsule figure skinned to it."""

from __future__ import annotations

import base64
import json
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import motionrt
from motionrt.runtime.body.joint_names import renamed_joints
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase, rest_rotations
from motionrt.runtime.body.root_motion import ROOT_BONE, SMOOTH_SECONDS, carried_by_root
from motionrt.runtime.body.rotation import (
    Floats,
    continuous_quaternions,
    matrix_to_quaternion,
    perpendicular,
    quaternion_about_y,
    unit,
)
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.files import atomic_file
from motionrt.runtime.formats.gltf_file import BIN_CHUNK, JSON_CHUNK, MAGIC

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_BYTE = 5126, 5123, 5121
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_COMPONENTS = {"f4": _FLOAT, "u2": _UNSIGNED_SHORT, "u1": _UNSIGNED_BYTE}

ASSET = {"version": "2.0", "generator": f"motionrt {motionrt.__version__}"}

_SIDES = 8
_POINT_M = np.array([0, 0.05, 0], np.float32)
_SHORTEST_BONE_M = 2e-3
_LEFT, _RIGHT, _MIDDLE = (230, 120, 40, 255), (50, 110, 220, 255), (150, 155, 165, 255)


def write_gltf(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
) -> None:
    """Write .glb; see `glb_bytes` for the options."""
    data = glb_bytes(
        motion,
        rest=rest,
        joint_names=joint_names,
        root_bone=root_bone,
        root_smoothing=root_smoothing,
    )
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_gltf_text(
    motion: Motion,
    path: str | os.PathLike[str],
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
) -> None:
    """Write .gltf: the same document as text, its data in it as base64."""
    smooth = root_smoothing if root_bone else None
    document, data = _document(motion, rest, joint_names, smooth)
    inside = base64.b64encode(data).decode("ascii")
    document["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{inside}"
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def glb_bytes(
    motion: Motion,
    *,
    rest: str = "neutral",
    joint_names: str | None = None,
    root_bone: bool = False,
    root_smoothing: float = SMOOTH_SECONDS,
) -> bytes:
    """Make the bytes of a .glb file.

    Metres, y up, +z forward, as glTF has it. The figure stands on the floor in its rest pose; left
    limbs are orange, right limbs blue. The animation samples every frame, rotations as quaternions
    and the root's translation, interpolated linearly.

    Args:
        motion: any skeleton.
        rest: the pose without animation, "neutral" or "t-pose" (`motionrt.runtime.body.rest_pose`).
        joint_names: "mixamo", "ue5" or "vrm" renames the joints; None keeps their names.
        root_bone: put a bone on the floor above the skeleton, which goes the body's smoothed path
            (`motionrt.runtime.body.root_motion`); the hips then move relative to it.
        root_smoothing: how far that path is smoothed, in seconds; 0 keeps the hips above the bone.
    """
    smooth = root_smoothing if root_bone else None
    return container(*_document(motion, rest, joint_names, smooth))


def _document(
    motion: Motion, rest: str, joint_names: str | None, root_smoothing: float | None
) -> tuple[dict[str, Any], bytes]:
    """The JSON of a file, and its one buffer; without a root_smoothing there is no root bone."""
    names = motion.skeleton.joint_names
    if joint_names is not None:
        names = renamed_joints(motion.skeleton, joint_names)
    based = rebase(motion, rest_rotations(motion.skeleton, rest))
    skeleton = based.skeleton
    bind = on_the_floor(skeleton)
    joints = skeleton.num_joints

    buffer = Buffer()
    mesh = figure(skeleton, bind)
    attributes = {
        "POSITION": buffer.add(mesh.positions, target=_ARRAY_BUFFER, bounds=True),
        "NORMAL": buffer.add(mesh.normals, target=_ARRAY_BUFFER),
        "COLOR_0": buffer.add(mesh.colours, target=_ARRAY_BUFFER, normalized=True),
        "JOINTS_0": buffer.add(mesh.joints, target=_ARRAY_BUFFER),
        "WEIGHTS_0": buffer.add(mesh.weights, target=_ARRAY_BUFFER, normalized=True),
    }
    primitive = {
        "attributes": attributes,
        "indices": buffer.add(mesh.indices, target=_ELEMENT_ARRAY_BUFFER),
        "material": 0,
    }
    has_root = root_smoothing is not None
    bones = joints + has_root
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (bones, 1, 1))
    inverse_bind[:joints, 3, :3] = -bind  # column-major
    inverse_bind_matrices = buffer.add(inverse_bind.reshape(bones, 16))
    nodes, animation = skeleton_and_animation(based, names, buffer, root_smoothing)
    top = joints if has_root else 0
    nodes.append({"name": "figure", "mesh": 0, "skin": 0})
    document = {
        "asset": ASSET,
        "scene": 0,
        "scenes": [{"nodes": [top, bones]}],
        "nodes": nodes,
        "meshes": [{"name": "figure", "primitives": [primitive]}],
        "materials": [
            {
                "name": "figure",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7},
            }
        ],
        "skins": [
            {
                "name": skeleton.name,
                "skeleton": top,
                "joints": list(range(bones)),
                "inverseBindMatrices": inverse_bind_matrices,
            }
        ],
        "animations": [animation],
        **buffer.tables(),
    }
    return document, bytes(buffer.data)


def on_the_floor(skeleton: Skeleton) -> NDArray[np.float32]:
    """Rest positions (J, 3) with the root above the origin and the lowest joint on the floor."""
    bind = skeleton.rest_positions - skeleton.rest_positions[0]
    result: NDArray[np.float32] = bind - np.array([0, bind[:, 1].min(), 0], np.float32)
    return result


def skeleton_and_animation(
    motion: Motion, names: Sequence[str], buffer: Buffer, root_smoothing: float | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Make a node for every joint, under its index, and the animation that moves them.

    With a root_smoothing there is a root bone, one more node behind them.
    """
    skeleton = motion.skeleton
    times = (np.arange(motion.num_frames) / motion.fps).astype(np.float32)
    time_accessor = buffer.add(times[:, None], bounds=True)
    local: Floats = motion.local_rot_mats
    hips: Floats = motion.root_positions
    outputs = []
    if root_smoothing is not None:
        carried = carried_by_root(motion, root_smoothing)
        top = skeleton.num_joints
        local, hips = carried.local_rot_mats, carried.hips
        outputs = [
            (top, "translation", buffer.add(carried.path.astype(np.float32))),
            (top, "rotation", buffer.add(_keys(quaternion_about_y(carried.heading)))),
        ]
    rotations = _keys(matrix_to_quaternion(local)).swapaxes(0, 1)
    outputs += [(0, "translation", buffer.add(hips.astype(np.float32)))]
    outputs += [(j, "rotation", accessor) for j, accessor in enumerate(buffer.add_each(rotations))]
    samplers = [{"input": time_accessor, "output": accessor} for _, _, accessor in outputs]
    channels = [
        {"sampler": index, "target": {"node": joint, "path": path}}
        for index, (joint, path, _) in enumerate(outputs)
    ]
    translations = skeleton.offsets.copy()
    translations[0] = on_the_floor(skeleton)[0]
    nodes: list[dict[str, Any]] = []
    for joint, name in enumerate(names):
        node: dict[str, Any] = {"name": name, "translation": translations[joint].tolist()}
        if skeleton.children[joint]:
            node["children"] = list(skeleton.children[joint])
        nodes.append(node)
    if root_smoothing is not None:
        nodes.append({"name": ROOT_BONE, "children": [0]})
    return nodes, {
        "name": "motion",
        "samplers": samplers,
        "channels": channels,
        "extras": {"fps": motion.fps},
    }


def _keys(quaternions: Floats) -> NDArray[np.float32]:
    """Keys x y z w of quaternions w x y z, (T, ..., 4)."""
    steady = unit(continuous_quaternions(quaternions))
    return np.ascontiguousarray(np.roll(steady, -1, axis=-1), np.float32)


@dataclass
class Buffer:
    """The binary chunk, with the accessors that describe it."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        values: NDArray[Any],
        target: int | None = None,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Append an array (count, width) in a view of its own; returns its accessor."""
        view = self._view(values, target)
        return self._accessor(values, view, 0, bounds, normalized)

    def add_each(self, values: NDArray[Any]) -> list[int]:
        """Append arrays (n, count, width) in one view; returns n accessors."""
        view = self._view(values, None)
        size = values[0].nbytes
        return [
            self._accessor(part, view, index * size, False, False)
            for index, part in enumerate(values)
        ]

    def tables(self) -> dict[str, Any]:
        """Give the document's three tables."""
        return {
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.data)}],
        }

    def _view(self, values: NDArray[Any], target: int | None) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
        view: dict[str, Any] = {
            "buffer": 0,
            "byteOffset": len(self.data),
            "byteLength": len(raw),
        }
        if target is not None:
            view["target"] = target
        self.data.extend(raw)
        self.views.append(view)
        return len(self.views) - 1

    def _accessor(
        self, values: NDArray[Any], view: int, offset: int, bounds: bool, normalized: bool
    ) -> int:
        accessor: dict[str, Any] = {
            "bufferView": view,
            "byteOffset": offset,
            "componentType": _COMPONENTS[values.dtype.str[1:]],
            "count": len(values),
            "type": _TYPES[values.shape[1]],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"] = values.min(axis=0).tolist()
            accessor["max"] = values.max(axis=0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1


@dataclass(frozen=True)
class FigureMesh:
    """Triangles of a figure; each vertex is moved by one joint."""

    positions: NDArray[np.float32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]
    joints: NDArray[np.uint8] | NDArray[np.uint16]
    weights: NDArray[np.uint8]
    indices: NDArray[np.uint16]


def figure(skeleton: Skeleton, bind: NDArray[np.float32]) -> FigureMesh:
    """A capsule along every bone, moved by the joint it starts from.

    Joints without children get a last one, unless their name says that the body ends there.
    """
    starts, ends, drivers, radii = [], [], [], []
    for joint in range(skeleton.num_joints):
        tips = [(bind[child], child) for child in skeleton.children[joint]]
        if not tips and not skeleton.joint_names[joint].lower().endswith("end"):
            tips = [(bind[joint] + skeleton.tip_offsets[joint], joint)]
        for end, target in tips:
            length = float(np.linalg.norm(end - bind[joint]))
            if length < _SHORTEST_BONE_M:
                continue
            starts.append(bind[joint])
            ends.append(end)
            drivers.append(joint)
            radii.append(_radius(skeleton, joint, target, length))
    if not starts:  # all joints are one point, which is shown
        starts, ends, drivers, radii = [bind[0]], [bind[0] + _POINT_M], [0], [0.05]
    start, end = np.array(starts, np.float32), np.array(ends, np.float32)
    radius = np.array(radii, np.float32)
    normals, is_end, triangles = _unit_capsule()
    # An orthonormal frame for each bone: z along it.
    along = unit(end - start)
    across = perpendicular(along)
    frames = np.stack([across, np.cross(along, across), along], axis=-1)  # (bones, 3, 3)
    world_normals = np.einsum("bij,vj->bvi", frames, normals)
    base = np.where(is_end[None, :, None], end[:, None], start[:, None])
    positions = base + radius[:, None, None] * world_normals
    bones, vertices = len(start), len(normals)
    driver = np.repeat(np.array(drivers), vertices)
    joints = np.zeros((bones * vertices, 4), np.uint8 if skeleton.num_joints < 256 else np.uint16)
    joints[:, 0] = driver
    weights = np.zeros((bones * vertices, 4), np.uint8)
    weights[:, 0] = 255
    sides = np.array([_colour(skeleton, joint) for joint in range(skeleton.num_joints)], np.uint8)
    indices = triangles[None] + (np.arange(bones) * vertices)[:, None, None]
    return FigureMesh(
        positions=positions.reshape(-1, 3).astype(np.float32),
        normals=world_normals.reshape(-1, 3).astype(np.float32),
        colours=sides[driver],
        joints=joints,
        weights=weights,
        indices=indices.reshape(-1, 1).astype(np.uint16),
    )


def _unit_capsule() -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Normals, whether a vertex belongs to the far end, and triangles, of a capsule along z."""
    latitudes = np.radians([-90, -45, 0, 0, 45, 90])
    angles = np.arange(_SIDES) * 2 * math.pi / _SIDES
    rings = np.stack(
        [
            np.cos(latitudes)[:, None] * np.cos(angles),
            np.cos(latitudes)[:, None] * np.sin(angles),
            np.repeat(np.sin(latitudes)[:, None], _SIDES, axis=1),
        ],
        axis=-1,
    )
    is_end = np.repeat(np.arange(len(latitudes)) >= 3, _SIDES)
    triangles = []
    for ring in range(len(latitudes) - 1):
        for side in range(_SIDES):
            a, b = ring * _SIDES + side, ring * _SIDES + (side + 1) % _SIDES
            c, d = a + _SIDES, b + _SIDES
            if ring > 0:  # at the first pole this triangle has no area
                triangles.append((a, b, d))
            if ring < len(latitudes) - 2:
                triangles.append((a, d, c))
    return rings.reshape(-1, 3), is_end, np.array(triangles)


def _radius(skeleton: Skeleton, joint: int, target: int, length: float) -> float:
    name = skeleton.joint_names[joint].lower()
    end = skeleton.joint_names[target].lower()
    if "head" in name and ("end" in end or target == joint):
        return 0.08
    if "head" in name or "jaw" in name:  # the eyes and the jaw
        return 0.01
    is_trunk = "left" not in end and "right" not in end
    return min(max(0.13 * length, 0.045 if is_trunk else 0.007), 0.05)


def _colour(skeleton: Skeleton, joint: int) -> tuple[int, int, int, int]:
    name = skeleton.joint_names[joint].lower()
    if "left" in name:
        return _LEFT
    return _RIGHT if "right" in name else _MIDDLE


def container(document: dict[str, Any], data: bytes) -> bytes:
    """Put a document and its buffer into the bytes of a .glb."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    return b"".join(
        [
            struct.pack("<III", MAGIC, 2, total),
            struct.pack("<II", len(text), JSON_CHUNK),
            text,
            struct.pack("<II", len(data), BIN_CHUNK),
            data,
        ]
    )
