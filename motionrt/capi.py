"""The C library from Python, one to one: a runtime of 310 kB without numpy.

``motionrt.h`` says what everything means. Arrays are memoryviews of float32 in the shape that the
header gives, which ``numpy.asarray`` takes without a copy; they keep their motion alive.

    from motionrt import capi

    pipeline = capi.Pipeline("bundle")
    motion = pipeline.generate("a person walks forward", seed=1)
    motion.save("walk.bvh")
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from motionrt.runtime.bundle.embedded import embedded_bundle
from motionrt.runtime.errors import (
    BackendError,
    BundleError,
    InputError,
    MotionrtError,
)

ABI_VERSION = 1
FAMILIES = ("kimodo", "motiongpt3", "ardy")
"""Whose bundles the library runs."""
LIBRARY_NAMES = {"win32": "motionrt.dll", "darwin": "libmotionrt.dylib"}
OK, BAD_ARGUMENT, BAD_INPUT, BAD_BUNDLE, NO_BACKEND, NO_MEMORY, FILE_ERROR, CANCELLED, BUSY = range(
    0, -9, -1
)
LOOP, IN_PLACE = 1, 2
"""Flags of `Motion.sample` and `Motion.root_delta`."""
AXES = {"+x": 0, "-x": 1, "+y": 2, "-y": 3, "+z": 4, "-z": 5}
"""``mrt_axis`` by name."""
KINDS = {
    "root2d": 0,
    "fullbody": 1,
    "left-hand": 2,
    "right-hand": 3,
    "left-foot": 4,
    "right-foot": 5,
    "end-effector": 6,
}
"""Kinds of constraints by the names that constraint files have."""

Progress: TypeAlias = Callable[[str, int, int], object]
"""Called as (stage, done, total); the call is cancelled when it returns False."""
Log: TypeAlias = Callable[[int, str], object]
View: TypeAlias = "memoryview[Any]"
"""A memoryview of numbers."""
Floats: TypeAlias = Any
"""Anything that holds float32 one behind the other: bytes, array.array, a numpy array."""


class Cancelled(MotionrtError):
    """The progress callback asked to stop."""


class Busy(MotionrtError):
    """Another thread is using the pipeline."""


_ERRORS: Mapping[int, type[Exception]] = {
    BAD_ARGUMENT: InputError,
    BAD_INPUT: InputError,
    BAD_BUNDLE: BundleError,
    NO_BACKEND: BackendError,
    NO_MEMORY: MemoryError,
    FILE_ERROR: InputError,
    CANCELLED: Cancelled,
    BUSY: Busy,
}

PROGRESS_FN = ctypes.CFUNCTYPE(c_bool, ctypes.c_void_p, c_char_p, c_int32, c_int32)
LOG_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, c_char_p)
FILE_FN = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, c_char_p, POINTER(c_size_t))
WRITE_FN = ctypes.CFUNCTYPE(c_bool, ctypes.c_void_p, ctypes.c_void_p, c_size_t)


class LoadOptions(ctypes.Structure):
    """``mrt_load_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("threads", c_int32),
        ("backend", c_char_p),
        ("onnxruntime", c_char_p),
        ("check_hashes", c_bool),
    )


class PipelineInfo(ctypes.Structure):
    """``mrt_pipeline_info``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("family", c_char_p),
        ("name", c_char_p),
        ("backend", c_char_p),
        ("fps", c_double),
        ("max_frames", c_int32),
        ("advised_seconds", c_double),
        ("num_features", c_int32),
        ("text_width", c_int32),
        ("has_text_encoder", c_bool),
        ("num_book_prompts", c_int32),
        ("takes_sequences", c_bool),
        ("num_bytes", c_int64),
        ("max_text_tokens", c_int32),
        ("streams", c_bool),
    )


class ConstraintStruct(ctypes.Structure):
    """``mrt_constraint``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("kind", ctypes.c_int),
        ("num_frames", c_int32),
        ("frames", POINTER(c_int32)),
        ("root_xz", POINTER(c_float)),
        ("headings_rad", POINTER(c_float)),
        ("root_positions", POINTER(c_float)),
        ("local_rotations", POINTER(c_float)),
        ("num_joints", c_int32),
        ("joint_groups", POINTER(c_char_p)),
        ("num_joint_groups", c_int32),
    )


class MotionInfo(ctypes.Structure):
    """``mrt_motion_info``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("num_frames", c_int32),
        ("num_joints", c_int32),
        ("num_contacts", c_int32),
        ("num_features", c_int32),
        ("fps", c_double),
        ("seconds", c_double),
        ("seed", ctypes.c_uint32),
        ("sample", c_int32),
        ("prompt", c_char_p),
        ("is_loop", c_bool),
        ("loop_x", c_double),
        ("loop_z", c_double),
        ("loop_turn_rad", c_double),
        ("in_place", c_bool),
    )


class MotionArrays(ctypes.Structure):
    """``mrt_motion_arrays``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("fps", c_double),
        ("num_frames", c_int32),
        ("root_positions", POINTER(c_float)),
        ("local_rotations", POINTER(c_float)),
        ("foot_contacts", POINTER(ctypes.c_uint8)),
        ("num_contacts", c_int32),
        ("prompt", c_char_p),
        ("smooth_root", POINTER(c_float)),
        ("heading", POINTER(c_float)),
    )


