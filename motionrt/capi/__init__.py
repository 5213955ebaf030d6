"""The C library from Python, one to one: a small runtime without numpy.

``motionrt.h`` says what everything means. Arrays are memoryviews of float32 in the shape that the
header gives, which ``numpy.asarray`` takes without a copy; they keep their motion alive.

    from motionrt import capi

    pipeline = capi.Pipeline("bundle")
    motion = pipeline.generate("a person walks forward", seed=1)
    motion.save("walk.bvh")
"""

from __future__ import annotations

from motionrt.capi.marshalling import (
    Floats,
    View,
)
from motionrt.capi.motion import (
    Motion,
    Skeleton,
)
from motionrt.capi.options import (
    Progress,
)
from motionrt.capi.pipeline import (
    Pipeline,
)
from motionrt.capi.shared_library import (
    ABI_VERSION,
    FAMILIES,
    LIBRARY_NAMES,
    Busy,
    Cancelled,
    Log,
    backends,
    library,
    library_folder,
    library_path,
    load_onnxruntime,
    onnxruntime_version,
    packaged_onnxruntime,
    set_log,
    version,
)
from motionrt.capi.stream import (
    ControlRate,
    Stream,
)
from motionrt.capi.structures import (
    AXES,
    BAD_ARGUMENT,
    BAD_BUNDLE,
    BAD_INPUT,
    BUSY,
    CANCELLED,
    CLOSE_FN,
    FILE_ERROR,
    FILE_FN,
    IN_PLACE,
    KINDS,
    LOG_FN,
    LOOP,
    NO_BACKEND,
    NO_MEMORY,
    OK,
    OPEN_FN,
    PROGRESS_FN,
    RUN_FN,
    WRITE_FN,
    ConstraintStruct,
    FinishOptions,
    GenerateOptions,
    LoadOptions,
    LoopInfo,
    MotionArrays,
    MotionInfo,
    PipelineInfo,
    Runner,
    SaveOptions,
    StreamInfo,
    StreamOptions,
    Tensor,
)

__all__ = [
    "ABI_VERSION",
    "AXES",
    "BAD_ARGUMENT",
    "BAD_BUNDLE",
    "BAD_INPUT",
    "BUSY",
    "CANCELLED",
    "CLOSE_FN",
    "FAMILIES",
    "FILE_ERROR",
    "FILE_FN",
    "IN_PLACE",
    "KINDS",
    "LIBRARY_NAMES",
    "LOG_FN",
    "LOOP",
    "NO_BACKEND",
    "NO_MEMORY",
    "OK",
    "OPEN_FN",
    "PROGRESS_FN",
    "RUN_FN",
    "WRITE_FN",
    "Busy",
    "Cancelled",
    "ConstraintStruct",
    "ControlRate",
    "FinishOptions",
    "Floats",
    "GenerateOptions",
    "LoadOptions",
    "Log",
    "LoopInfo",
    "Motion",
    "MotionArrays",
    "MotionInfo",
    "Pipeline",
    "PipelineInfo",
    "Progress",
    "Runner",
    "SaveOptions",
    "Skeleton",
    "Stream",
    "StreamInfo",
    "StreamOptions",
    "Tensor",
    "View",
    "backends",
    "library",
    "library_folder",
    "library_path",
    "load_onnxruntime",
    "onnxruntime_version",
    "packaged_onnxruntime",
    "set_log",
    "version",
]
