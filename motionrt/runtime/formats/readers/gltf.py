"""Read an animation of a glTF 2.0 file: .glb, .gltf or .vrma (VRM Animation)."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.joint_names import joint_groups, joint_roles
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.rest_pose import rebase
from motionrt.runtime.body.rotation import quaternion_to_matrix, slerp, unit
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.formats.budget import most_poses
from motionrt.runtime.formats.carried import (
    STRETCH_TOLERANCE_M,
    Body,
    carried_body,
    is_hips,
    listed,
)
from motionrt.runtime.formats.gltf_file import GltfFile, item
from motionrt.runtime.formats.known_skeletons import on_known_skeleton, unique_names

_Array = NDArray[np.float64]

_PATHS = {"translation": 3, "rotation": 4, "scale": 3}
_MAX_NODES, _MAX_JOINTS = 100_000, 10_000
_SPARSE_FPS, _DENSE_FPS, _SAMPLED_FPS = 10.0, 120.0, 30.0
_EVEN = 1e-3
"""Scales that differ less are the same."""
_LISTED = 20
_VRM_ANIMATION = "VRMC_vrm_animation"


def read_gltf(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    animation: str | int | None = None,
) -> Motion:
    """Read one animation of a .glb, .gltf or .vrma, on the skeleton that it moves.

    The skeleton is that of the skins, or without one the animated nodes with all between them. What
    moves above it, armatures and root bones, is in the root's motion. A file on one of motionrt's
    skeletons comes back on that skeleton. `Motion.notes` says what was chosen or left away.

    Args:
        path: the file; buffers in other files have to lie in its folder.
        fps: sample at this rate. None: the animation's own frames if it has one set of evenly
            spaced times, as ours has; otherwise the rate of its keys.
        animation: its name or its index, from 0. None: the first that moves the skeleton.

    Raises:
        InputError: in one line, if it is no such file.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps}, it must be above zero")
    try:
        with np.errstate(all="ignore"):  # what is not finite in the end is refused
            return _Scene(GltfFile.open(Path(path))).motion(fps, animation)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        told = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{path}: damaged glTF ({told})") from error


@dataclass(frozen=True)
class _Track:
    """One animated property of a node."""

    times: _Array
    values: _Array
    """(keys, width), or (keys, 3, width) of a cubic spline: in-tangent, value, out-tangent."""
    interpolation: str

    def at(self, moments: _Array) -> _Array:
        """Sample at moments (T,); before the first and after the last key it stands still."""
        cubic = self.interpolation == "CUBICSPLINE"
        points = self.values[:, 1] if cubic else self.values
        if np.array_equal(moments, self.times):
            return unit(points) if cubic and points.shape[1] == 4 else points
        # A moment that is a key but for rounding is that key: STEP would jump a frame late.
        slack = 4 * float(np.finfo(np.float32).eps) * np.abs(moments) + 1e-9
        last = len(self.times) - 1
        before = np.searchsorted(self.times, moments + slack, side="right") - 1
        before = np.clip(before, 0, last)
        after = np.minimum(before + 1, last)
        span = self.times[after] - self.times[before]
        fraction = np.clip((moments - self.times[before]) / np.where(span > 0, span, 1), 0, 1)
        if self.interpolation == "STEP":
            return points[before]
        t = fraction[:, None]
        if cubic:
            t2, t3, long = t * t, t * t * t, span[:, None]
            result: _Array = (
                (2 * t3 - 3 * t2 + 1) * points[before]
                + long * (t3 - 2 * t2 + t) * self.values[before, 2]
                + (3 * t2 - 2 * t3) * points[after]
                + long * (t3 - t2) * self.values[after, 0]
            )
            return unit(result) if result.shape[1] == 4 else result
        if points.shape[1] == 4:
            return np.asarray(slerp(points[before], points[after], fraction), np.float64)
        result = points[before] * (1 - t) + points[after] * t
        return result