class FinishOptions(ctypes.Structure):
    """``mrt_finish_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("trim", c_bool),
        ("mirror", c_bool),
        ("speed", c_double),
        ("fps", c_double),
        ("loop", c_bool),
        ("loop_seconds", c_double),
        ("from_rest", c_bool),
        ("to_rest", c_bool),
        ("pose_seconds", c_double),
        ("start_at_origin", c_bool),
        ("face", c_bool),
        ("face_rad", c_double),
        ("in_place", c_bool),
        ("root_smoothing", c_double),
    )


class LoopInfo(ctypes.Structure):
    """``mrt_loop_info``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("first_frame", c_int32),
        ("last_frame", c_int32),
        ("before_position_mm", c_double),
        ("before_rotation_deg", c_double),
        ("before_velocity_mps", c_double),
        ("after_position_mm", c_double),
        ("after_rotation_deg", c_double),
        ("after_velocity_mps", c_double),
        ("moved_mm", c_double),
    )


class SaveOptions(ctypes.Structure):
    """``mrt_save_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("root_bone", c_bool),
        ("root_smoothing", c_double),
        ("bvh_scale", c_double),
        ("bvh_up", ctypes.c_int),
        ("bvh_forward", ctypes.c_int),
    )


class GenerateOptions(ctypes.Structure):
    """``mrt_generate_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("seed", c_int64),
        ("seconds", c_double),
        ("num_frames", c_int32),
        ("num_samples", c_int32),
        ("sample_seeds", c_bool),
        ("num_steps", c_int32),
        ("solver", c_char_p),
        ("preset", c_char_p),
        ("guidance_weights", POINTER(c_float)),
        ("num_guidance_weights", c_int32),
        ("no_guidance", c_bool),
        ("first_heading_rad", c_float),
        ("constraints_json", c_char_p),
        ("constraints", POINTER(ConstraintStruct)),
        ("num_constraints", c_int32),
        ("postprocess", c_int32),
        ("root_margin", c_double),
        ("num_transition_frames", c_int32),
        ("compat", c_char_p),
        ("continue_from", ctypes.c_void_p),
        ("embedding", POINTER(c_float)),
        ("progress", PROGRESS_FN),
        ("progress_user", ctypes.c_void_p),
        ("first_headings_rad", POINTER(c_float)),
        ("noise", POINTER(c_float)),
        ("num_noise", c_int64),
        ("no_chain", c_bool),
        ("temperature", c_double),
        ("text_template", c_char_p),
        ("guided_from", c_double),
        ("guided_to", c_double),
        ("num_embedding_tokens", c_int32),
        ("embedding_mask", POINTER(ctypes.c_uint8)),
        ("history_frames", c_int32),
    )


class StreamOptions(ctypes.Structure):
    """``mrt_stream_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("seed", c_int64),
        ("prompt", c_char_p),
        ("start_x", c_double),
        ("start_z", c_double),
        ("first_heading_rad", c_double),
        ("start", ctypes.c_void_p),
        ("num_steps", c_int32),
        ("guidance_weights", POINTER(c_float)),
        ("num_guidance_weights", c_int32),
        ("no_guidance", c_bool),
        ("history_frames", c_int32),
        ("reaction_frames", c_int32),
        ("postprocess", c_bool),
        ("root_margin", c_double),
        ("progress", PROGRESS_FN),
        ("progress_user", ctypes.c_void_p),
    )


class StreamInfo(ctypes.Structure):
    """``mrt_stream_info``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("fps", c_double),
        ("horizon", c_int32),
        ("seed", ctypes.c_uint32),
        ("position", c_int64),
        ("planned", c_int64),
        ("next_change", c_int64),
        ("position_seconds", c_double),
        ("planned_seconds", c_double),
        ("held_frames", c_int32),
    )


