"""Read the first skinned animation of a .glb (glTF 2.0) file."""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase
from motionrt.runtime.body.rotation import quaternion_to_matrix, slerp, unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names

_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MAX_NODES = 100_000
_MAX_FRAMES = 1_000_000
_STRETCH_TOLERANCE_M = 1e-3


def read_gltf(path: str | os.PathLike[str], *, fps: float | None = None) -> Motion:
    """Read a .glb: the joints of its first skin under its first animation.

    Without fps the frames are the animation's own if it has one set of evenly spaced times, as
    ours has; otherwise, and with another fps, it is sampled. A file on one of motionrt's skeletons
    comes back on that skeleton. InputError in one line if it is no such file.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps}, it must be above zero")
    try:
        data = Path(path).read_bytes()
        return _motion(_File.open(data), fps)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise InputError(f"{path}: damaged glTF ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class _File:
    document: dict[str, Any]
    data: bytes

    @classmethod
    def open(cls, raw: bytes) -> _File:
        """Split a .glb into its JSON and its binary chunk."""
        if len(raw) < 20 or struct.unpack_from("<I", raw)[0] != _MAGIC:
            raise InputError("no .glb file")
        version, total = struct.unpack_from("<II", raw, 4)
        if version != 2:
            raise InputError(f"glTF version {version}, only 2 is read")
        if total > len(raw):
            raise InputError(f"truncated: {len(raw)} bytes of {total}")
        chunks: dict[int, bytes] = {}
        place = 12
        while place + 8 <= total:
            length, kind = struct.unpack_from("<II", raw, place)
            if place + 8 + length > total:
                raise InputError("a chunk is longer than the file")
            chunks.setdefault(kind, raw[place + 8 : place + 8 + length])
            place += 8 + length
        try:
            document = json.loads(chunks.get(_JSON_CHUNK, b"").decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"its JSON does not parse ({error})") from error
        if not isinstance(document, dict):
            raise InputError("its JSON is no object")
        return cls(document, chunks.get(_BIN_CHUNK, b""))

    def accessor(self, index: int) -> NDArray[np.float64]:
        """Read an accessor as (count, width), integers normalised to -1..1 or 0..1."""
        accessor = _at(self.document["accessors"], index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise InputError(f"accessor {index} is sparse or empty, which is not read")
        view = _at(self.document["bufferViews"], accessor["bufferView"])
        buffer = _at(self.document["buffers"], view["buffer"])
        if "uri" in buffer:
            raise InputError("its data lie in another file; only self-contained .glb is read")
        dtype = np.dtype(_DTYPES[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
        stride = int(view.get("byteStride", dtype.itemsize * width))
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        end = start + stride * (count - 1) + dtype.itemsize * width
        if count < 1 or start < 0 or stride < dtype.itemsize * width or end > len(self.data):
            raise InputError(f"accessor {index} reaches beyond the data: damaged")
        values = np.ndarray(
            (count, width), dtype, self.data, start, (stride, dtype.itemsize)
        ).astype(np.float64)
        if dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(dtype).max, -1)
        if not np.isfinite(values).all():
            raise InputError(f"accessor {index} has a number that is not finite")
        return values


@dataclass(frozen=True)
class _Track:
    """One animated property of a node."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    interpolation: str

    def at(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sample at moments (T,); before the first and after the last key it stands still."""
        if np.array_equal(moments, self.times):
            return self.values
        last = len(self.times) - 1
        after = np.clip(np.searchsorted(self.times, moments, side="right"), 1, max(last, 1))
        after = np.minimum(after, last)
        before = np.maximum(after - 1, 0)
        span = self.times[after] - self.times[before]
        fraction = np.clip((moments - self.times[before]) / np.where(span > 0, span, 1), 0, 1)
        if self.interpolation == "STEP":
            fraction = np.floor(fraction)
        if self.values.shape[1] == 4:
            return np.asarray(slerp(self.values[before], self.values[after], fraction), np.float64)
        weight = fraction[:, None]
        result: NDArray[np.float64] = (
            self.values[before] * (1 - weight) + self.values[after] * weight
        )
        return result


def _motion(file: _File, fps: float | None) -> Motion:
    nodes = file.document.get("nodes", [])
    if not nodes or len(nodes) > _MAX_NODES:
        raise InputError(f"{len(nodes)} nodes; a skeleton is needed")
    if not file.document.get("animations"):
        raise InputError("has no animation")
    animation = file.document["animations"][0]
    tracks = _tracks(file, animation)
    node_parents = _node_parents(nodes)
    joints = _joints(file, node_parents, tracks)
    rate, moments = _moments(animation, tracks, fps)

    index = {node: joint for joint, node in enumerate(joints)}
    parents = [index.get(node_parents[node], -1) for node in joints]
    if parents.count(-1) != 1:
        raise InputError(f"its skin has {parents.count(-1)} roots, one is read")
    rest = [_transform(nodes[node]) for node in joints]
    for node, (_, _, scale) in zip(joints, rest, strict=True):
        if np.abs(scale - 1).max() > 1e-3 or (node, "scale") in tracks:
            raise InputError(f"joint {_name(nodes, node)} is scaled; bones are rigid")
    offsets = np.array([translation for translation, _, _ in rest])
    rest_rotations = np.stack([rotation for _, rotation, _ in rest])
    local = np.tile(rest_rotations, (len(moments), 1, 1, 1))
    place = np.tile(offsets[0], (len(moments), 1))
    outer_scale, outer = _outer(nodes, node_parents, joints[0], tracks)
    for joint, node in enumerate(joints):
        turn, shift = tracks.get((node, "rotation")), tracks.get((node, "translation"))
        if turn is not None:
            local[:, joint] = quaternion_to_matrix(np.roll(turn.at(moments), 1, axis=-1))
        if shift is None:
            continue
        track = shift.at(moments)
        if joint == 0:
            place = track
            continue
        centre = np.median(track, axis=0)
        if np.abs(track - centre).max() * outer_scale > _STRETCH_TOLERANCE_M:
            name = _name(nodes, node)
            raise InputError(f"joint {name} moves relative to its parent; bones are rigid")
        offsets[joint] = centre
    root = place @ outer[:3, :3].T + outer[:3, 3]
    turn_outer = outer[:3, :3] / outer_scale
    local[:, 0] = turn_outer @ local[:, 0]

    # In the file a bone's offset is seen from its parent's frame at rest; turn those frames away.
    offsets *= outer_scale
    offsets[0] = 0
    bones = offsets.copy()
    for joint in range(1, len(joints)):
        bones[joint] += bones[parents[joint]]
    names = unique_names([_name(nodes, node) for node in joints])
    skeleton = Skeleton(
        name="gltf",
        joint_names=names,
        parents=np.array(parents),
        rest_positions=bones.astype(np.float32),
        **joint_groups(names),
    )
    rest_rotations[0] = turn_outer @ rest_rotations[0]
    frames = skeleton.local_to_global(rest_rotations).astype(np.float32)
    return on_known_skeleton(rebase(Motion.from_local(local, root, skeleton, rate), frames))


def _tracks(file: _File, animation: dict[str, Any]) -> dict[tuple[int, str], _Track]:
    tracks = {}
    for channel in animation["channels"]:
        target = channel["target"]
        if "node" not in target or target["path"] not in ("rotation", "translation", "scale"):
            continue
        sampler = _at(animation["samplers"], channel["sampler"])
        interpolation = sampler.get("interpolation", "LINEAR")
        if interpolation not in ("LINEAR", "STEP"):
            raise InputError(f"{interpolation} interpolation is not read; bake the animation")
        times = file.accessor(sampler["input"])[:, 0]
        values = file.accessor(sampler["output"])
        width = 4 if target["path"] == "rotation" else 3
        if len(times) != len(values) or values.shape[1] != width or (np.diff(times) <= 0).any():
            raise InputError(f"the {target['path']} keys of node {target['node']} do not fit")
        if width == 4 and (np.linalg.norm(values, axis=-1) < 1e-3).any():
            raise InputError(f"node {target['node']} has a rotation of length zero")
        if target["path"] == "scale" and np.abs(values - 1).max() < 1e-3:
            continue
        if width == 4:
            values = unit(values)
        tracks[int(target["node"]), str(target["path"])] = _Track(times, values, interpolation)
    if not tracks:
        raise InputError("its animation moves no node")
    return tracks


def _node_parents(nodes: list[dict[str, Any]]) -> list[int]:
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in node.get("children", ()):
            if not 0 <= child < len(nodes) or parents[child] >= 0:
                raise InputError(f"node {child} has two parents or does not exist")
            parents[child] = index
    return parents


def _joints(
    file: _File, node_parents: list[int], tracks: dict[tuple[int, str], _Track]
) -> list[int]:
    """The nodes of the first skin, or without one those that are animated; parents first."""
    skins = file.document.get("skins")
    chosen = set(skins[0]["joints"]) if skins else {node for node, _ in tracks}
    depths: dict[int, int] = {}
    for node in chosen:
        if not 0 <= node < len(node_parents):
            raise InputError(f"joint node {node} does not exist")
        depth, above = 0, node_parents[node]
        while above >= 0:
            depth, above = depth + 1, node_parents[above]
            if depth > len(node_parents):
                raise InputError("its nodes form a circle")
        depths[node] = depth
    return sorted(chosen, key=lambda node: (depths[node], node))


def _moments(
    animation: dict[str, Any], tracks: dict[tuple[int, str], _Track], fps: float | None
) -> tuple[float, NDArray[np.float64]]:
    """The frame rate and the times to sample at."""
    times = [track.times for track in tracks.values()]
    first, last = min(t[0] for t in times), max(t[-1] for t in times)
    longest = max(times, key=len)
    extras = animation.get("extras")
    stated = extras.get("fps") if isinstance(extras, dict) else None
    if isinstance(stated, int | float) and math.isfinite(stated) and stated > 0:
        own = float(stated)
    elif len(longest) > 1:
        own = 1 / float(np.median(np.diff(longest)))
        if abs(own - round(own)) < 1e-2 * own and round(own) > 0:
            own = float(round(own))
    else:
        own = 30.0
    same = all(len(t) == len(longest) and np.array_equal(t, longest) for t in times)
    even = len(longest) < 2 or np.abs(np.diff(longest) * own - 1).max() < 1e-2
    if same and even and (fps is None or fps == own):
        return own, longest
    rate = fps or own
    count = math.floor((last - first) * rate + 1e-3) + 1
    if count > _MAX_FRAMES:
        raise InputError(f"{last - first:g} seconds at {rate:g} fps are too many frames")
    return rate, first + np.arange(count) / rate


def _transform(
    node: dict[str, Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A node's translation (3,), rotation matrix (3, 3) and scale (3,)."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        parts = (matrix[:3, 3], matrix[:3, :3] / scale, scale)
    else:
        x, y, z, w = node.get("rotation", (0, 0, 0, 1))
        parts = (
            np.array(node.get("translation", (0, 0, 0)), np.float64),
            np.asarray(quaternion_to_matrix(np.array([w, x, y, z], np.float64))),
            np.array(node.get("scale", (1, 1, 1)), np.float64),
        )
    if [part.shape for part in parts] != [(3,), (3, 3), (3,)] or not all(
        np.isfinite(part).all() for part in parts
    ):
        raise InputError(f"node {node.get('name', '')!r} has no proper transform")
    return parts


def _outer(
    nodes: list[dict[str, Any]],
    node_parents: list[int],
    root: int,
    tracks: dict[tuple[int, str], _Track],
) -> tuple[float, NDArray[np.float64]]:
    """What stands above the root joint: its uniform scale and its whole matrix (4, 4)."""
    matrix = np.eye(4)
    above = node_parents[root]
    while above >= 0:
        if any((above, path) in tracks for path in ("rotation", "translation", "scale")):
            raise InputError(f"node {_name(nodes, above)} above the skeleton moves too")
        translation, rotation, scale = _transform(nodes[above])
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotation * scale, translation
        matrix, above = local @ matrix, node_parents[above]
    scales = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.ptp(scales) > 1e-3 * scales.max() or not np.linalg.det(matrix[:3, :3]) > 0:
        raise InputError("the nodes above the skeleton scale unevenly or mirror")
    return float(scales.mean()), matrix


def _name(nodes: list[dict[str, Any]], node: int) -> str:
    return str(nodes[node].get("name", f"node{node}"))


def _at(items: list[Any], index: int) -> Any:
    if not isinstance(index, int) or not 0 <= index < len(items):
        raise InputError(f"an index {index} points at nothing: damaged")
    return items[index]