class _Scene:
    """The nodes of a file, and what an animation does with them."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        document = file.document
        self.nodes: list[dict[str, Any]] = document.get("nodes") or []
        if not self.nodes or len(self.nodes) > _MAX_NODES:
            raise InputError(f"{len(self.nodes)} nodes; a skeleton is needed")
        for index in range(len(self.nodes)):
            item(self.nodes, index)
        self.parents = _node_parents(self.nodes)
        self.depths = _depths(self.nodes, self.parents)
        self.order = sorted(range(len(self.nodes)), key=lambda node: (self.depths[node], node))
        self.names = [_name(node, index) for index, node in enumerate(self.nodes)]
        self.notes: list[str] = []
        self.humanoid = self._humanoid()
        self._rests: dict[int, tuple[_Array, _Array, _Array]] = {}
        self._skin: list[int] = []
        """The joints of the skins, which are the same for every animation."""
        self._skeleton: set[int] | None = None

    def motion(self, fps: float | None, animation: str | int | None) -> Motion:
        """Make the motion of one animation."""
        targets, channels, stated = self._animation(animation)
        joints = self._joints(targets)
        above = self._above(joints[0])
        if len(joints) + len(above) > _MAX_JOINTS:
            raise InputError(f"more than {_MAX_JOINTS} joints")
        tracks = self._tracks(channels, {*joints, *above})
        rate, moments = self._moments(tracks, stated, fps, len(joints) + len(above))
        apart = targets.keys() - {*joints, *above} - self._faces()
        if apart and not self._skin:
            told = listed([self.names[node] for node in sorted(apart)])
            self.notes.append(f"left away, it moves apart from the skeleton: {told}")
        body, rests = self._body(above, joints, _Poses(self, tracks, moments))
        # In the file a bone's offset is seen from its parent's frame at rest; turn those away.
        bones = body.offsets.copy()
        for joint in range(1, len(bones)):
            bones[joint] += bones[body.parents[joint]]
        names = unique_names(body.names)
        skeleton = Skeleton(
            name="gltf",
            joint_names=names,
            parents=np.array(body.parents),
            rest_positions=bones.astype(np.float32),
            **joint_groups(names),
        )
        in_file = Motion.from_local(body.rotations, body.root, skeleton, rate)
        motion = on_known_skeleton(rebase(in_file, rests[body.kept].astype(np.float32)))
        motion.notes += self.notes
        return motion

    def _body(self, above: list[int], joints: list[int], poses: _Poses) -> tuple[Body, _Array]:
        """The body among the joints, and the world rotations (J, 3, 3) of all joints at rest."""
        place, turn, scale, rest = np.zeros((1, 3)), np.eye(3)[None], np.ones(1), np.eye(3)
        for node in above:
            place = place + scale[:, None] * _turned(turn, poses.translation(node))
            turn = turn @ poses.rotation(node)
            own = poses.uniform_scale(node)
            if own is None:
                raise InputError(f"node {self.names[node]} above the skeleton scales unevenly")
            scale, rest = scale * own, rest @ self.rest(node)[1]

        index = {node: joint for joint, node in enumerate(joints)}
        names = [self.humanoid.get(node, self.names[node]) for node in joints]
        parents = [index.get(self.parents[node], -1) for node in joints]
        down_to_hips = _down_to_hips(names, parents)
        frames = len(poses.moments)
        local = np.empty((frames, len(joints), 3, 3))
        rests = np.empty((len(joints), 3, 3))
        offsets = np.zeros((len(joints), 3))
        root = place
        moving: dict[int, _Array] = {}
        scales: list[_Array] = []
        slides, unsteady, scaled = False, False, []
        for joint, node in enumerate(joints):
            outer = scale if joint == 0 else scales[parents[joint]]
            if joint not in down_to_hips and len(outer) > 1:
                # Bones have one length: below a scale that changes they have the middle one.
                unsteady = unsteady or bool(np.ptp(outer) > _EVEN * outer.max())
                outer = np.median(outer, keepdims=True)
            track = outer[:, None] * poses.translation(node)
            local[:, joint] = poses.rotation(node)
            if joint == 0:
                root = place + _turned(turn, track)
                local[:, 0] = turn @ local[:, 0]
            else:
                offsets[joint] = np.median(track, axis=0)
                slides = slides or bool(np.abs(track - offsets[joint]).max() > STRETCH_TOLERANCE_M)
                if len(track) > 1 or poses.has_track(node, "translation"):
                    moving[joint] = np.broadcast_to(track, (frames, 3))
            own = poses.uniform_scale(node) if joint in down_to_hips else None
            if own is None and poses.is_scaled(node):
                scaled.append(names[joint])
            scales.append(outer if own is None else outer * own)
            rests[joint] = (rest if joint == 0 else rests[parents[joint]]) @ self.rest(node)[1]

        body = carried_body(
            names,
            parents,
            offsets,
            local,
            moving,
            np.broadcast_to(root, (frames, 3)),
            weighted=self._weighted(index) if slides else None,
        )
        self.notes += body.notes
        if scaled:
            self.notes.append(f"left away, the scale of bones: {listed(scaled)}")
        if unsteady:
            self.notes.append("the figure's scale changes; its bones keep the middle one")
        return body, rests

    def rest(self, node: int) -> tuple[_Array, _Array, _Array]:
        """A node's translation (3,), rotation matrix (3, 3) and scale (3,), without animation."""
        if node not in self._rests:
            self._rests[node] = _transform(self.nodes[node], self.names[node])
        return self._rests[node]

    def _animation(
        self, asked: str | int | None
    ) -> tuple[dict[int, set[str]], list[dict[str, Any]], Any]:
        """What an animation moves, node -> paths; its channels; the fps that it states."""
        animations = self.file.document.get("animations")
        if not isinstance(animations, list) or not animations:
            raise InputError("has no animation")
        names = [one_line(item(animations, i).get("name", "")) for i in range(len(animations))]
        order = range(len(animations)) if asked is None else [_index_of(asked, names)]
        for index in order:
            channels: list[dict[str, Any]] = []
            targets: dict[int, set[str]] = {}
            for channel in animations[index].get("channels", ()):
                target = channel["target"]
                node, path = target.get("node"), target["path"]
                if node is None or path not in _PATHS:
                    continue
                item(self.nodes, node)
                targets.setdefault(node, set()).add(path)
                channels.append(
                    {**channel, "sampler": item(animations[index]["samplers"], channel["sampler"])}
                )
            if targets and (asked is not None or self._moves_skeleton(targets)):
                break
        else:
            raise InputError(f"its animation{'s move' if len(names) > 1 else ' moves'} no node")
        if asked is None and len(names) > 1:
            told = [f"{i} {name!r}" if name else str(i) for i, name in enumerate(names)]
            others = listed([*told[:index], *told[index + 1 :]], _LISTED)
            self.notes.append(
                f"animation {told[index]} of {len(names)} is read; the others are {others}"
            )
        extras = animations[index].get("extras")
        return targets, channels, extras.get("fps") if isinstance(extras, dict) else None

    def _moves_skeleton(self, targets: dict[int, set[str]]) -> bool:
        joints = self._joints(targets)
        if self._skeleton is None or not self._skin:
            self._skeleton = {*joints, *self._above(joints[0])}
        return not self._skeleton.isdisjoint(targets)

    def _humanoid(self) -> dict[int, str]:
        """Node -> bone of a VRM Animation; empty for other files."""
        extension = self.file.document.get("extensions", {}).get(_VRM_ANIMATION)
        if extension is None:
            return {}
        found = {}
        for bone, place in extension["humanoid"]["humanBones"].items():
            item(self.nodes, place["node"])
            found[place["node"]] = one_line(bone)
        return found

    def _faces(self) -> set[int]:
        """Nodes of a VRM Animation whose translation is no place: expressions, and the gaze."""
        extension = self.file.document.get("extensions", {}).get(_VRM_ANIMATION) or {}
        places = [extension.get("lookAt", {})]
        for kind in ("preset", "custom"):
            places += extension.get("expressions", {}).get(kind, {}).values()
        return {place["node"] for place in places if "node" in place}

    def _joints(self, targets: dict[int, set[str]]) -> list[int]:
        """The nodes of the skeleton, one tree, parents first."""
        skins = self.file.document.get("skins")
        if self.humanoid:
            trees = self._trees({*self.humanoid, *targets} - self._faces())
        elif skins:
            if not self._skin:
                trees = self._trees(self._skin_joints(skins))
                self._skin = max(trees, key=self._body_size)
            return self._skin
        else:
            bodies = {node for node in targets if not _films_or_shines(self.nodes[node])}
            trees = self._trees(bodies or set(targets))
        return max(trees, key=self._body_size)

    def _body_size(self, tree: list[int]) -> tuple[int, int]:
        names = [self.humanoid.get(node, self.names[node]) for node in tree]
        return any(map(is_hips, names)), len(tree)

    def _skin_joints(self, skins: list[Any]) -> set[int]:
        """The joints of the skins that make the body; those of other figures are noted."""
        lists = [item(skins, index).get("joints", []) for index in range(len(skins))]
        joints: set[int] = set()
        for nodes in lists:
            for node in nodes:
                item(self.nodes, node)
            joints.update(nodes)
        if not joints:
            raise InputError("its skins have no joints")
        # The highest joint above each node: what lies below one joint is one figure ...
        top: dict[int, int] = {}
        for node in self.order:
            above = top.get(self.parents[node], -1)
            if above >= 0 or node in joints:
                top[node] = above if above >= 0 else node
        # ... and so is what one skin holds together.
        group = {node: node for node in top.values()}

        def leader(node: int) -> int:
            while group[node] != node:
                group[node] = group[group[node]]
                node = group[node]
            return node

        for nodes in lists:
            for node in nodes[1:]:
                group[leader(top[node])] = leader(top[nodes[0]])
        figures: dict[int, set[int]] = {}
        for node in joints:
            figures.setdefault(leader(top[node]), set()).add(node)
        first, *others = sorted(
            figures.values(), key=lambda nodes: self._body_size(sorted(nodes)), reverse=True
        )
        body = set(first)
        if others and len(others) <= _LISTED:
            roles = set(self._roles(body))
            for other in list(others):
                more = set(self._roles(other))
                if more and roles.isdisjoint(more):  # legs to a trunk, no second person
                    body |= other
                    roles |= more
                    others.remove(other)
        if others:
            count = sum(map(len, others))
            self.notes.append(f"left away, {count} joints of {len(others)} other skinned figures")
        highest = min(body, key=lambda node: self.depths[node])
        for node in reversed(self._above(highest)):
            if is_hips(self.names[node]):  # hair alone is skinned, and the body moves it
                body.add(node)
        return body

    def _roles(self, nodes: Iterable[int]) -> dict[str, int]:
        return joint_roles([self.names[node] for node in nodes])

    def _trees(self, chosen: set[int]) -> list[list[int]]:
        """Complete nodes to trees: with all between them, below the lowest that has all of them."""
        below = dict.fromkeys(chosen, 1)
        for node in reversed(self.order):
            parent = self.parents[node]
            if node in below and parent >= 0:
                below[parent] = below.get(parent, 0) + below[node]
        trees: list[list[int]] = []
        tree_of: dict[int, int] = {}
        for node in self.order:
            if node not in below:
                continue
            if self.parents[node] in tree_of:
                tree_of[node] = tree_of[self.parents[node]]
                trees[tree_of[node]].append(node)
            elif node in chosen or not any(
                below.get(child) == below[node] for child in self.nodes[node].get("children", ())
            ):
                tree_of[node] = len(trees)
                trees.append([node])
        return trees

    def _above(self, node: int) -> list[int]:
        """What stands above a node, from the outside inwards."""
        found = []
        while (node := self.parents[node]) >= 0:
            found.append(node)
        return found[::-1]

    def _tracks(
        self, channels: list[dict[str, Any]], wanted: set[int]
    ) -> dict[tuple[int, str], _Track]:
        tracks = {}
        for channel in channels:
            node, path = channel["target"]["node"], channel["target"]["path"]
            if node not in wanted:
                continue
            sampler, width = channel["sampler"], _PATHS[path]
            kind = sampler.get("interpolation", "LINEAR")
            if kind not in ("LINEAR", "STEP", "CUBICSPLINE"):
                raise InputError(f"node {self.names[node]}: unknown interpolation")
            times = self.file.accessor(sampler["input"])[:, 0]
            values = self.file.accessor(sampler["output"], rotations=path == "rotation")
            per_key = 3 if kind == "CUBICSPLINE" else 1
            steps = np.diff(times)
            if len(values) != len(times) * per_key or values.shape[1] != width or (steps < 0).any():
                raise InputError(f"the {path} keys of node {self.names[node]} do not fit")
            if per_key == 3:
                values = values.reshape(-1, 3, width)
            if (steps == 0).any():  # of two keys at one time the later is the one that stays
                last = np.append(steps > 0, True)
                times, values = times[last], values[last]
            points = values[:, 1] if per_key == 3 else values
            if width == 4:
                if (np.linalg.norm(points, axis=-1) < 1e-3).any():
                    raise InputError(f"node {self.names[node]} has a rotation of length zero")
                values = values if per_key == 3 else unit(values)
            tracks[node, path] = _Track(times, values, kind)
        if not tracks:
            raise InputError("its animation moves no joint of the skeleton")
        return tracks

    def _moments(
        self,
        tracks: dict[tuple[int, str], _Track],
        stated: Any,
        fps: float | None,
        num_nodes: int,
    ) -> tuple[float, _Array]:
        """The frame rate and the times to sample at."""
        times = [track.times for track in tracks.values()]
        first, last = min(t[0] for t in times), max(t[-1] for t in times)
        longest = max(times, key=len)
        same = all(t is longest or np.array_equal(t, longest) for t in times)
        if isinstance(stated, int | float) and math.isfinite(stated) and 0 < stated <= 1e6:
            own = float(stated)
        else:
            own = _rate(longest) if same else _rate(_united(times))
            if own < _SPARSE_FPS or (not same and own > _DENSE_FPS):
                own = _SAMPLED_FPS
        even = len(longest) < 2 or np.abs(np.diff(longest) * own - 1).max() < 1e-2
        rate = fps or own
        keys = same and even and rate == own
        count = len(longest) if keys else math.floor(min((last - first) * rate, 1e15) + 1e-3) + 1
        most = most_poses(self.file.num_bytes)
        if count * num_nodes > most:
            raise InputError(
                f"{count} frames of {num_nodes} joints ({last - first:g} seconds at {rate:g} fps) "
                f"are more than {most} poses of a joint; cut it, or sample it at fewer fps"
            )
        return (own, longest) if keys else (rate, first + np.arange(count) / rate)

    def _weighted(self, joints: dict[int, int]) -> set[int] | None:
        """Which joints move some of a skin; None if no mesh tells."""
        meshes, skins = self.file.document.get("meshes", []), self.file.document.get("skins", [])
        found: set[int] = set()
        told = False
        try:
            for node in self.nodes:
                if "mesh" not in node or "skin" not in node:
                    continue
                bones = np.array(item(skins, node["skin"])["joints"], np.int64)
                for primitive in item(meshes, node["mesh"])["primitives"]:
                    if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
                        return None
                    attributes = primitive["attributes"]
                    for name in attributes:
                        if not name.startswith("WEIGHTS_"):
                            continue
                        weights = self.file.accessor(attributes[name])
                        places = self.file.accessor(attributes[name.replace("WEIGHTS", "JOINTS")])
                        used = np.unique(places[weights > 0]).astype(np.int64)
                        found.update(bones[used].tolist())
                        told = True
        except (InputError, LookupError, TypeError, ValueError, AttributeError):
            return None
        return {joints[node] for node in found if node in joints} if told else None


