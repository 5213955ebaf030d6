"""Small glTF files of the kinds that people have, and what independent software makes of them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from places import NODE
from scipy.spatial.transform import Rotation, Slerp

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def turns(axis: str, *degrees: float) -> np.ndarray:
    """Quaternions x y z w about an axis."""
    angles = np.reshape(degrees, (-1, 1))
    return np.asarray(Rotation.from_euler(axis, angles, degrees=True).as_quat())


class GltfFiles:
    """Builds one file: nodes by name, tracks, skins; then saves it in any container."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = []
        self.document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0}

    def index(self, name: str) -> int:
        return [node.get("name") for node in self.nodes].index(name)

    def node(self, name: str, parent: str | None = None, **values: Any) -> None:
        self.nodes.append({"name": name, **values})
        if parent is not None:
            above = self.nodes[self.index(parent)]
            above.setdefault("children", []).append(len(self.nodes) - 1)

    def chain(self, *names: str, offset: tuple[float, float, float] = (0, 0.3, 0)) -> None:
        """Add joints, each below the one before; the first name must exist or is a root."""
        for parent, name in zip((None, *names), names, strict=False):
            if name not in [node["name"] for node in self.nodes]:
                self.node(name, parent, translation=list(offset))

    def view(self, values: np.ndarray) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)})
        self.data.extend(raw)
        return len(self.views) - 1

    def accessor(self, values: np.ndarray, dtype: str = "f4", **more: Any) -> int:
        values = np.asarray(values, dtype).reshape(len(values), -1)
        accessor = {
            "bufferView": self.view(values),
            "componentType": COMPONENTS[dtype],
            "count": len(values),
            "type": KINDS[values.shape[1]],
            **more,
        }
        self.accessors.append({k: v for k, v in accessor.items() if v is not None})
        return len(self.accessors) - 1

    def sparse(self, values: np.ndarray, *places: int) -> int:
        """Store rows that are not zero, over an accessor without data."""
        index = self.accessor(np.zeros_like(values), bufferView=None)
        self.accessors[index]["sparse"] = {
            "count": len(places),
            "indices": {"bufferView": self.view(np.array(places, "u2")), "componentType": 5123},
            "values": {"bufferView": self.view(np.asarray(values, "f4")[list(places)])},
        }
        return index

    def track(
        self,
        node: str,
        path: str,
        times: Any,
        values: Any,
        kind: str | None = None,
        animation: str = "clip",
    ) -> None:
        """Animate a node; values are rows, or the index of an accessor."""
        animations = self.document.setdefault("animations", [])
        found = next((a for a in animations if a["name"] == animation), None)
        if found is None:
            found = {"name": animation, "channels": [], "samplers": []}
            animations.append(found)
        times = np.asarray(times, np.float64)
        first, last = (float(np.float32(time)) for time in (times[0], times[-1]))
        bounds: dict[str, Any] = {"min": [first], "max": [last]}
        output = values if isinstance(values, int) else self.accessor(np.asarray(values))
        sampler = {"input": self.accessor(times, **bounds), "output": output}
        found["samplers"].append(sampler | ({"interpolation": kind} if kind else {}))
        target = {"node": self.index(node), "path": path}
        found["channels"].append({"sampler": len(found["samplers"]) - 1, "target": target})

    def skin(self, *names: str) -> None:
        skins = self.document.setdefault("skins", [])
        skins.append({"joints": [self.index(name) for name in names]})

    def mesh(self, *names: str, skin: int = 0) -> None:
        """A triangle that these joints move."""
        joints = self.document["skins"][skin]["joints"]
        places = np.zeros((3, 4))
        weights = np.zeros((3, 4))
        for corner in range(3):
            for column, name in enumerate(names[:4]):
                places[corner, column] = joints.index(self.index(name))
                weights[corner, column] = 1 / len(names[:4])
        corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
        attributes = {
            "POSITION": self.accessor(corners, min=[0, 0, 0], max=[1, 1, 0]),
            "JOINTS_0": self.accessor(places, "u1"),
            "WEIGHTS_0": self.accessor(weights),
        }
        meshes = self.document.setdefault("meshes", [])
        meshes.append({"primitives": [{"attributes": attributes}]})
        self.node(f"mesh{len(meshes)}", mesh=len(meshes) - 1, skin=skin)

    def whole(self, uri: str | None = None) -> dict[str, Any]:
        children = {child for node in self.nodes for child in node.get("children", ())}
        roots = [index for index in range(len(self.nodes)) if index not in children]
        buffer: dict[str, Any] = {"byteLength": len(self.data)}
        if uri is not None:
            buffer["uri"] = uri
        return {
            **self.document,
            "scenes": [{"nodes": roots}],
            "nodes": self.nodes,
            "buffers": [buffer],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }

    def save(self, path: Path, uri: str | None = None) -> Path:
        """Write .glb (or .vrma); or .gltf, with the data under a URI, in it unless told."""
        data = bytes(self.data)
        if path.suffix == ".gltf":
            inside = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
            path.write_text(json.dumps(self.whole(uri or inside)))
            return path
        path.write_bytes(glb(self.whole(uri), data))
        return path


