"""Motions without an end."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import c_float
from typing import Any, Protocol

from motionrt.capi.marshalling import Floats, encoded, flag_array, float_pointer
from motionrt.capi.motion import Motion
from motionrt.capi.options import StreamKeywords
from motionrt.capi.shared_library import check, library
from motionrt.capi.structures import WRITE_FN, StreamInfo


class _Loaded(Protocol):
    _handle: int | None


class Stream:
    """``mrt_stream``: a motion without an end, steered while it plays; it keeps its pipeline."""

    def __init__(self, pipeline: _Loaded, prompt: str, options: Mapping[str, Any]) -> None:
        """Begin one."""
        self._handle, self._pipeline = None, pipeline
        self._options = StreamKeywords(prompt, options)
        handle = ctypes.c_void_p()
        self._options.check(
            library().mrt_stream_open(
                pipeline._handle, ctypes.byref(self._options.struct), ctypes.byref(handle)
            )
        )
        self._handle = handle.value

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and library is not None:
            library().mrt_stream_free(self._handle)

    @property
    def info(self) -> StreamInfo:
        """Where the playhead is, and how far is planned."""
        told = StreamInfo(struct_size=ctypes.sizeof(StreamInfo))
        check(library().mrt_stream_get_info(self._handle, ctypes.byref(told)))
        return told

    def prompt(self, text: str) -> None:
        """Follow another prompt as soon as can be."""
        check(library().mrt_stream_prompt(self._handle, encoded(text)))

    def prompt_embedding(
        self, embedding: Floats, num_tokens: int = 1, mask: Any = None, text: str = ""
    ) -> None:
        """Follow a prompt by its embedding (num_tokens, W); text only names it."""
        kept: list[Any] = []
        values = float_pointer(embedding, kept)
        flags = None if mask is None else flag_array(mask)
        check(
            library().mrt_stream_prompt_embedding(
                self._handle, encoded(text), values, num_tokens, flags
            )
        )

    def goal(self, x: float, z: float, seconds: float, heading_rad: float | None = None) -> None:
        """Be at a place on the ground in so many seconds from now."""
        heading = None if heading_rad is None else ctypes.byref(c_float(heading_rad))
        check(library().mrt_stream_goal(self._handle, x, z, seconds, heading))

    def constraints(self, constraints_json: str) -> None:
        """Add constraints; their frames count from the next one that is fetched."""
        check(library().mrt_stream_constraints(self._handle, encoded(constraints_json)))

    def velocity(self, wanted: Sequence[float] | None) -> None:
        """Go with a velocity (x, z); None lets go of it."""
        pair = None if wanted is None else (c_float * 2)(*wanted)
        check(library().mrt_stream_velocity(self._handle, pair))

    def clear(self) -> None:
        """Let go of all goals, constraints and the velocity."""
        check(library().mrt_stream_clear(self._handle))

    def replan(self, at: int = -1) -> None:
        """Make what follows anew from a frame on."""
        check(library().mrt_stream_replan(self._handle, at))

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames."""
        made = ctypes.c_void_p()
        self._options.check(library().mrt_stream_take(self._handle, num_frames, ctypes.byref(made)))
        assert made.value is not None
        return Motion(made.value)

    def advance(self, seconds: float) -> Motion | None:
        """Let time go by and return the frames that fall due in it."""
        made = ctypes.c_void_p()
        self._options.check(library().mrt_stream_advance(self._handle, seconds, ctypes.byref(made)))
        return None if made.value is None else Motion(made.value)

    def make(self, num_frames: int) -> None:
        """Make frames ahead until so many are ready."""
        self._options.check(library().mrt_stream_make(self._handle, num_frames))

    def at_rate(self, fps: float, delay_frames: int = 0) -> ControlRate:
        """Give frames at a controller's higher rate from now on; nobody else may fetch any."""
        return ControlRate(self, fps, delay_frames)

    def snapshot(self) -> bytes:
        """Return the state as a file's bytes."""
        parts: list[bytes] = []

        def take(_: object, address: int, count: int) -> bool:
            parts.append(ctypes.string_at(address, count))
            return True

        check(library().mrt_stream_snapshot(self._handle, WRITE_FN(take), None))
        return b"".join(parts)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a state."""
        check(library().mrt_stream_restore(self._handle, snapshot, len(snapshot)))


class ControlRate:
    """``mrt_control_rate``: a stream's frames at a higher rate; it keeps its stream."""

    def __init__(self, stream: Stream, fps: float, delay_frames: int) -> None:
        """Begin where a stream stands."""
        self._handle, self._stream = None, stream
        handle = ctypes.c_void_p()
        check(
            library().mrt_control_rate_open(stream._handle, fps, delay_frames, ctypes.byref(handle))
        )
        self._handle = handle.value

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and library is not None:
            library().mrt_control_rate_free(self._handle)

    def take(self, num_frames: int) -> Motion:
        """Fetch the next frames."""
        made = ctypes.c_void_p()
        self._stream._options.check(
            library().mrt_control_rate_take(self._handle, num_frames, ctypes.byref(made))
        )
        assert made.value is not None
        return Motion(made.value)

    def advance(self, seconds: float) -> Motion | None:
        """Let time go by and return the frames that fall due in it."""
        made = ctypes.c_void_p()
        self._stream._options.check(
            library().mrt_control_rate_advance(self._handle, seconds, ctypes.byref(made))
        )
        return None if made.value is None else Motion(made.value)
