"""Read a motion from .npy: HumanML3D's features, joint positions, or MDM's results.npy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.formats.readers.arrays import open_array, read_data
from motionrt.runtime.formats.safe_pickle import (
    PickledArray,
    StandIn,
    as_array,
    content_of,
    unpickle,
)
from motionrt.runtime.formats.units import guess_scale
from motionrt.runtime.formats.writers.amass import Y_UP_TO_Z_UP
from motionrt.runtime.humanml.features import FPS, NUM_FEATURES, NUM_JOINTS, features_to_joints
from motionrt.runtime.humanml.given_motion import checked_array
from motionrt.runtime.humanml.joints import motion_from_joints

SMPL_JOINTS = (22, 24, 45, 52, 55, 73, 127, 144)
"""How many joints the SMPL bodies have, hands, face and landmarks behind the first 22: the bodies
of SMPL, SMPL-H and SMPL-X begin alike."""
_SPINE = (0, 3, 6, 9, 12, 15)
"""Pelvis to head."""
_SPINE_M = 0.65
_SPINE_RANGE_M = (0.2, 2.5)


@dataclass
class _Clip:
    """One motion of a file."""

    array: NDArray[Any]
    """(T, 263) or (T, J, 3)."""
    notes: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)


def read_npy(
    path: str | os.PathLike[str],
    *,
    fps: float = FPS,
    sample: int = 0,
    scale: float | Literal["guess"] | None = None,
    z_up: bool = False,
) -> Motion:
    """Read features (T, 263) in their units, or joint positions; rotations are solved for.

    Positions are (T, 22, 3), or those of a larger SMPL body, whose first 22 joints are the same;
    several motions, (B, T, 22, 3) or as MDM has them, (B, 22, 3, T), alone or in the pickled dict
    of its results.npy (motion, lengths, text), of which nothing is executed: sample says which.
    scale is units per metre, or "guess" for those of a body of human size; z_up says that the
    file's world has z up. InputError if it is none of these.
    """
    clip = _read(path, sample, scale, z_up)
    joints = features_to_joints(clip.array) if clip.array.ndim == 2 else clip.array
    features = clip.array if clip.array.ndim == 2 else None
    try:
        motion = motion_from_joints(joints, features=features, fps=fps, info=clip.info)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    motion.notes.extend(clip.notes)
    return motion


def read_npy_array(
    path: str | os.PathLike[str],
    *,
    sample: int = 0,
    scale: float | Literal["guess"] | None = None,
    z_up: bool = False,
) -> NDArray[np.float32]:
    """Return features (T, 263) as the file has them, or positions (T, 22, 3); see `read_npy`."""
    return _read(path, sample, scale, z_up).array


def _read(
    path: str | os.PathLike[str],
    sample: int,
    scale: float | Literal["guess"] | None,
    z_up: bool,
) -> _Clip:
    try:
        with open_array(path) as (header, file):
            if header.dtype.hasobject:
                size = Path(path).stat().st_size - file.tell()
                clip = _of_pickle(content_of(unpickle(file, Path(path), size)), sample)
            else:
                clip = _one_of(read_data(file, header), sample)
        return _in_metres(_of_22_joints(clip), scale, z_up)
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def _of_22_joints(clip: _Clip) -> _Clip:
    """Leave features, or HumanML3D's joints of a larger body; InputError if it is neither."""
    if clip.array.dtype.kind not in "fiu":
        raise InputError(f"motion: not real numbers but {clip.array.dtype}")
    if clip.array.ndim == 3 and clip.array.shape[1] in SMPL_JOINTS:
        more = clip.array.shape[1] - NUM_JOINTS
        if more:
            clip.notes.append(f"hands, face and landmarks ({more} joints) are left away")
        clip.array = clip.array[:, :NUM_JOINTS]
    clip.array = checked_array(clip.array)
    return clip


def _in_metres(clip: _Clip, scale: float | str | None, z_up: bool) -> _Clip:
    """Bring joints to metres and y up as far as is told; note what looks otherwise."""
    if clip.array.ndim == 2:
        if scale is not None or z_up:
            raise InputError("features have units and axes of their own; give no scale and no up")
        return clip
    if scale == "guess":
        body = replace(load_skeleton("humanml22"), rest_positions=clip.array[0])
        scale, note = guess_scale(body, clip.array[0])
        clip.notes.append(note)
    if scale is not None:
        if isinstance(scale, str) or not (np.isfinite(scale) and scale > 0):
            raise InputError(f"scale is {scale}, it must be above zero")
        clip.array = clip.array / np.float32(scale)
    if z_up:
        clip.array = clip.array @ Y_UP_TO_Z_UP
    clip.notes.extend(_doubts(clip.array))
    return clip


