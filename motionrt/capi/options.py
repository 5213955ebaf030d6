"""Keywords as the structures of options that C takes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from ctypes import c_float, c_int32
from typing import Any, TypeAlias

from motionrt.capi.marshalling import decoded, encoded, encoded_list, flag_array, float_pointer
from motionrt.capi.shared_library import check
from motionrt.capi.structures import (
    AXES,
    KINDS,
    PROGRESS_FN,
    ConstraintStruct,
    GenerateOptions,
    SaveOptions,
    StreamOptions,
)
from motionrt.runtime.errors import InputError

Progress: TypeAlias = Callable[[str, int, int], object]
"""Called as (stage, done, total); the call is cancelled when it returns False."""


class _Keywords:
    """A structure of options, made of keywords, with what its pointers point to."""

    struct: Any
    counts: tuple[str, ...] = ()
    """Fields that others imply."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Fill the structure; None leaves a field as it is. InputError for an unknown name."""
        self.kept: list[Any] = []
        self._error: BaseException | None = None
        known = _names(self.struct) - {"progress_user", *self.counts}
        for name, value in given.items():
            _check_name(name, known)
            if value is not None:
                self._set(name, value)

    def check(self, status: int) -> None:
        """Raise what a call's status says, or what the progress callback raised in it."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        check(status)

    def _set(self, name: str, value: Any) -> None:
        value = self._converted(name, value)
        self.kept.append(value)
        setattr(self.struct, name, value)

    def _converted(self, name: str, value: Any) -> Any:
        """Turn a keyword's value into the field's."""
        if name == "guidance_weights":
            weights = [value] if isinstance(value, (int, float)) else list(value)
            self.struct.num_guidance_weights = len(weights)
            return (c_float * len(weights))(*weights)
        if name == "progress":
            return PROGRESS_FN(self._listener(value))
        return value

    def _listener(self, progress: Progress) -> Callable[..., bool]:
        def listen(_: object, stage: bytes, done: int, total: int) -> bool:
            try:
                return progress(decoded(stage), done, total) is not False
            except BaseException as error:  # C cannot carry it: it is raised after the call
                self._error = error
                return False

        return listen


class GenerateKeywords(_Keywords):
    """``mrt_generate_options`` of keywords."""

    counts = ("num_guidance_weights", "num_constraints", "num_noise")

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Begin with the header's defaults."""
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
        super().__init__(given)

    def _converted(self, name: str, value: Any) -> Any:
        if name in ("solver", "preset", "compat", "constraints_json", "text_template"):
            return encoded(value)
        if name == "constraints":
            rows = [constraint_struct(row, self.kept) for row in value]
            self.struct.num_constraints = len(rows)
            return (ConstraintStruct * len(rows))(*rows)
        if name == "continue_from":
            self.kept.append(value)
            return value._handle
        if name in ("embedding", "first_headings_rad", "noise"):
            pointer = float_pointer(value, self.kept)
            if name == "noise":
                self.struct.num_noise = len(self.kept[-1])
            return pointer
        if name == "embedding_mask":
            return flag_array(value)
        return int(value) if name == "postprocess" else super()._converted(name, value)


class StreamKeywords(_Keywords):
    """``mrt_stream_options`` of a prompt and keywords."""

    counts = ("num_guidance_weights", "prompt")

    def __init__(self, prompt: str, given: Mapping[str, Any]) -> None:
        """Begin with the header's defaults."""
        self.struct = StreamOptions(
            struct_size=ctypes.sizeof(StreamOptions),
            seed=-1,
            prompt=encoded(prompt),
            reaction_frames=1,
            root_margin=-1,
        )
        super().__init__(given)

    def _converted(self, name: str, value: Any) -> Any:
        if name == "start":
            self.kept.append(value)
            return value._handle
        if name == "embedding":
            return float_pointer(value, self.kept)
        if name == "embedding_mask":
            return flag_array(value)
        return super()._converted(name, value)


def set_fields(struct: Any, given: Mapping[str, Any]) -> None:
    """Set fields by keywords; InputError for an unknown name."""
    known = _names(struct)
    for name, value in given.items():
        _check_name(name, known)
        setattr(struct, name, value)


def save_options(given: Mapping[str, Any]) -> SaveOptions:
    """Make ``mrt_save_options`` of keywords."""
    made = SaveOptions(
        struct_size=ctypes.sizeof(SaveOptions),
        root_smoothing=0.25,
        bvh_scale=100,
        bvh_up=AXES["+y"],
        bvh_forward=AXES["+z"],
    )
    set_fields(made, {name: AXES.get(value, value) for name, value in given.items()})
    return made


def constraint_struct(given: Mapping[str, Any], kept: list[Any]) -> ConstraintStruct:
    """Make ``mrt_constraint`` of a mapping with its fields; kind by its number or file name."""
    made = ConstraintStruct(struct_size=ctypes.sizeof(ConstraintStruct))
    kind = given["kind"]
    made.kind = KINDS[kind] if isinstance(kind, str) else kind
    frames = [int(frame) for frame in given["frames"]]
    made.num_frames = len(frames)
    made.frames = (c_int32 * len(frames))(*frames)
    for name in ("root_xz", "headings_rad", "root_positions", "local_rotations"):
        if given.get(name) is not None:
            setattr(made, name, float_pointer(given[name], kept))
    made.num_joints = given.get("num_joints", 0)
    groups = given.get("joint_groups") or ()
    made.joint_groups = encoded_list(groups)
    made.num_joint_groups = len(groups)
    kept.append(made)
    return made


def _names(struct: Any) -> set[str]:
    return {name for name, *_ in struct._fields_} - {"struct_size"}


def _check_name(name: str, known: set[str]) -> None:
    if name not in known:
        raise InputError(f"option {name!r} is unknown; there are {', '.join(sorted(known))}")
