"""A folder of motions and their descriptions, in HumanML3D's layout.

``new_joint_vecs/NAME.npy`` holds features, ``texts/NAME.txt`` a description a line
(``caption#word/PART …#start#end``, seconds; 0 and 0 are the whole clip), ``test.txt`` the names of
a split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.errors import InputError, one_line
from motionrt.runtime.evaluator.words import Tokens, read_tokens
from motionrt.runtime.files import refuse_lfs_pointer
from motionrt.runtime.formats.readers.arrays import read_array
from motionrt.runtime.humanml.features import NUM_FEATURES

FPS = 20
MIN_FRAMES, MAX_FRAMES = 40, 199
"""Clips that are shorter or longer are left out, as the field does."""
FRAMES_STEP = 4
MOTIONS, TEXTS = "new_joint_vecs", "texts"


@dataclass(frozen=True)
class Description:
    """What a text says of a clip."""

    caption: str
    tokens: Tokens


@dataclass(frozen=True)
class Clip:
    """A motion with all that is said of it."""

    name: str
    features: NDArray[np.float32]
    """(T, 263), T a multiple of four, at most 196."""
    descriptions: tuple[Description, ...]


def read_clips(folder: Path, split: str = "test") -> list[Clip]:
    """Read a split's clips; a description of a part of a motion makes a clip of its own.

    Names without files are left out, as there are some in the published lists. InputError if
    nothing is left, or what is there is damaged.
    """
    clips: list[Clip] = []
    for name in _lines(folder / f"{split}.txt"):
        name = name.strip()
        if not name:
            continue
        if Path(name).name != name:
            raise InputError(f"{folder / split}.txt: {one_line(name, 80)} is no name of a file")
        motion, texts = folder / MOTIONS / f"{name}.npy", folder / TEXTS / f"{name}.txt"
        if motion.is_file() and texts.is_file():
            clips += _clips_of(name, motion, texts)
    if not clips:
        raise InputError(
            f"{folder}: no clips of {split}.txt that last {MIN_FRAMES} to {MAX_FRAMES} frames"
        )
    return clips


def _clips_of(name: str, motion: Path, texts: Path) -> list[Clip]:
    refuse_lfs_pointer(motion)
    array = read_array(motion)
    if array.ndim != 2 or array.shape[1] != NUM_FEATURES or array.dtype.kind != "f":
        raise InputError(
            f"{motion}: is {array.dtype} {array.shape}, expected features (T, {NUM_FEATURES})"
        )
    features = np.asarray(array, np.float32)
    if not np.isfinite(features).all():
        raise InputError(f"{motion}: not all numbers are finite")
    whole: list[Description] = []
    clips = []
    for number, line in enumerate(_lines(texts), 1):
        if not line.strip():
            continue
        where = f"{texts}: line {number}"
        fields = line.strip().split("#")
        try:
            caption, words, start, end = fields
            first, last = (0.0 if math.isnan(v) else v for v in (float(start), float(end)))
        except ValueError:
            raise InputError(f"{where}: expected caption#words#start#end") from None
        if not 0 <= first <= last <= 1e6:
            raise InputError(f"{where}: from {start} to {end} seconds is no part of a motion")
        said = Description(caption, read_tokens(words, where))
        if first == last == 0:
            whole.append(said)
        else:
            part = _fitting(features[int(first * FPS) : int(last * FPS)])
            if part is not None:
                clips.append(Clip(f"{name}:{number}", part, (said,)))
    cut = _fitting(features)
    if whole and cut is not None:
        clips.insert(0, Clip(name, cut, tuple(whole)))
    return clips


def _fitting(features: NDArray[np.float32]) -> NDArray[np.float32] | None:
    if not MIN_FRAMES <= len(features) <= MAX_FRAMES:
        return None
    return features[: len(features) // FRAMES_STEP * FRAMES_STEP]


def _lines(path: Path) -> list[str]:
    refuse_lfs_pointer(path)
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from None