class _Poses:
    """Nodes relative to their parents: (T, ...) where they are animated, (1, ...) where not."""

    def __init__(
        self, scene: _Scene, tracks: dict[tuple[int, str], _Track], moments: _Array
    ) -> None:
        self.scene, self.tracks, self.moments = scene, tracks, moments

    def translation(self, node: int) -> _Array:
        return self._at(node, "translation", 0)

    def rotation(self, node: int) -> _Array:
        if (node, "rotation") not in self.tracks:
            return self.scene.rest(node)[1][None]
        quaternions = self.tracks[node, "rotation"].at(self.moments)
        return np.asarray(quaternion_to_matrix(np.roll(quaternions, 1, axis=-1)), np.float64)

    def has_track(self, node: int, path: str) -> bool:
        return (node, path) in self.tracks

    def is_scaled(self, node: int) -> bool:
        return bool(np.abs(self._at(node, "scale", 2) - 1).max() > _EVEN)

    def uniform_scale(self, node: int) -> _Array | None:
        """One number a frame; None where it is uneven, mirrors or is nothing."""
        scale = self._at(node, "scale", 2)
        if (
            scale.min() < 0
            or scale.max() == 0
            or (np.ptp(scale, axis=1) > _EVEN * scale.max(axis=1)).any()
        ):
            return None
        return np.asarray(scale.mean(axis=1), np.float64)

    def _at(self, node: int, path: str, part: int) -> _Array:
        if (node, path) not in self.tracks:
            return self.scene.rest(node)[part][None]
        values = self.tracks[node, path].at(self.moments)
        # Exporters write keys for what stands still.
        return values[:1] if path == "scale" and np.ptp(values, axis=0).max() == 0 else values