_P, _I, _S = ctypes.c_void_p, c_int32, c_char_p
_SIGNATURES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "mrt_abi_version": (ctypes.c_uint32, ()),
    "mrt_version": (_S, ()),
    "mrt_onnxruntime_version": (_S, ()),
    "mrt_last_error": (_S, ()),
    "mrt_status_name": (_S, (_I,)),
    "mrt_set_log": (None, (LOG_FN, _P)),
    "mrt_onnxruntime_load": (_I, (_S,)),
    "mrt_skeleton_name": (_S, (_P,)),
    "mrt_skeleton_num_joints": (_I, (_P,)),
    "mrt_skeleton_joint_name": (_S, (_P, _I)),
    "mrt_skeleton_find_joint": (_I, (_P, _S)),
    "mrt_skeleton_parents": (_P, (_P,)),
    "mrt_skeleton_rest_offsets": (_P, (_P,)),
    "mrt_skeleton_rest_rotations": (_P, (_P,)),
    "mrt_skeleton_rest_positions": (_P, (_P,)),
    "mrt_pipeline_load": (_I, (_S, POINTER(LoadOptions), POINTER(_P))),
    "mrt_pipeline_load_files": (_I, (FILE_FN, _P, POINTER(LoadOptions), POINTER(_P))),
    "mrt_pipeline_free": (None, (_P,)),
    "mrt_pipeline_get_info": (_I, (_P, POINTER(PipelineInfo))),
    "mrt_pipeline_skeleton": (_P, (_P,)),
    "mrt_pipeline_book_prompt": (_S, (_P, _I)),
    "mrt_backend_name": (_S, (_I,)),
    "mrt_embed": (_I, (_P, _S, POINTER(c_float), _I)),
    "mrt_embed_tokens": (_I, (_P, _S, POINTER(c_float), _I, POINTER(_I))),
    "mrt_motion_free": (None, (_P,)),
    "mrt_motion_get_info": (_I, (_P, POINTER(MotionInfo))),
    "mrt_motion_skeleton": (_P, (_P,)),
    "mrt_motion_root_positions": (_P, (_P,)),
    "mrt_motion_local_rotations": (_P, (_P,)),
    "mrt_motion_global_positions": (_P, (_P,)),
    "mrt_motion_global_rotations": (_P, (_P,)),
    "mrt_motion_foot_contacts": (_P, (_P,)),
    "mrt_motion_smooth_root": (_P, (_P,)),
    "mrt_motion_heading": (_P, (_P,)),
    "mrt_motion_features": (_P, (_P,)),
    "mrt_motion_make": (_I, (_P, POINTER(MotionArrays), POINTER(_P))),
    "mrt_motions_count": (_I, (_P,)),
    "mrt_motions_get": (_P, (_P, _I)),
    "mrt_motions_free": (None, (_P,)),
    "mrt_generate": (_I, (_P, _S, POINTER(GenerateOptions), POINTER(_P))),
    "mrt_generate_many": (_I, (_P, POINTER(_S), _I, POINTER(GenerateOptions), POINTER(_P))),
    "mrt_generate_sequence": (
        _I,
        (_P, POINTER(_S), POINTER(c_double), _I, POINTER(GenerateOptions), POINTER(_P)),
    ),
    "mrt_generate_json": (_I, (_P, _S, _S, POINTER(GenerateOptions), POINTER(_P))),
    "mrt_stream_open": (_I, (_P, POINTER(StreamOptions), POINTER(_P))),
    "mrt_stream_free": (None, (_P,)),
    "mrt_stream_prompt": (_I, (_P, _S)),
    "mrt_stream_goal": (_I, (_P, c_float, c_float, c_double, POINTER(c_float))),
    "mrt_stream_constraints": (_I, (_P, _S)),
    "mrt_stream_velocity": (_I, (_P, POINTER(c_float))),
    "mrt_stream_clear": (_I, (_P,)),
    "mrt_stream_replan": (_I, (_P, c_int64)),
    "mrt_stream_take": (_I, (_P, _I, POINTER(_P))),
    "mrt_stream_advance": (_I, (_P, c_double, POINTER(_P))),
    "mrt_stream_make": (_I, (_P, _I)),
    "mrt_stream_get_info": (_I, (_P, POINTER(StreamInfo))),
    "mrt_stream_snapshot": (_I, (_P, WRITE_FN, _P)),
    "mrt_stream_restore": (_I, (_P, _P, c_size_t)),
    "mrt_motion_finish": (_I, (_P, POINTER(FinishOptions), POINTER(LoopInfo), POINTER(_P))),
    "mrt_motion_blend": (_I, (_P, _P, c_double, POINTER(_P))),
    "mrt_motion_root_path": (_I, (_P, c_double, POINTER(c_float), POINTER(c_float))),
    "mrt_motion_sample": (
        _I,
        (_P, c_double, ctypes.c_uint32, POINTER(c_float), POINTER(c_float)),
    ),
    "mrt_motion_root_delta": (
        _I,
        (_P, c_double, c_double, ctypes.c_uint32, POINTER(c_float), POINTER(c_float)),
    ),
    "mrt_motion_save": (_I, (_P, _S)),
    "mrt_motion_save_as": (_I, (_P, _S, POINTER(SaveOptions))),
    "mrt_motion_encode": (_I, (_P, _S, WRITE_FN, _P)),
    "mrt_motion_encode_as": (_I, (_P, _S, POINTER(SaveOptions), WRITE_FN, _P)),
}
"""Every function of the header: what it returns and takes."""


