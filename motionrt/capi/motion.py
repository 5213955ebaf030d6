"""Skeletons and motions."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import c_float, c_int32
from typing import Any

from motionrt.capi.marshalling import (
    Floats,
    View,
    array_view,
    decoded,
    encoded,
    encoded_path,
    float_pointer,
)
from motionrt.capi.options import save_options, set_fields
from motionrt.capi.shared_library import check, library
from motionrt.capi.structures import (
    WRITE_FN,
    FinishOptions,
    LoopInfo,
    MotionArrays,
    MotionInfo,
)
from motionrt.runtime.errors import InputError


class Skeleton:
    """``mrt_skeleton``; it keeps what it belongs to alive."""

    def __init__(self, handle: int, owner: object) -> None:
        """Take a handle, and what frees it."""
        self._handle, self._owner = handle, owner
        self.name = decoded(library().mrt_skeleton_name(handle))
        self.num_joints: int = library().mrt_skeleton_num_joints(handle)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints' names."""
        name = library().mrt_skeleton_joint_name
        return tuple(decoded(name(self._handle, joint)) for joint in range(self.num_joints))

    @property
    def parents(self) -> View:
        """(J,) int32, -1 for the root."""
        return self._view("parents", (), c_int32, "i")

    @property
    def rest_offsets(self) -> View:
        """(J, 3) metres from the parent."""
        return self._view("rest_offsets", (3,))

    @property
    def rest_rotations(self) -> View:
        """(J, 4) w x y z."""
        return self._view("rest_rotations", (4,))

    @property
    def rest_positions(self) -> View:
        """(J, 3) metres."""
        return self._view("rest_positions", (3,))

    def index(self, joint_name: str) -> int:
        """Find a joint by name; InputError if there is none."""
        found: int = library().mrt_skeleton_find_joint(self._handle, encoded(joint_name))
        if found < 0:
            raise InputError(f"skeleton {self.name} has no joint {joint_name!r}")
        return found

    def _view(
        self, name: str, shape: tuple[int, ...], kind: Any = c_float, letter: str = "f"
    ) -> View:
        address = getattr(library(), f"mrt_skeleton_{name}")(self._handle)
        found = array_view(address, (self.num_joints, *shape), kind, letter, self)
        assert found is not None
        return found


