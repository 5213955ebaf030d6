"""Motions as a client asks for them: JSON, or files of the formats that we write."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import Skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.table import FORMATS, writer_options

JSON = "json"
JSON_TYPE, ZIP_TYPE = "application/json", "application/zip"
MEDIA_TYPES = {
    "npz": "application/x-npz",
    "bvh": "text/x-bvh",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "csv": "text/csv",
}
"""Of formats that have one; the others are application/octet-stream, and asked for by suffix."""
OTHER_TYPE = "application/octet-stream"
LEFT_OUT = ("fbx", "usd", "usda", "usdz")
"""Formats that need another program or library: no stranger starts Blender here."""
SERVED_FORMATS = tuple(name for name in FORMATS if name not in LEFT_OUT)
RESTS = ("neutral", "t-pose")
JOINT_NAMES = ("mixamo", "ue5", "vrm")
LEAST_FPS, MOST_FPS = 1.0, 240.0


@dataclass(frozen=True)
class Wanted:
    """How motions are to be given."""

    format: str = JSON
    fps: float | None = None
    """None: the model's own."""
    settings: tuple[tuple[str, str], ...] = ()
    """Options of the format's writer."""

    @classmethod
    def parse(cls, format: str, query: Any) -> Wanted:
        """Read the query of a request; InputError for what does not fit."""
        fps = None
        if "fps" in query:
            try:
                fps = float(query["fps"])
            except ValueError:
                fps = float("nan")
            if not LEAST_FPS <= fps <= MOST_FPS:
                raise InputError(f"fps must be a number from {LEAST_FPS:g} to {MOST_FPS:g}")
        settings = []
        for name, known in (("rest", RESTS), ("joint_names", JOINT_NAMES)):
            if name not in query:
                continue
            if query[name] not in known:
                raise InputError(f"{name} must be {' or '.join(known)}")
            if format == JSON or name not in writer_options(format):
                raise InputError(f"{name} is for BVH and glTF")
            settings.append((name, query[name]))
        return cls(format, fps, tuple(settings))


@dataclass(frozen=True)
class Answer:
    """What is sent."""

    data: bytes
    media_type: str
    file_name: str


def check_body(format: str, skeleton: Skeleton) -> None:
    """Raise InputError if motions on a skeleton cannot be had in a format."""
    if format == JSON:
        return
    row = FORMATS[format]
    if not row.holds_body(skeleton.extra_formats) or (row.humanoid and skeleton.naming is None):
        bodies = row.holds.partition(";")[0]
        raise InputError(f"{format} holds {bodies}; this bundle makes {skeleton.name}")


def answer(
    motions: Sequence[Motion],
    wanted: Wanted,
    more: dict[str, Any] | None = None,
    numbers: Sequence[int] | None = None,
) -> Answer:
    """Make what is sent of motions: JSON with more beside them, one file, or a .zip of several.

    numbers are those of the motions among all of their request. InputError where a format cannot
    hold them.
    """
    if wanted.fps is not None:
        from motionrt.runtime.body.resample import resample

        motions = [resample(motion, wanted.fps) for motion in motions]
    if wanted.format == JSON:
        document = {
            **(more or {}),
            "fps": motions[0].fps,
            "skeleton": skeleton_document(motions[0].skeleton),
            "motions": [motion_document(motion) for motion in motions],
        }
        return Answer(msgspec.json.encode(document), JSON_TYPE, "motions.json")
    ending = FORMATS[wanted.format].ending
    stems = [f"motion_{number:02d}" for number in numbers or range(len(motions))]
    with tempfile.TemporaryDirectory(prefix="motionrt-") as folder:
        files = [Path(folder) / (stem + ending) for stem in stems]
        for motion, file in zip(motions, files, strict=True):
            motion.save(file, format=wanted.format, **dict(wanted.settings))
        if len(files) == 1:
            media = MEDIA_TYPES.get(wanted.format, OTHER_TYPE)
            return Answer(files[0].read_bytes(), media, files[0].name)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.name)
    return Answer(buffer.getvalue(), ZIP_TYPE, "motions.zip")


def motion_document(motion: Motion) -> dict[str, Any]:
    """Return the JSON form of a motion: flat names, nested lists, frames first."""
    contacts, smooth = motion.foot_contacts, motion.smooth_root_pos
    return {
        "num_frames": motion.num_frames,
        "local_rotations": _rounded(motion.local_rotations, 6),
        "root_positions": _rounded(motion.root_positions, 5),
        "posed_joints": _rounded(motion.posed_joints, 5),
        "foot_contacts": None if contacts is None else contacts.astype(np.uint8).tolist(),
        "smooth_root_positions": None if smooth is None else _rounded(smooth, 5),
        "info": msgspec.to_builtins(motion.info, enc_hook=_plain),
        "notes": list(motion.notes),
        "warnings": list(motion.warnings),
    }


def skeleton_document(skeleton: Skeleton) -> dict[str, Any]:
    """Return what a page must know of a skeleton."""
    return {
        "name": skeleton.name,
        "joint_names": list(skeleton.joint_names),
        "parents": skeleton.parents.tolist(),
        "rest_positions": _rounded(skeleton.rest_positions, 6),
        "hip_joints": list(skeleton.hip_joints),
        "left_foot_joints": list(skeleton.left_foot_joints),
        "right_foot_joints": list(skeleton.right_foot_joints),
    }


def _rounded(values: NDArray[np.float32], digits: int) -> Any:
    """Return nested lists; rounded in double precision, so that they are short as text."""
    return values.astype(np.float64).round(digits).tolist()


def _plain(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    return tolist() if callable(tolist) else str(value)