def library_folder() -> Path:
    """Return the folder of the package that holds ``motionrt.h`` and the library."""
    return Path(__file__).parent / "runtime" / "capi"


def library_path() -> Path:
    """Return where the C library is: ``MOTIONRT_LIBRARY``, or in the package.

    BackendError if it was not built, with what to do.
    """
    named = os.environ.get("MOTIONRT_LIBRARY")
    if named:
        return Path(named)
    path = library_folder() / LIBRARY_NAMES.get(sys.platform, "libmotionrt.so")
    if not path.is_file():
        raise BackendError(
            f"{path}: the C library was not built, for want of a C compiler; install one and "
            "install motionrt again, or build it with CMake and name it in MOTIONRT_LIBRARY"
        )
    return path


@lru_cache(maxsize=1)
def library() -> Any:
    """Load the C library, its functions typed; BackendError if there is none, or an older one."""
    path = library_path()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(f"{path}: cannot be loaded ({error})") from error
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(loaded, name)
        except AttributeError:
            raise BackendError(f"{path}: has no {name}; it is older than this package") from None
        function.restype, function.argtypes = result, arguments
    if loaded.mrt_abi_version() < ABI_VERSION:
        raise BackendError(f"{path}: ABI {loaded.mrt_abi_version()}, at least {ABI_VERSION} is due")
    return loaded


def version() -> str:
    """Return the C library's version."""
    return _text(library().mrt_version())


def onnxruntime_version() -> str | None:
    """Return the version of the ONNX Runtime that is loaded, None if none is."""
    found = library().mrt_onnxruntime_version()
    return None if found is None else _text(found)


def load_onnxruntime(path: str | os.PathLike[str] | None = None) -> None:
    """Load ONNX Runtime now, from a file or from where a pipeline would find it."""
    _check(library().mrt_onnxruntime_load(_path(path)))


@lru_cache(maxsize=1)
def packaged_onnxruntime() -> str | None:
    """Return the library of the installed onnxruntime package; None if there is none."""
    found = importlib.util.find_spec("onnxruntime")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for pattern in ("libonnxruntime.so.*", "libonnxruntime.*.dylib", "onnxruntime.dll"):
            for path in sorted(Path(folder, "capi").glob(pattern)):
                return str(path)
    return None


def backends() -> list[str]:
    """Return what the loaded ONNX Runtime offers."""
    names: list[str] = []
    while (name := library().mrt_backend_name(len(names))) is not None:
        names.append(_text(name))
    return names


def set_log(log: Log | None) -> None:
    """Send lines of the library, with their level (1 to 3), to a function; None: nowhere."""
    global _log
    _log = LOG_FN(0) if log is None else LOG_FN(lambda _, level, line: log(level, _text(line)))
    library().mrt_set_log(_log, None)


_log = LOG_FN(0)
"""Kept: C calls it as long as it is set."""


class Skeleton:
    """``mrt_skeleton``; it keeps what it belongs to alive."""

    def __init__(self, handle: int, owner: object) -> None:
        """Take a handle, and what frees it."""
        self._handle, self._owner = handle, owner
        self.name = _text(library().mrt_skeleton_name(handle))
        self.num_joints: int = library().mrt_skeleton_num_joints(handle)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints' names."""
        name = library().mrt_skeleton_joint_name
        return tuple(_text(name(self._handle, joint)) for joint in range(self.num_joints))

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
        found: int = library().mrt_skeleton_find_joint(self._handle, _bytes(joint_name))
        if found < 0:
            raise InputError(f"skeleton {self.name} has no joint {joint_name!r}")
        return found

    def _view(
        self, name: str, shape: tuple[int, ...], kind: Any = c_float, letter: str = "f"
    ) -> View:
        address = getattr(library(), f"mrt_skeleton_{name}")(self._handle)
        found = _view(address, (self.num_joints, *shape), kind, letter, self)
        assert found is not None
        return found