def _turned(turns: _Array, vectors: _Array) -> _Array:
    result: _Array = (turns @ vectors[..., None])[..., 0]
    return result


def _united(times: list[_Array]) -> _Array:
    different = {id(keys): keys for keys in times}  # many tracks share an accessor
    return np.unique(np.concatenate(list(different.values())))


def _rate(times: _Array) -> float:
    """Keys per second, a whole number if it is one but for rounding."""
    steps = np.diff(times)
    steps = steps[steps > 1e-5]
    if not len(steps):
        return _SAMPLED_FPS
    middle = float(np.median(steps))
    if np.abs(steps / middle - 1).max() < 1e-2:
        middle = float(steps.mean())
    rate = 1 / middle
    return float(round(rate)) if abs(rate - round(rate)) < 5e-4 * rate else rate


def _down_to_hips(names: list[str], parents: list[int]) -> set[int]:
    """The root and what leads from it to the hips: what is scaled there scales the whole figure."""
    joint = next((joint for joint, name in enumerate(names) if is_hips(name)), 0)
    found = {0}
    while joint > 0:
        found.add(joint)
        joint = parents[joint]
    return found


def _index_of(asked: str | int, names: list[str]) -> int:
    """Which animation is meant: a name, or an index."""
    if isinstance(asked, str):
        if asked in names:
            return names.index(asked)
        close = [index for index, name in enumerate(names) if name.lower() == asked.lower()]
        if len(close) == 1:
            return close[0]
        asked = int(asked) if asked.isdecimal() and len(asked) < 9 else asked
    if isinstance(asked, int) and 0 <= asked < len(names):
        return asked
    told = listed([f"{index} {name!r}" for index, name in enumerate(names)], _LISTED)
    raise InputError(f"has no animation {asked!r}; there are {told}")


