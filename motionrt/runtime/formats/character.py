"""A character to retarget to: its skeleton, and the file in which its own mesh moves.

Of .glb, .gltf and .vrm all is kept as it was: mesh, skin, materials, other animations. The motion
is one more animation, in front of them.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.bone_mapping import BoneMap, map_bones, vrm_role
from motionrt.runtime.body.joint_names import joint_groups
from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.root_motion import SMOOTH_SECONDS, carried_by_root
from motionrt.runtime.body.rotation import (
    continuous_quaternions,
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about_y,
    unit,
)
from motionrt.runtime.body.skeleton import SKELETON_NAMES, Skeleton, load_skeleton
from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.files import atomic_file, refuse_lfs_pointer
from motionrt.runtime.formats.blender import convert_by_blender
from motionrt.runtime.formats.gltf_file import GltfFile, item
from motionrt.runtime.formats.known_skeletons import unique_names
from motionrt.runtime.formats.table import format_to_write, writer_options
from motionrt.runtime.formats.writers.fbx import fbx_of_glb
from motionrt.runtime.formats.writers.gltf import Buffer, container

Array = NDArray[np.float64]

GLTF_ENDINGS = (".glb", ".gltf", ".vrm")
_MAX_NODES = 10_000
_EVEN = 1e-2
_STILL = 1e-6
_VRM_0_THUMBS = {"Proximal": "Metacarpal", "Intermediate": "Proximal"}


@dataclass(frozen=True)
class Character:
    """A skeleton whose root is the hips, with its bones, and the file that it came out of."""

    skeleton: Skeleton
    bones: BoneMap
    notes: tuple[str, ...] = ()
    file: _GltfCharacter | None = None
    """None if the file holds no mesh."""

    def save(
        self,
        motion: Motion,
        path: str | os.PathLike[str],
        *,
        name: str = "motion",
        root_bone: bool = False,
        root_smoothing: float = SMOOTH_SECONDS,
    ) -> None:
        """Write the character moving, as .glb, .vrm or .fbx; other endings are files of the motion.

        Args:
            motion: on its skeleton.
            path: the file.
            name: of the animation.
            root_bone: give the body's path to the bone above the hips.
            root_smoothing: how far that path is smoothed, in seconds.

        Raises:
            InputError: the character has no mesh to be written, or no bone above the hips.
        """
        ending = Path(path).suffix.lower()
        is_vrm = self.file is not None and self.file.is_vrm
        if ending == ".vrm" and not is_vrm:
            raise InputError(f"{path}: the character is no .vrm, so that none can be written")
        if self.file is None or ending not in (".glb", ".vrm", ".fbx"):
            own: dict[str, Any] = {"root_bone": root_bone, "root_smoothing": root_smoothing}
            known = writer_options(format_to_write(path))
            motion.save(path, **{key: own[key] for key in known if key in own and root_bone})
            return
        data = self.file.moving(motion, name, root_smoothing if root_bone else None)
        if ending == ".fbx":
            fbx_of_glb(data, path, motion.fps)
            return
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)


def read_character(
    path: str | os.PathLike[str], given: Mapping[str, str | None] | None = None
) -> Character:
    """Read a character: .glb, .gltf, .vrm, .fbx, a motion file, or a skeleton's name.

    given corrects what its bones are taken for (`bone_mapping.map_bones`). InputError in one line
    if it is no such file, or no humanoid.
    """
    if str(path) in SKELETON_NAMES:
        skeleton = load_skeleton(str(path))
        return Character(skeleton, map_bones(skeleton, given=given))
    ending = Path(path).suffix.lower()
    if ending == ".fbx":
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file")
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / f"{Path(path).stem}.glb"
            convert_by_blender(Path(path), place)
            return read_character(place, given)
    if ending not in GLTF_ENDINGS:
        motion = Motion.load(path)
        return _from_hips(motion.skeleton, given, tuple(motion.notes))
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    refuse_lfs_pointer(Path(path))
    try:
        with np.errstate(all="ignore"):
            return _GltfCharacter(GltfFile.open(Path(path))).character(given)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{path}: damaged glTF ({told})") from error


def read_corrections(path: str | os.PathLike[str]) -> dict[str, str | None]:
    """Read a file of corrections: a JSON object, role -> name of the bone, or null for none."""
    try:
        told = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its JSON does not parse ({one_line(error)})") from error
    if not isinstance(told, dict) or not all(
        name is None or isinstance(name, str) for name in told.values()
    ):
        raise InputError(f"{path}: it must be an object of roles with names of bones, or null")
    return told


def _from_hips(
    skeleton: Skeleton, given: Mapping[str, str | None] | None, notes: tuple[str, ...] = ()
) -> Character:
    """Make a character of a skeleton that may have joints above the hips."""
    bones = map_bones(skeleton, given=given)
    hips = bones.joints["hips"]
    if hips == 0:
        return Character(skeleton, bones, notes)
    kept = _below(skeleton, hips)
    names = [skeleton.joint_names[joint] for joint in range(skeleton.num_joints)]
    left = [name for joint, name in enumerate(names) if joint not in set(kept)]
    note = f"left away, above or beside the hips: {', '.join(left[:4])}"
    return Character(*_part(skeleton, bones, kept), notes=(*notes, note))


def _below(skeleton: Skeleton, top: int) -> list[int]:
    inside = {top}
    for joint in range(top + 1, skeleton.num_joints):
        if int(skeleton.parents[joint]) in inside:
            inside.add(joint)
    return sorted(inside)


def _part(skeleton: Skeleton, bones: BoneMap, kept: list[int]) -> tuple[Skeleton, BoneMap]:
    """Keep a joint and all below it."""
    index = {joint: new for new, joint in enumerate(kept)}
    names = tuple(skeleton.joint_names[joint] for joint in kept)
    parents = [-1, *(index[int(skeleton.parents[joint])] for joint in kept[1:])]
    part = Skeleton(
        name=skeleton.name,
        joint_names=names,
        parents=np.array(parents),
        rest_positions=skeleton.rest_positions[kept],
        **_groups(names, {role: index[joint] for role, joint in bones.joints.items()}),
    )
    moved = replace(
        bones,
        joints={role: index[joint] for role, joint in bones.joints.items()},
        spine=tuple(index[joint] for joint in bones.spine),
        neck=tuple(index[joint] for joint in bones.neck),
    )
    return part, moved


def _groups(names: tuple[str, ...], joints: Mapping[str, int]) -> dict[str, Any]:
    """Hips, feet and hands of a skeleton, by its roles."""
    groups: dict[str, Any] = dict(joint_groups(names))
    groups["hip_joints"] = (joints["thigh_right"], joints["thigh_left"])
    for side in ("left", "right"):
        feet = [joints[role] for role in (f"foot_{side}", f"toe_{side}") if role in joints]
        groups[f"{side}_foot_joints"] = tuple(feet) if len(feet) == 2 else ()
        groups[f"{side}_hand_joints"] = (joints[f"hand_{side}"],)
    return groups


class _GltfCharacter:
    """The nodes of a file at rest."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        _check_tables(file.document)
        self.nodes: list[dict[str, Any]] = file.document.get("nodes") or []
        if not 0 < len(self.nodes) <= _MAX_NODES:
            raise InputError(f"{len(self.nodes)} nodes; a character's skeleton is needed")
        self.parents = [-1] * len(self.nodes)
        for index in range(len(self.nodes)):
            for child in item(self.nodes, index).get("children", ()):
                item(self.nodes, child)
                if self.parents[child] >= 0:
                    raise InputError(f"node {child} has two parents")
                self.parents[child] = index
        self.order = self._parents_first()
        self.local = [self._transform(index) for index in range(len(self.nodes))]
        self.world: list[Array] = [np.eye(4)] * len(self.nodes)
        self.turn: list[Array] = [np.eye(3)] * len(self.nodes)
        for node in self.order:
            place, rotation, scale = self.local[node]
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = rotation * scale, place
            above = self.parents[node]
            self.world[node] = matrix if above < 0 else self.world[above] @ matrix
            self.turn[node] = rotation if above < 0 else self.turn[above] @ rotation
        self.joints: list[int] = []
        """The node of each joint of the skeleton."""

    @property
    def is_vrm(self) -> bool:
        """Whether the file says what a VRM has to."""
        return not {"VRM", "VRMC_vrm"}.isdisjoint(self.file.document.get("extensions", {}))

    def character(self, given: Mapping[str, str | None] | None) -> Character:
        """Find the skeleton and its bones."""
        told = self._humanoid()
        tree = self._tree({*self._skin_joints(), *told.values()})
        index = {node: joint for joint, node in enumerate(tree)}
        names = unique_names([_name(self.nodes[node], node) for node in tree])
        whole = Skeleton(
            name=one_line(self.file.path.stem, 60),
            joint_names=names,
            parents=np.array([-1, *(index[self.parents[node]] for node in tree[1:])]),
            rest_positions=np.array([self.world[node][:3, 3] for node in tree], np.float32),
        )
        roles = {role: index[node] for role, node in told.items() if node in index}
        bones = map_bones(whole, told=roles, given=given)
        kept = _below(whole, bones.joints["hips"])
        self.joints = [tree[joint] for joint in kept]
        self._check_scales()
        return Character(*_part(whole, bones, kept), file=self)

    def moving(self, motion: Motion, name: str, root_smoothing: float | None) -> bytes:
        """Make a .glb that holds all of the file, with a motion in front of its animations."""
        document = self._whole_document()
        data = bytearray(self.file.chunk or b"")
        buffer = Buffer(
            data, document.setdefault("bufferViews", []), document.setdefault("accessors", [])
        )
        times = (np.arange(motion.num_frames) / motion.fps).astype(np.float32)
        clock = buffer.add(times[:, None], bounds=True)
        outputs = []
        for node, path, values in self._tracks(motion, root_smoothing):
            outputs.append((node, path, buffer.add(values)))
            self._animated(document["nodes"][node], node)
        animation = {
            "name": name,
            "samplers": [{"input": clock, "output": accessor} for _, _, accessor in outputs],
            "channels": [
                {"sampler": number, "target": {"node": node, "path": path}}
                for number, (node, path, _) in enumerate(outputs)
            ],
            "extras": {"fps": motion.fps},
        }
        document["animations"] = [animation, *document.get("animations", [])]
        if not document.get("buffers"):
            document["buffers"] = [{}]
        document["buffers"][0] = {
            key: value for key, value in document["buffers"][0].items() if key != "uri"
        }
        document["buffers"][0]["byteLength"] = len(buffer.data)
        return container(document, bytes(buffer.data))

    def _tracks(
        self, motion: Motion, root_smoothing: float | None
    ) -> list[tuple[int, str, NDArray[np.float32]]]:
        """What moves: node, path and keys, translations and rotations x y z w."""
        hips = self.joints[0]
        above = self.parents[hips]
        turn = np.eye(3) if above < 0 else self.turn[above]
        matrix = np.eye(4) if above < 0 else self.world[above]
        local = motion.local_rot_mats.astype(np.float64)
        root = motion.root_positions.astype(np.float64)
        world = motion.global_rot_mats.astype(np.float64)
        first = world[:, 0]
        tracks = []
        if root_smoothing is not None:
            bone = self._root_bone()
            carried = carried_by_root(motion, root_smoothing)
            root, first = carried.hips, carried.local_rot_mats[:, 0]
            tracks += self._carrier(bone, carried.path, carried.heading)
        # Places of the hips are seen from the bone above, at rest.
        places = (root - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
        tracks.append((hips, "translation", places.astype(np.float32)))
        for joint, node in enumerate(self.joints):
            own = self.turn[node]
            if joint == 0:
                turned = turn.T @ first @ own
            else:
                # Between joints nodes do not turn: the parent is a joint, by how trees are made.
                turned = self.turn[self.parents[node]].T @ local[:, joint] @ own
            if np.abs(turned - self.local[node][1]).max() > _STILL:
                tracks.append((node, "rotation", _keys(turned)))
        return tracks

    def _carrier(
        self, bone: int, path: Array, heading: Array
    ) -> list[tuple[int, str, NDArray[np.float32]]]:
        """The tracks of the root bone: its rest pose, turned and moved in the world."""
        above = self.parents[bone]
        matrix = np.eye(4) if above < 0 else self.world[above]
        turn = np.eye(3) if above < 0 else self.turn[above]
        turns = rotation_about_y(heading)
        place = turns @ self.world[bone][:3, 3] + path
        local = (place - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
        return [
            (bone, "translation", local.astype(np.float32)),
            (bone, "rotation", _keys(turn.T @ turns @ self.turn[bone])),
        ]

    def _root_bone(self) -> int:
        """The nearest joint of a skin above the hips, or what is right above them."""
        joints = self._skin_joints()
        found = node = self.parents[self.joints[0]]
        while node >= 0 and node not in joints:
            node = self.parents[node]
        if found < 0:
            raise InputError("it has no bone above the hips that could carry root motion")
        return found if node < 0 else node

    def _animated(self, node: dict[str, Any], index: int) -> None:
        """Give a node that states a matrix the parts that can be animated."""
        if "matrix" not in node:
            return
        place, rotation, scale = self.local[index]
        del node["matrix"]
        node["translation"] = place.tolist()
        node["rotation"] = np.roll(np.asarray(matrix_to_quaternion(rotation)), -1).tolist()
        node["scale"] = scale.tolist()

    def _whole_document(self) -> dict[str, Any]:
        """A copy of the JSON to which nothing outside of it belongs any more."""
        document: dict[str, Any] = json.loads(json.dumps(self.file.document))
        chunk = self.file.chunk is not None
        for index, buffer in enumerate(document.get("buffers", [])):
            if index == 0 and chunk:
                continue
            raw = self.file.buffer(index)
            if index == 0:
                self.file.chunk = raw
            else:
                buffer["uri"] = _data_uri(raw, "application/octet-stream")
        for image in document.get("images", []):
            uri = image.get("uri")
            if isinstance(uri, str) and not uri.startswith("data:"):
                kind = mimetypes.guess_type(uri)[0] or "application/octet-stream"
                image["uri"] = _data_uri(self.file.beside(uri), kind)
        return document

    def _humanoid(self) -> dict[str, int]:
        """Role -> node, as a VRM says it."""
        extensions = self.file.document.get("extensions", {})
        found: dict[str, int] = {}
        new = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
        for bone, place in new.items():
            self._tell(found, bone, place.get("node"))
        for place in extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", []):
            bone = str(place.get("bone"))
            side, thumb, part = bone.partition("Thumb")
            self._tell(found, side + thumb + _VRM_0_THUMBS.get(part, part), place.get("node"))
        return found

    def _tell(self, found: dict[str, int], bone: str, node: Any) -> None:
        role = vrm_role(bone)
        if role is not None and node is not None:
            item(self.nodes, node)
            found[role] = node

    def _skin_joints(self) -> set[int]:
        skins = self.file.document.get("skins") or []
        joints: set[int] = set()
        for index in range(len(skins)):
            for node in item(skins, index).get("joints", []):
                item(self.nodes, node)
                joints.add(node)
        return joints

    def _tree(self, chosen: Collection[int]) -> list[int]:
        """The nodes of the skeleton, parents first: the largest tree with all that was chosen."""
        wanted = set(chosen) or {node for node in self.order if "mesh" not in self.nodes[node]}
        trees: dict[int, set[int]] = {}
        for node in wanted:
            way = [node]
            while self.parents[way[-1]] >= 0:
                way.append(self.parents[way[-1]])
            trees.setdefault(way[-1], set()).update(way)
        inside = max(trees.values(), key=len)
        tree = [node for node in self.order if node in inside]
        # What stands alone above the first fork, and is none of the chosen, is no bone.
        while tree[0] not in wanted:
            below = [node for node in tree if self.parents[node] == tree[0]]
            if len(below) != 1:
                break
            del tree[0]
        return tree

    def _parents_first(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for node, above in enumerate(self.parents):
            children.setdefault(above, []).append(node)
        order, level = [], children.get(-1, [])
        while level:
            order += level
            level = [child for node in level for child in children.get(node, ())]
        if len(order) < len(self.nodes):
            raise InputError("its nodes form a circle")
        return order

    def _transform(self, index: int) -> tuple[Array, Array, Array]:
        """A node's translation (3,), rotation matrix (3, 3) and scale (3,)."""
        node = self.nodes[index]
        if "matrix" in node:
            matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
            scale = np.linalg.norm(matrix[:3, :3], axis=0)
            if np.linalg.det(matrix[:3, :3]) < 0:
                scale = -scale
            place, rotation = matrix[:3, 3], matrix[:3, :3] / scale
        else:
            x, y, z, w = node.get("rotation", (0, 0, 0, 1))
            place = np.array(node.get("translation", (0, 0, 0)), np.float64)
            rotation = np.asarray(quaternion_to_matrix(unit(np.array([w, x, y, z], np.float64))))
            scale = np.array(node.get("scale", (1, 1, 1)), np.float64)
        parts = (place, rotation, scale)
        if [part.shape for part in parts] != [(3,), (3, 3), (3,)] or not all(
            np.isfinite(part).all() for part in parts
        ):
            raise InputError(f"node {_name(node, index)} has no proper transform")
        return parts

    def _check_scales(self) -> None:
        """Refuse what bends when it turns: bones that are scaled unevenly, or above such."""
        node = self.joints[0]
        carriers = []
        while (node := self.parents[node]) >= 0:
            carriers.append(node)
        parents = {self.parents[node] for node in self.joints}
        for node in [*carriers, *(joint for joint in self.joints if joint in parents)]:
            scale = self.local[node][2]
            if not np.ptp(scale) <= _EVEN * np.abs(scale).max() or not (scale > 0).all():
                name = _name(self.nodes[node], node)
                raise InputError(f"node {name} is scaled unevenly; apply its scale first")


def _check_tables(document: Mapping[str, Any]) -> None:
    """Refuse a document to which nothing can be added, or that cannot be written again."""
    for key in ("accessors", "animations", "bufferViews", "buffers", "images"):
        table = document.get(key, [])
        if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
            raise InputError(f"{key} is no list of objects")
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        raise InputError("its JSON holds a number that is not finite") from None


def _keys(rotations: Array) -> NDArray[np.float32]:
    """Keys x y z w of rotation matrices (T, 3, 3)."""
    steady = unit(continuous_quaternions(matrix_to_quaternion(rotations)))
    return np.ascontiguousarray(np.roll(steady, -1, axis=-1), np.float32)


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _name(node: Mapping[str, Any], index: int) -> str:
    return one_line(node.get("name", "")) or f"node{index}"