class Motion:
    """``mrt_motion``: arrays as memoryviews, freed with the last of them."""

    def __init__(self, handle: int, owner: object = None) -> None:
        """Take a handle; owner is the list that frees it, None: it is freed by itself."""
        self._handle, self._owner = handle, owner
        told = MotionInfo(struct_size=ctypes.sizeof(MotionInfo))
        _check(library().mrt_motion_get_info(handle, ctypes.byref(told)))
        self.num_frames, self.num_joints = told.num_frames, told.num_joints
        self.num_contacts, self.num_features = told.num_contacts, told.num_features
        self.fps, self.seconds = told.fps, told.seconds
        self.seed, self.sample_index = told.seed, told.sample
        self.prompt = _text(told.prompt)
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
        given = MotionArrays(ctypes.sizeof(MotionArrays), fps, prompt=_bytes(prompt))
        given.root_positions = _floats(root_positions, kept)
        given.num_frames = len(kept[-1]) // 3
        given.local_rotations = _floats(local_rotations, kept)
        if len(kept[-1]) != 4 * given.num_frames * skeleton.num_joints:
            raise InputError(
                f"{len(kept[-1])} numbers of rotations for {given.num_frames} frames of "
                f"{skeleton.num_joints} joints"
            )
        for name, values, width in (("smooth_root", smooth_root, 3), ("heading", heading, 2)):
            if values is not None:
                setattr(given, name, _floats(values, kept))
                if len(kept[-1]) != width * given.num_frames:
                    raise InputError(f"{name}: {len(kept[-1])} numbers, {width} a frame are due")
        if foot_contacts is not None:
            rows = [bytes(map(bool, row)) for row in foot_contacts]
            if len({len(row) for row in rows}) != 1 or len(rows) != given.num_frames:
                raise InputError(f"{len(rows)} rows of contacts for {given.num_frames} frames")
            given.num_contacts = len(rows[0])
            contacts = b"".join(rows)
            given.foot_contacts = (ctypes.c_uint8 * len(contacts)).from_buffer_copy(contacts)
        _check(library().mrt_motion_make(skeleton._handle, ctypes.byref(given), ctypes.byref(made)))
        assert made.value is not None
        return cls(made.value)

    def finish(self, **options: Any) -> Motion:
        """Finish it; options are the fields of ``mrt_finish_options``."""
        made = ctypes.c_void_p()
        told = LoopInfo(struct_size=ctypes.sizeof(LoopInfo))
        given = FinishOptions(
            struct_size=ctypes.sizeof(FinishOptions), speed=1, pose_seconds=0.5, root_smoothing=0.25
        )
        _set_fields(given, options)
        _check(
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
        _check(
            library().mrt_motion_blend(self._handle, second._handle, seconds, ctypes.byref(made))
        )
        assert made.value is not None
        return Motion(made.value)

    def root_path(self, smooth_seconds: float = 0.25) -> tuple[View, View]:
        """Return a root bone's positions (T, 3) on the floor and headings (T,) in radians."""
        places, turns = (c_float * (3 * self.num_frames))(), (c_float * self.num_frames)()
        _check(library().mrt_motion_root_path(self._handle, smooth_seconds, places, turns))
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
        _check(library().mrt_motion_sample(self._handle, seconds, flags, root, turns))
        values = list(turns)
        return list(root), [values[4 * j : 4 * j + 4] for j in range(self.num_joints)]

    def root_delta(self, start: float, stop: float, flags: int = 0) -> tuple[list[float], float]:
        """Return the root's way (3) and turn (radians) from one time to a later one."""
        way, turn = (c_float * 3)(), c_float()
        _check(
            library().mrt_motion_root_delta(
                self._handle, start, stop, flags, way, ctypes.byref(turn)
            )
        )
        return list(way), turn.value

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a .bvh or .glb file; options are the fields of ``mrt_save_options``.

        Axes are given by name (``"+z"``) or number.
        """
        given = ctypes.byref(_save_options(options))
        _check(library().mrt_motion_save_as(self._handle, _path(path), given))

    def encode(self, format: str, **options: Any) -> bytes:
        """Return the bytes of such a file; format is bvh or glb."""
        parts: list[bytes] = []

        def take(_: object, address: int, count: int) -> bool:
            parts.append(ctypes.string_at(address, count))
            return True

        given = ctypes.byref(_save_options(options))
        _check(
            library().mrt_motion_encode_as(
                self._handle, _bytes(format), given, WRITE_FN(take), None
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
        return _view(address, (self.num_frames, *shape), kind, letter, self)


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


class Pipeline:
    """``mrt_pipeline``: a bundle, loaded. One call at a time; `Busy` otherwise."""

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Mapping[str, bytes] | None = None,
        *,
        threads: int = 0,
        backend: str | None = None,
        onnxruntime: str | os.PathLike[str] | None = None,
        check_hashes: bool = True,
    ) -> None:
        """Load a bundle's folder, or its files by name; None takes the embedded default."""
        self._handle = None
        if (
            onnxruntime is None
            and onnxruntime_version() is None
            and not os.environ.get("MOTIONRT_ONNXRUNTIME")
        ):
            onnxruntime = packaged_onnxruntime()
        options = LoadOptions(
            struct_size=ctypes.sizeof(LoadOptions),
            threads=threads,
            backend=_bytes(backend),
            onnxruntime=_path(onnxruntime),
            check_hashes=check_hashes,
        )
        handle = ctypes.c_void_p()
        self._files: dict[str, Any] = {}
        if isinstance(bundle, Mapping):
            # Buffers that stay where they are as long as the pipeline lives.
            self._files = {
                name: (ctypes.create_string_buffer(content, len(content)), len(content))
                for name, content in bundle.items()
            }
            self._callback = FILE_FN(self._hand_out)
            status = library().mrt_pipeline_load_files(
                self._callback, None, ctypes.byref(options), ctypes.byref(handle)
            )
        else:
            place = embedded_bundle() if bundle is None else bundle
            status = library().mrt_pipeline_load(
                _path(place), ctypes.byref(options), ctypes.byref(handle)
            )
        _check(status)
        self._handle = handle.value
        told = PipelineInfo(struct_size=ctypes.sizeof(PipelineInfo))
        _check(library().mrt_pipeline_get_info(self._handle, ctypes.byref(told)))
        self.family, self.name = _text(told.family), _text(told.name)
        self.backend, self.fps = _text(told.backend), told.fps
        self.max_frames, self.advised_seconds = told.max_frames, told.advised_seconds
        self.num_features, self.text_width = told.num_features, told.text_width
        self.has_text_encoder, self.takes_sequences = told.has_text_encoder, told.takes_sequences
        self.num_bytes, self.max_text_tokens = told.num_bytes, told.max_text_tokens
        self.num_bytes, self.streams = told.num_bytes, told.streams
        self._num_book_prompts = told.num_book_prompts
        self.skeleton = Skeleton(library().mrt_pipeline_skeleton(self._handle), self)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and library is not None:
            library().mrt_pipeline_free(self._handle)

    @property
    def book_prompts(self) -> list[str]:
        """The prompts whose embeddings the bundle carries."""
        prompt = library().mrt_pipeline_book_prompt
        return [_text(prompt(self._handle, i)) for i in range(self._num_book_prompts)]

    def embed(self, prompt: str) -> View:
        """Return a prompt's embedding, which ``embedding`` takes: (W,), of several tokens (L, W).

        A blank prompt's is zeros.
        """
        most, count = self.max_text_tokens * self.text_width, c_int32()
        row = (c_float * max(most, 1))()
        _check(
            library().mrt_embed_tokens(self._handle, _bytes(prompt), row, most, ctypes.byref(count))
        )
        flat: Any = memoryview(row).cast("B").cast("f")
        if count.value < 2:
            return flat[: self.text_width]  # type: ignore[no-any-return]
        kept: Any = flat[: count.value * self.text_width].cast("B")
        tokens: View = kept.cast("f", (count.value, self.text_width))
        return tokens

    def generate(self, prompt: str, **options: Any) -> Motion:
        """Generate one motion; options are the fields of ``mrt_generate_options``."""
        made, given = ctypes.c_void_p(), _Options(options)
        given.check(
            library().mrt_generate(
                self._handle, _bytes(prompt), ctypes.byref(given.struct), ctypes.byref(made)
            )
        )
        assert made.value is not None
        return Motion(made.value)

    def generate_many(self, prompts: Sequence[str], **options: Any) -> list[Motion]:
        """Generate num_samples motions of each prompt."""
        made, given = ctypes.c_void_p(), _Options(options)
        given.check(
            library().mrt_generate_many(
                self._handle,
                _strings(prompts),
                len(prompts),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return _listed(made)

    def generate_sequence(
        self, prompts: Sequence[str], seconds: Sequence[float] | None = None, **options: Any
    ) -> list[Motion]:
        """Generate one motion of several prompts, num_samples of them."""
        made, given = ctypes.c_void_p(), _Options(options)
        lengths = None if seconds is None else (c_double * len(seconds))(*seconds)
        given.check(
            library().mrt_generate_sequence(
                self._handle,
                _strings(prompts),
                lengths,
                len(prompts),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return _listed(made)

    def generate_json(
        self,
        request: str,
        folder: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate what a JSON request asks for; files in it are relative to folder.

        Of the options progress, continue_from, embedding with num_embedding_tokens and
        embedding_mask, first_headings_rad and noise are used.
        """
        made, given = ctypes.c_void_p(), _Options(options)
        given.check(
            library().mrt_generate_json(
                self._handle,
                _bytes(request),
                _path(folder),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return _listed(made)

    def stream(self, prompt: str = "", **options: Any) -> Stream:
        """Begin a stream; options are the fields of ``mrt_stream_options``."""
        return Stream(self, prompt, options)

    def _hand_out(self, _: object, name: bytes, num_bytes: Any) -> int | None:
        found = self._files.get(_text(name))
        if found is None:
            return None
        num_bytes[0] = found[1]
        return ctypes.addressof(found[0])


class Stream:
    """``mrt_stream``: a motion without an end, steered while it plays; it keeps its pipeline."""

    def __init__(self, pipeline: Pipeline, prompt: str, options: Mapping[str, Any]) -> None:
        """Begin one."""
        self._handle, self._pipeline, self._kept = None, pipeline, list[Any]()
        self._error: BaseException | None = None
        given = StreamOptions(
            struct_size=ctypes.sizeof(StreamOptions), seed=-1, reaction_frames=1, root_margin=-1
        )
        given.prompt = _bytes(prompt)
        known = {name for name, *_ in StreamOptions._fields_}
        known -= {"struct_size", "prompt", "num_guidance_weights", "progress_user"}
        for name, value in options.items():
            if name not in known:
                raise InputError(
                    f"option {name!r} is unknown; there are {', '.join(sorted(known))}"
                )
            if value is None:
                continue
            if name == "guidance_weights":
                weights = [value] if isinstance(value, (int, float)) else list(value)
                given.num_guidance_weights = len(weights)
                value = (c_float * len(weights))(*weights)
            elif name == "start":
                self._kept.append(value)
                value = value._handle
            elif name == "progress":
                value = PROGRESS_FN(_listener(self, value))
            self._kept.append(value)
            setattr(given, name, value)
        handle = ctypes.c_void_p()
        _check(
            library().mrt_stream_open(pipeline._handle, ctypes.byref(given), ctypes.byref(handle))
        )
        self._handle = handle.value

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and library is not None:
            library().mrt_stream_free(self._handle)

    @property
    def info(self) -> StreamInfo:
        """Where the playhead is, and how far is planned."""
        told = StreamInfo(struct_size=ctypes.sizeof(StreamInfo))
        _check(library().mrt_stream_get_info(self._handle, ctypes.byref(told)))
        return told

    def prompt(self, text: str) -> None:
        """Follow another prompt as soon as can be."""
        _check(library().mrt_stream_prompt(self._handle, _bytes(text)))

    def goal(self, x: float, z: float, seconds: float, heading_rad: float | None = None) -> None:
        """Be at a place on the ground in so many seconds from now."""
        heading = None if heading_rad is None else ctypes.byref(c_float(heading_rad))
        _check(library().mrt_stream_goal(self._handle, x, z, seconds, heading))

    def constraints(self, constraints_json: str) -> None:
        """Add constraints; their frames count from the next one that is fetched."""
        _check(library().mrt_stream_constraints(self._handle, _bytes(constraints_json)))

    def velocity(self, wanted: Sequence[float] | None) -> None:
        """Go with a velocity (x, z); None lets go of it."""
        pair = None if wanted is None else (c_float * 2)(*wanted)
        _check(library().mrt_stream_velocity(self._handle, pair))

    def clear(self) -> None:
        """Let go of all goals, constraints and the velocity."""
        _check(library().mrt_stream_clear(self._handle))

    def replan(self, at: int = -1) -> None:
        """Make what follows anew from a frame on."""
        _check(library().mrt_stream_replan(self._handle, at))

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames."""
        made = ctypes.c_void_p()
        self._checked(library().mrt_stream_take(self._handle, num_frames, ctypes.byref(made)))
        assert made.value is not None
        return Motion(made.value)

    def advance(self, seconds: float) -> Motion | None:
        """Let time go by and return the frames that fall due in it."""
        made = ctypes.c_void_p()
        self._checked(library().mrt_stream_advance(self._handle, seconds, ctypes.byref(made)))
        return None if made.value is None else Motion(made.value)

    def make(self, num_frames: int) -> None:
        """Make frames ahead until so many are ready."""
        self._checked(library().mrt_stream_make(self._handle, num_frames))

    def snapshot(self) -> bytes:
        """Return the state as a file's bytes."""
        parts: list[bytes] = []

        def take(_: object, address: int, count: int) -> bool:
            parts.append(ctypes.string_at(address, count))
            return True

        _check(library().mrt_stream_snapshot(self._handle, WRITE_FN(take), None))
        return b"".join(parts)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a state."""
        _check(library().mrt_stream_restore(self._handle, snapshot, len(snapshot)))

    def _checked(self, status: int) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
        _check(status)


class _Options:
    """``mrt_generate_options`` of keywords, with what its pointers point to."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.kept: list[Any] = []
        self._error: BaseException | None = None
        self.struct = GenerateOptions(
            struct_size=ctypes.sizeof(GenerateOptions),
            seed=-1,
            seconds=5,
            num_samples=1,
            postprocess=-1,
            root_margin=-1,
            temperature=-1,
            guided_from=-1,
            guided_to=-1,
        )
        known = {name for name, _ in GenerateOptions._fields_} - {"struct_size", "progress_user"}
        known -= {"num_guidance_weights", "num_constraints", "num_noise"}
        for name, value in given.items():
            if name not in known:
                raise InputError(
                    f"option {name!r} is unknown; there are {', '.join(sorted(known))}"
                )
            if value is not None:
                self._set(name, value)

    def check(self, status: int) -> None:
        """Raise what the call's status says, or what the progress callback raised."""
        if self._error is not None:
            raise self._error
        _check(status)

    def _set(self, name: str, value: Any) -> None:
        if name in ("solver", "preset", "compat", "constraints_json", "text_template"):
            value = _bytes(value)
        elif name == "guidance_weights":
            weights = [value] if isinstance(value, (int, float)) else list(value)
            self.struct.num_guidance_weights = len(weights)
            value = (c_float * len(weights))(*weights)
        elif name == "constraints":
            rows = [_constraint(row, self.kept) for row in value]
            self.struct.num_constraints = len(rows)
            value = (ConstraintStruct * len(rows))(*rows)
        elif name == "continue_from":
            self.kept.append(value)
            value = value._handle
        elif name in ("embedding", "first_headings_rad", "noise"):
            value = _floats(value, self.kept)
            if name == "noise":
                self.struct.num_noise = len(self.kept[-1])
        elif name == "embedding_mask":
            flags = [bool(flag) for flag in _flattened(value)]
            value = (ctypes.c_uint8 * len(flags))(*flags)
        elif name == "progress":
            value = PROGRESS_FN(_listener(self, value))
        elif name == "postprocess":
            value = int(value)
        self.kept.append(value)
        setattr(self.struct, name, value)


def _listener(owner: Stream | _Options, progress: Progress) -> Callable[..., bool]:
    def listen(_: object, stage: bytes, done: int, total: int) -> bool:
        try:
            return progress(_text(stage), done, total) is not False
        except BaseException as error:  # C cannot carry it: it is raised after the call
            owner._error = error
            return False

    return listen


def _set_fields(struct: Any, given: Mapping[str, Any]) -> None:
    known = {name for name, *_ in struct._fields_} - {"struct_size"}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"option {name!r} is unknown; there are {', '.join(sorted(known))}")
        setattr(struct, name, value)


def _save_options(given: Mapping[str, Any]) -> SaveOptions:
    """Make ``mrt_save_options`` of keywords."""
    made = SaveOptions(
        struct_size=ctypes.sizeof(SaveOptions),
        root_smoothing=0.25,
        bvh_scale=100,
        bvh_up=AXES["+y"],
        bvh_forward=AXES["+z"],
    )
    _set_fields(made, {name: AXES.get(value, value) for name, value in given.items()})
    return made


def _constraint(given: Mapping[str, Any], kept: list[Any]) -> ConstraintStruct:
    """Make ``mrt_constraint`` of a mapping with its fields; kind by its number or file name."""
    made = ConstraintStruct(struct_size=ctypes.sizeof(ConstraintStruct))
    kind = given["kind"]
    made.kind = KINDS[kind] if isinstance(kind, str) else kind
    frames = [int(frame) for frame in given["frames"]]
    made.num_frames = len(frames)
    made.frames = (c_int32 * len(frames))(*frames)
    for name in ("root_xz", "headings_rad", "root_positions", "local_rotations"):
        if given.get(name) is not None:
            setattr(made, name, _floats(given[name], kept))
    made.num_joints = given.get("num_joints", 0)
    groups = given.get("joint_groups") or ()
    made.joint_groups = _strings(groups)
    made.num_joint_groups = len(groups)
    kept.append(made)
    return made


def _floats(values: Floats, kept: list[Any]) -> Any:
    """Point to float32 values; what is not contiguous float32 already is copied."""
    try:
        view = memoryview(values)
        if view.format != "f" or not view.contiguous:
            raise TypeError
        content = (c_float * (view.nbytes // 4)).from_buffer_copy(view.cast("B"))
    except TypeError:
        flat = [float(value) for value in _flattened(values)]
        content = (c_float * len(flat))(*flat)
    kept.append(content)
    return ctypes.cast(content, POINTER(c_float))


def _flattened(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        return [values]
    return [number for value in values for number in _flattened(value)]


def _view(
    address: int | None, shape: tuple[int, ...], kind: Any, letter: str, owner: object
) -> View | None:
    if not address:
        return None
    count = 1
    for size in shape:
        count *= size

    class Memory(kind * count):  # type: ignore[misc]  # an attribute needs a class of its own
        pass

    memory = Memory.from_address(address)
    memory.owner = owner
    flat: Any = memoryview(memory).cast("B")
    shaped: View = flat.cast(letter, shape)
    return shaped


def _listed(made: Any) -> list[Motion]:
    return _Motions(made.value).items()


def _check(status: int) -> None:
    if status != OK:
        line = _text(library().mrt_last_error())
        raise _ERRORS.get(status, MotionrtError)(line)


def _strings(texts: Sequence[str]) -> Any:
    return (c_char_p * len(texts))(*map(_bytes, texts))


def _bytes(text: str | None) -> bytes | None:
    if text is None:
        return None
    if "\0" in text:
        raise InputError(f"{text!r}: a text with a zero character")
    return text.encode("utf-8", "replace")


def _path(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    return _bytes(os.fspath(path)) if sys.platform == "win32" else os.fsencode(path)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