class Motion:
    """``mrt_motion``: arrays as memoryviews, freed with the last of them."""

    def __init__(self, handle: int, owner: object = None) -> None:
        """Take a handle; owner is the list that frees it, None: it is freed by itself."""
        self._handle, self._owner = handle, owner
        told = MotionInfo(struct_size=ctypes.sizeof(MotionInfo))
        check(library().mrt_motion_get_info(handle, ctypes.byref(told)))
        self.num_frames, self.num_joints = told.num_frames, told.num_joints
        self.num_contacts, self.num_features = told.num_contacts, told.num_features
        self.fps, self.seconds = told.fps, told.seconds
        self.seed, self.sample_index = told.seed, told.sample
        self.prompt = decoded(told.prompt)
        self.is_loop, self.in_place = told.is_loop, told.in_place
        self.loop_step = (told.loop_x, told.loop_z)
        self.loop_turn_rad = told.loop_turn_rad
        self.loop_info: LoopInfo | None = None
        """How the loop was cut, if `finish` did it."""
        self.skeleton = Skeleton(library().mrt_motion_skeleton(handle), self)

    def __del__(self) -> None:
        if self._owner is None and library is not None:
            library().mrt_motion_free(self._handle)

    @classmethod
    def make(
        cls,
        skeleton: Skeleton,
        fps: float,
        root_positions: Floats,
        local_rotations: Floats,
        foot_contacts: Sequence[Sequence[int]] | None = None,
        prompt: str | None = None,
        smooth_root: Floats | None = None,
        heading: Floats | None = None,
    ) -> Motion:
        """Make a motion of arrays: (T, 3), (T, J, 4) w x y z, contacts (T, C), (T, 3), (T, 2)."""
        made, kept = ctypes.c_void_p(), list[Any]()
        given = MotionArrays(ctypes.sizeof(MotionArrays), fps, prompt=encoded(prompt))
        given.root_positions = float_pointer(root_positions, kept)
        given.num_frames = len(kept[-1]) // 3
        given.local_rotations = float_pointer(local_rotations, kept)
        if len(kept[-1]) != 4 * given.num_frames * skeleton.num_joints:
            raise InputError(
                f"{len(kept[-1])} numbers of rotations for {given.num_frames} frames of "
                f"{skeleton.num_joints} joints"
            )
        for name, values, width in (("smooth_root", smooth_root, 3), ("heading", heading, 2)):
            if values is not None:
                setattr(given, name, float_pointer(values, kept))
                if len(kept[-1]) != width * given.num_frames:
                    raise InputError(f"{name}: {len(kept[-1])} numbers, {width} a frame are due")
        if foot_contacts is not None:
            rows = [bytes(map(bool, row)) for row in foot_contacts]
            if len({len(row) for row in rows}) != 1 or len(rows) != given.num_frames:
                raise InputError(f"{len(rows)} rows of contacts for {given.num_frames} frames")
            given.num_contacts = len(rows[0])
            contacts = b"".join(rows)
            given.foot_contacts = (ctypes.c_uint8 * len(contacts)).from_buffer_copy(contacts)
        check(library().mrt_motion_make(skeleton._handle, ctypes.byref(given), ctypes.byref(made)))
        assert made.value is not None
        return cls(made.value)

    def finish(self, **options: Any) -> Motion:
        """Finish it; options are the fields of ``mrt_finish_options``."""
        made = ctypes.c_void_p()
        told = LoopInfo(struct_size=ctypes.sizeof(LoopInfo))
        given = FinishOptions(
            struct_size=ctypes.sizeof(FinishOptions), speed=1, pose_seconds=0.5, root_smoothing=0.25
        )
        set_fields(given, options)
        check(
            library().mrt_motion_finish(
                self._handle, ctypes.byref(given), ctypes.byref(told), ctypes.byref(made)
            )
        )
        assert made.value is not None
        motion = Motion(made.value)
        if given.loop:
            motion.loop_info = told
        return motion

    def blend(self, second: Motion, seconds: float = 0.4) -> Motion:
        """Join another motion of the same skeleton to it."""
        made = ctypes.c_void_p()
        check(library().mrt_motion_blend(self._handle, second._handle, seconds, ctypes.byref(made)))
        assert made.value is not None
        return Motion(made.value)

    def root_path(self, smooth_seconds: float = 0.25) -> tuple[View, View]:
        """Return a root bone's positions (T, 3) on the floor and headings (T,) in radians."""
        places, turns = (c_float * (3 * self.num_frames))(), (c_float * self.num_frames)()
        check(library().mrt_motion_root_path(self._handle, smooth_seconds, places, turns))
        views: list[Any] = [memoryview(part).cast("B") for part in (places, turns)]
        return views[0].cast("f", (self.num_frames, 3)), views[1].cast("f")

    @property
    def root_positions(self) -> View:
        """(T, 3)."""
        return self._need("root_positions", (3,))

    @property
    def local_rotations(self) -> View:
        """(T, J, 4) w x y z."""
        return self._need("local_rotations", (self.num_joints, 4))

    @property
    def global_positions(self) -> View:
        """(T, J, 3)."""
        return self._need("global_positions", (self.num_joints, 3))

    @property
    def global_rotations(self) -> View:
        """(T, J, 4) w x y z."""
        return self._need("global_rotations", (self.num_joints, 4))

    @property
    def foot_contacts(self) -> View | None:
        """(T, C) uint8, 1 on the ground."""
        return self._view("foot_contacts", (self.num_contacts,), ctypes.c_uint8, "B")

    @property
    def smooth_root(self) -> View | None:
        """(T, 3)."""
        return self._view("smooth_root", (3,))

    @property
    def heading(self) -> View | None:
        """(T, 2) cosine and sine."""
        return self._view("heading", (2,))

    @property
    def features(self) -> View | None:
        """(T, D) as the model gave them."""
        return self._view("features", (self.num_features,))

    def sample(self, seconds: float, flags: int = 0) -> tuple[list[float], list[list[float]]]:
        """Return the root (3) and local rotations (J, 4) at a time."""
        root, turns = (c_float * 3)(), (c_float * (4 * self.num_joints))()
        check(library().mrt_motion_sample(self._handle, seconds, flags, root, turns))
        values = list(turns)
        return list(root), [values[4 * j : 4 * j + 4] for j in range(self.num_joints)]

    def root_delta(self, start: float, stop: float, flags: int = 0) -> tuple[list[float], float]:
        """Return the root's way (3) and turn (radians) from one time to a later one."""
        way, turn = (c_float * 3)(), c_float()
        check(
            library().mrt_motion_root_delta(
                self._handle, start, stop, flags, way, ctypes.byref(turn)
            )
        )
        return list(way), turn.value

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a .bvh or .glb file; options are the fields of ``mrt_save_options``.

        Axes are given by name (``"+z"``) or number.
        """
        given = ctypes.byref(save_options(options))
        check(library().mrt_motion_save_as(self._handle, encoded_path(path), given))

    def encode(self, format: str, **options: Any) -> bytes:
        """Return the bytes of such a file; format is bvh or glb."""
        parts: list[bytes] = []

        def take(_: object, address: int, count: int) -> bool:
            parts.append(ctypes.string_at(address, count))
            return True

        given = ctypes.byref(save_options(options))
        check(
            library().mrt_motion_encode_as(
                self._handle, encoded(format), given, WRITE_FN(take), None
            )
        )
        return b"".join(parts)

    def _need(self, name: str, shape: tuple[int, ...]) -> View:
        found = self._view(name, shape)
        assert found is not None
        return found

    def _view(
        self, name: str, shape: tuple[int, ...], kind: Any = c_float, letter: str = "f"
    ) -> View | None:
        address = getattr(library(), f"mrt_motion_{name}")(self._handle)
        return array_view(address, (self.num_frames, *shape), kind, letter, self)


class _Motions:
    """``mrt_motions``; frees its motions when the last of them is gone."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __del__(self) -> None:
        if library is not None:
            library().mrt_motions_free(self.handle)

    def items(self) -> list[Motion]:
        count = library().mrt_motions_count(self.handle)
        return [Motion(library().mrt_motions_get(self.handle, i), self) for i in range(count)]


def motions_of(made: Any) -> list[Motion]:
    """Return the motions of a ``mrt_motions``, which is freed with the last of them."""
    return _Motions(made.value).items()
