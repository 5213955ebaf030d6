"""Data sets that `train-default` learns from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from fuzz.mutators.archives import mutate_archive
from fuzz.mutators.trees import json_mutator
from fuzz.target import Target

from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.train.default.clips import read_clips

_META, _SPLIT = "meta.json", "train.npz"
_FRAMES = (0, 5, 9)


def read(path: Path) -> None:
    """Read a data folder."""
    for clip in read_clips(path.parent, ("train",)):
        assert clip.rotations.shape == (clip.num_frames, 22, 4)
        assert np.isfinite(clip.rotations).all() and np.isfinite(clip.root).all()


@lru_cache
def _meta() -> bytes:
    one = {"id": "a", "split": "train", "index": 0, "captions": ["walk"], "tags": ["walk"]}
    records = [{**one, "variant": ""}, {**one, "id": "b", "index": 1, "variant": "x"}]
    names = load_skeleton("cmu22").joint_names
    return json.dumps({"fps": 30, "names": names, "clips": records}).encode()


@lru_cache
def _split() -> bytes:
    file = io.BytesIO()
    quaternions = np.full((_FRAMES[-1], 22, 4), 16384, np.int16)
    root = np.zeros((_FRAMES[-1], 3), np.float32)
    np.savez(file, quat=quaternions, root=root, offsets=np.array(_FRAMES, np.int32))
    return file.getvalue()


def _beside(name: str) -> Callable[[Path], Path]:
    def prepare(folder: Path) -> Path:
        for other, make in ((_META, _meta), (_SPLIT, _split)):
            (folder / other).write_bytes(make())
        return folder / name

    return prepare


def _archives() -> Iterable[bytes]:
    return [_split()]


TARGETS = (
    Target("clips", read, json_mutator(), lambda: [_meta()], _META, _beside(_META)),
    Target("clips-npz", read, mutate_archive, _archives, _SPLIT, _beside(_SPLIT)),
)