def glb(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(data))
    chunks = struct.pack("<II", len(text), 0x4E4F534A), struct.pack("<II", len(data), 0x004E4942)
    return head + chunks[0] + text + chunks[1] + data


def by_numpy(path: Path, moments: list[float], animation: int = 0) -> np.ndarray:
    """World positions [moment][node] by glTF's rules: pygltflib's document, numpy and scipy."""
    document = pygltflib.GLTF2().load_binary(str(path))
    tracks = {}
    for channel in document.animations[animation].channels:
        sampler = document.animations[animation].samplers[channel.sampler]
        tracks[channel.target.node, channel.target.path] = (
            _values(document, sampler.input)[:, 0],
            _values(document, sampler.output),
            sampler.interpolation or "LINEAR",
        )
    result = np.zeros((len(moments), len(document.nodes), 3))
    for row, moment in enumerate(moments):
        stack = [(node, np.eye(4)) for node in document.scenes[0].nodes]
        while stack:
            index, above = stack.pop()
            node = document.nodes[index]
            if node.matrix is not None:
                local = np.array(node.matrix).reshape(4, 4).T
            else:
                parts = {
                    "translation": node.translation or [0, 0, 0],
                    "rotation": node.rotation or [0, 0, 0, 1],
                    "scale": node.scale or [1, 1, 1],
                }
                for name in parts:
                    if (index, name) in tracks:
                        parts[name] = _sampled(*tracks[index, name], moment)
                local = np.eye(4)
                turn = Rotation.from_quat(parts["rotation"]).as_matrix()
                local[:3, :3] = turn * np.array(parts["scale"])
                local[:3, 3] = parts["translation"]
            world = above @ local
            result[row, index] = world[:3, 3]
            stack += [(child, world) for child in node.children or ()]
    return result


def _sampled(times: np.ndarray, values: np.ndarray, kind: str, moment: float) -> np.ndarray:
    moment = float(np.clip(moment, times[0], times[-1]))
    after = min(max(int(np.searchsorted(times, moment, side="right")), 1), len(times) - 1)
    before = max(after - 1, 0)
    if kind == "STEP":
        return np.asarray(values[np.flatnonzero(times <= moment + 1e-6)[-1]])
    if kind == "CUBICSPLINE":
        keys = values.reshape(len(times), 3, -1)
        long = times[after] - times[before]
        t = (moment - times[before]) / long
        basis = [2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, 3 * t**2 - 2 * t**3, t**3 - t**2]
        parts = [keys[before, 1], long * keys[before, 2], keys[after, 1], long * keys[after, 0]]
        return np.asarray(sum(b * part for b, part in zip(basis, parts, strict=True)))
    if values.shape[1] == 4:
        return np.asarray(Slerp(times, Rotation.from_quat(values))(moment).as_quat())
    return np.array([np.interp(moment, times, column) for column in values.T])


def _values(document: pygltflib.GLTF2, index: int) -> np.ndarray:
    accessor = document.accessors[index]
    dtype = {code: "<" + name for name, code in COMPONENTS.items()}[accessor.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]

    def rows(view_index: int, count: int, kind: str, columns: int) -> np.ndarray:
        view = document.bufferViews[view_index]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        blob = document.binary_blob()
        return np.frombuffer(blob, kind, count * columns, start).reshape(count, columns)

    values = np.zeros((accessor.count, width))
    if accessor.bufferView is not None:
        values = rows(accessor.bufferView, accessor.count, dtype, width).astype(np.float64)
    if accessor.sparse is not None:
        count = accessor.sparse.count
        places = rows(accessor.sparse.indices.bufferView, count, "<u2", 1)[:, 0]
        values[places] = rows(accessor.sparse.values.bufferView, count, dtype, width)
    if accessor.normalized:
        values = np.maximum(values / np.iinfo(dtype).max, -1)
    return values


def by_node(script: str, *arguments: object) -> Any:
    """Run one of the scripts in tests/node, and take the JSON that it prints."""
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    present = all((NODE / "node_modules" / name).is_dir() for name in wanted)
    if not shutil.which("node") or not present:
        missing = "needs node and: npm install --prefix tests/node"
        # Where everything is to be proven, a missing validator is a failure.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    command = ["node", str(NODE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