def _of_pickle(content: Any, sample: int) -> _Clip:
    """Take a motion of MDM's dict, or of an array of arrays."""
    if isinstance(content, PickledArray) and content.items is not None:
        content = list(content.items)
    if isinstance(content, list) and content:
        array = as_array(content[_index(sample, len(content))])
        return _Clip(array, _told_of(sample, len(content)))
    if not isinstance(content, Mapping):
        told = content.source if isinstance(content, StandIn) else type(content).__name__
        raise InputError(f"a pickled {told}; read are arrays, and MDM's dict of motion and lengths")
    if "motion" not in content:
        has = ", ".join(str(key)[:40] for key in list(content)[:8]) or "nothing"
        raise InputError(f"a pickled dict without motion; there are {has}")
    clip = _one_of(as_array(content["motion"]), sample)
    if "lengths" in content and clip.array.ndim:
        lengths = as_array(content["lengths"]).reshape(-1)
        if sample < len(lengths) and lengths.dtype.kind in "fiu":
            length = float(lengths[sample])
            if 1 <= length < len(clip.array):
                clip.array = clip.array[: int(length)]
    texts = content.get("text")
    if isinstance(texts, PickledArray):
        texts = texts.items if texts.items is not None else texts.array().reshape(-1).tolist()
    if isinstance(texts, (list, tuple)) and sample < len(texts) and isinstance(texts[sample], str):
        clip.info["prompt"] = texts[sample]
    return clip


def _one_of(array: NDArray[Any], sample: int) -> _Clip:
    """Take one motion of an array, its frames first."""
    if array.ndim == 3 and array.shape[2] == NUM_FEATURES and array.shape[1] != 3:
        return _Clip(array[_index(sample, len(array))], _told_of(sample, len(array)))
    if array.ndim == 4:
        clip = _one_of(array[_index(sample, len(array))], 0)
        clip.notes.extend(_told_of(sample, len(array)))
        return clip
    _index(sample, 1)
    if array.ndim == 3 and array.shape[1] == 6:
        raise InputError("the motion is 6D rotations; read are joint positions")
    if array.ndim == 3 and array.shape[1] == 3 and array.shape[0] in (21, *SMPL_JOINTS):
        array = array.transpose(2, 0, 1)
    if array.ndim == 3 and array.shape[1:] == (21, 3):
        raise InputError("21 joints, as KIT-ML has them; only HumanML3D's 22 are read")
    return _Clip(array)


def _index(sample: int, count: int) -> int:
    if not 0 <= sample < count:
        held = "one motion, sample 0" if count == 1 else f"motions 0 to {count - 1}"
        raise InputError(f"sample {sample}: it holds {held if count else 'none'}")
    return sample


def _told_of(sample: int, count: int) -> list[str]:
    if count == 1:
        return []
    return [
        f"motion {sample} of {count} is read; --input-sample N reads another (0 to {count - 1})"
    ]


def _doubts(joints: NDArray[np.float32]) -> list[str]:
    """Say what speaks against metres and y up; the joints stay as they are."""
    spine = np.linalg.norm(np.diff(joints[:, _SPINE].astype(np.float64), axis=1), axis=-1)
    length = float(np.median(spine.sum(axis=1)))
    notes = []
    if length and not _SPINE_RANGE_M[0] <= length <= _SPINE_RANGE_M[1]:
        scale = 10.0 ** round(np.log10(length / _SPINE_M))
        units = {100.0: "centimetres", 1000.0: "millimetres"}.get(scale, "other units")
        notes.append(
            f"from pelvis to head it is {length:.3g} m: are these {units}? then --input-scale "
            f"{scale:g}"
        )
    up = (joints[:, _SPINE[-1]] - joints[:, 0]).astype(np.float64).mean(axis=0)
    if up[2] > 2 * abs(up[1]):
        notes.append("the head is along z from the pelvis: is z up? then --input-up z")
    return notes
