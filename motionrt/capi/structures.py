"""``motionrt.h`` in ctypes: its structures, callbacks and numbers."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t

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

PROGRESS_FN = ctypes.CFUNCTYPE(c_bool, ctypes.c_void_p, c_char_p, c_int32, c_int32)
LOG_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, c_char_p)
FILE_FN = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, c_char_p, POINTER(c_size_t))
WRITE_FN = ctypes.CFUNCTYPE(c_bool, ctypes.c_void_p, ctypes.c_void_p, c_size_t)


class Tensor(ctypes.Structure):
    """``mrt_tensor``."""

    _fields_ = (
        ("name", c_char_p),
        ("type", ctypes.c_int),
        ("rank", c_int32),
        ("dims", POINTER(c_int64)),
        ("data", ctypes.c_void_p),
    )


OPEN_FN = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, c_char_p, POINTER(ctypes.c_uint8), c_size_t
)
RUN_FN = ctypes.CFUNCTYPE(
    c_bool, ctypes.c_void_p, ctypes.c_void_p, POINTER(Tensor), c_int32, POINTER(Tensor), c_int32
)
CLOSE_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class Runner(ctypes.Structure):
    """``mrt_runner``: what runs graphs in ONNX Runtime's place."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("user", ctypes.c_void_p),
        ("open", OPEN_FN),
        ("run", RUN_FN),
        ("close", CLOSE_FN),
    )


class LoadOptions(ctypes.Structure):
    """``mrt_load_options``."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("threads", c_int32),
        ("backend", c_char_p),
        ("onnxruntime", c_char_p),
        ("check_hashes", c_bool),
        ("runner", POINTER(Runner)),
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
        ("embedding", POINTER(c_float)),
        ("num_embedding_tokens", c_int32),
        ("embedding_mask", POINTER(ctypes.c_uint8)),
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