def _films_or_shines(node: dict[str, Any]) -> bool:
    return "camera" in node or "KHR_lights_punctual" in node.get("extensions", {})


def _node_parents(nodes: list[dict[str, Any]]) -> list[int]:
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in node.get("children", ()):
            if not isinstance(child, int) or not 0 <= child < len(nodes) or parents[child] >= 0:
                raise InputError(f"node {one_line(child, 20)} has two parents or does not exist")
            parents[child] = index
    return parents


def _depths(nodes: list[dict[str, Any]], parents: list[int]) -> list[int]:
    depths = [-1] * len(nodes)
    level = [node for node, parent in enumerate(parents) if parent < 0]
    depth = num_found = 0
    while level:
        for node in level:
            depths[node] = depth
        num_found += len(level)
        level = [child for node in level for child in nodes[node].get("children", ())]
        depth += 1
    if num_found < len(nodes):
        raise InputError("its nodes form a circle")
    return depths


def _transform(node: dict[str, Any], name: str) -> tuple[_Array, _Array, _Array]:
    """A node's translation (3,), rotation matrix (3, 3) and scale (3,)."""
    with np.errstate(all="ignore"):
        if "matrix" in node:
            matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
            scale = np.linalg.norm(matrix[:3, :3], axis=0)
            if np.linalg.det(matrix[:3, :3]) < 0:
                scale = -scale
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
        raise InputError(f"node {name} has no proper transform")
    if np.abs(parts[1].T @ parts[1] - np.eye(3)).max() > 1e-2:
        raise InputError(f"node {name} is skewed; bones are rigid")
    return parts


def _name(node: dict[str, Any], index: int) -> str:
    return one_line(node.get("name", "")) or f"node{index}"
